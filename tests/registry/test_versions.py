"""Model versions: what is registered is what is served, and one is in production."""

import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from diagnosis.inference import requests, worker
from diagnosis.models import ModelVersion, Prediction, StageChange
from diagnosis.registry import versions as registry_versions
from ml import errors
from ml.artifact import folder as artifact_folder
from tests.support.factories import FilmFactory, ModelVersionFactory, make_user
from tests.support.processes import WORKER, Broker, Child, wait_for
from tests.support.samples import sample_films

Stage = ModelVersion.Stage


def another(folder: Path, name: str = "another-1", **changes: object) -> Path:
    """Return a whole artifact that differs from the shipped one by its card."""
    shutil.copytree(artifact_folder.SHIPPED, folder)
    card = artifact_folder.load_card(folder)
    card.name = name
    for field, value in changes.items():
        setattr(card, field, value)
    artifact_folder.seal(folder, card)
    return folder


@pytest.mark.django_db
def test_an_import_is_a_candidate_and_is_done_once(tmp_path: Path) -> None:
    source = another(tmp_path / "source")
    version = registry_versions.import_artifact(source)
    assert (version.name, version.stage) == ("another-1", Stage.CANDIDATE)
    assert registry_versions.import_artifact(source) == version
    assert StageChange.objects.count() == 1
    shutil.rmtree(source)
    assert artifact_folder.load_card(registry_versions.local_artifact(version)).name == "another-1"


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["model.keras", "gate.npz"])
def test_a_changed_file_is_not_imported(name: str, tmp_path: Path) -> None:
    source = another(tmp_path / "source")
    with (source / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(errors.ArtifactError, match=name):
        registry_versions.import_artifact(source)
    assert not ModelVersion.objects.exists()


@pytest.mark.django_db
def test_an_import_that_broke_off_can_be_done_again(tmp_path: Path) -> None:
    source = another(tmp_path / "source")
    version = registry_versions.import_artifact(source)
    StageChange.objects.all()._raw_delete(using="default")
    version.delete()
    assert registry_versions.import_artifact(source).artifact_hash == version.artifact_hash
    assert len(default_storage.listdir(f"models/{version.artifact_hash}")[1]) == len(list(source.iterdir()))


@pytest.mark.django_db
def test_promotion_retires_the_one_before_and_says_who_and_why(
    production: ModelVersion, tmp_path: Path
) -> None:
    staff = make_user("staff")
    version = registry_versions.import_artifact(another(tmp_path / "source"))
    registry_versions.promote(version, by=staff, reason="Fewer false alarms")
    production.refresh_from_db()
    assert (production.stage, version.stage) == (Stage.RETIRED, Stage.PRODUCTION)
    assert registry_versions.production() == version
    latest = StageChange.objects.first()
    assert latest
    assert (latest.version, latest.by, latest.reason) == (version, staff, "Fewer false alarms")
    registry_versions.promote(production, by=staff, reason="Back again")
    assert registry_versions.production() == production


@pytest.mark.django_db
def test_the_database_allows_one_in_production() -> None:
    ModelVersionFactory(stage=Stage.PRODUCTION)
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelVersionFactory(stage=Stage.PRODUCTION)
    second = ModelVersionFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelVersion.objects.filter(pk=second.pk).update(stage=Stage.PRODUCTION)


@pytest.mark.django_db
def test_a_version_whose_files_were_changed_is_not_promoted(production: ModelVersion, tmp_path: Path) -> None:
    version = registry_versions.import_artifact(another(tmp_path / "source"))
    weights = Path(default_storage.path(f"models/{version.artifact_hash}/model.keras"))
    weights.chmod(0o600)
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(registry_versions.PromotionRefused, match="not whole"):
        registry_versions.promote(version, by=None, reason="Better")
    assert registry_versions.production() == production
    version.refresh_from_db()
    assert version.stage == Stage.CANDIDATE
    shutil.rmtree(weights.parent)


@pytest.mark.django_db
def test_a_version_whose_card_was_replaced_is_not_promoted(production: ModelVersion, tmp_path: Path) -> None:
    version = registry_versions.import_artifact(another(tmp_path / "source"))
    stored = Path(default_storage.path(f"models/{version.artifact_hash}"))
    shutil.rmtree(stored)
    shutil.copytree(artifact_folder.SHIPPED, stored)
    with pytest.raises(registry_versions.PromotionRefused, match="not the one that was registered"):
        registry_versions.promote(version, by=None, reason="Better")
    assert registry_versions.production() == production
    shutil.rmtree(stored)


@pytest.mark.django_db
def test_promotion_needs_a_reason_and_a_change(production: ModelVersion, tmp_path: Path) -> None:
    version = registry_versions.import_artifact(another(tmp_path / "source"))
    with pytest.raises(registry_versions.PromotionRefused, match="Say why"):
        registry_versions.promote(version, by=None, reason=" ")
    with pytest.raises(registry_versions.PromotionRefused, match="already"):
        registry_versions.promote(production, by=None, reason="Again")


@pytest.mark.django_db
def test_the_command_imports_and_promotes_a_first_version(tmp_path: Path) -> None:
    source = another(tmp_path / "source", name="by-command")
    with pytest.raises(CommandError, match="--reason"):
        call_command("import_model", source, promote=True)
    assert not ModelVersion.objects.filter(name="by-command").exists()
    out = StringIO()
    call_command("import_model", source, promote=True, reason="Trained on more films", stdout=out)
    assert out.getvalue().startswith("by-command\tproduction\t")
    with pytest.raises(CommandError, match="no model folder"):
        call_command("import_model", tmp_path)


@pytest.mark.django_db(transaction=True)
def test_a_running_worker_takes_up_a_promoted_version(
    production: ModelVersion, broker: Broker, start: Callable[..., Child], tmp_path: Path
) -> None:
    film = FilmFactory(data=sample_films(1)[0])
    start(*WORKER)

    def answer(version: ModelVersion) -> Prediction:
        prediction = requests.again(film, version)
        wait_for(lambda: Prediction.objects.get(pk=prediction.pk).is_final, 60)
        prediction.refresh_from_db()
        return prediction

    before = answer(production)
    assert before.state == Prediction.State.SUCCEEDED
    # A threshold that turns the answer over: only the new version's card can say so.
    assert before.probability is not None
    threshold = before.probability / 2 if before.label == "NORMAL" else (1 + before.probability) / 2
    version = registry_versions.import_artifact(another(tmp_path / "source", threshold=threshold))
    registry_versions.promote(version, by=None, reason="For the test")
    after = answer(version)
    assert after.threshold == pytest.approx(threshold)
    assert {before.label, after.label} == {"NORMAL", "PNEUMONIA"}
    assert after.receipt["model"] == "another-1"


@pytest.mark.django_db
def test_a_process_keeps_no_more_than_two_models(tmp_path: Path) -> None:
    versions = [registry_versions.import_artifact(another(tmp_path / name, name)) for name in ("a", "b", "c")]
    for version in versions:
        worker.predictor_for(version)
    assert list(worker._loaded) == [version.artifact_hash for version in versions[1:]]
    assert worker.predictor_for(versions[2]) is worker.predictor_for(versions[2])


@pytest.mark.django_db
def test_on_a_fresh_site_the_newest_shipped_version_goes_into_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_folder, "SHIPPED_BEFORE", (another(tmp_path / "source", name="earlier-1"),))
    for _ in range(2):
        registry_versions.register_shipped()
        stages = dict(ModelVersion.objects.values_list("name", "stage"))
        assert stages == {
            "earlier-1": "retired",
            artifact_folder.load_card(artifact_folder.SHIPPED).name: "production",
        }


@pytest.mark.django_db
def test_a_newer_shipped_version_waits_where_another_is_in_production(
    production: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_folder, "SHIPPED", another(tmp_path / "source", name="newer-2"))
    registry_versions.register_shipped()
    assert registry_versions.production() == production
    assert ModelVersion.objects.get(name="newer-2").stage == "candidate"
