"""The storage of films, a folder or a bucket: what it keeps, and that nothing is lost while it is away."""

import errno
import io
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnosis.datasets import duplicates
from diagnosis.inference import worker
from diagnosis.intake.batches import unpack, zip_upload
from diagnosis.models import Arrival, Batch, Evaluation, Film, Fingerprint, ModelVersion, Patient, Prediction
from diagnosis.promotion import evaluation
from diagnosis.registry import versions
from pneumoweb.storage.filesystem import RESERVE, StorageAway, StorageFull
from tests.support.factories import (
    BatchFactory,
    FilmFactory,
    PatientFactory,
    PredictionFactory,
    StudyFactory,
    make_user,
)
from tests.support.s3_service import Service
from tests.support.samples import sample_films
from tests.support.versions import candidate_artifact, candidate_of, confirm, held_out

State = Prediction.State


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest) -> str:
    if request.param == "bucket":
        request.getfixturevalue("bucket")
    return str(request.param)


def test_what_is_kept_comes_back(storage: str) -> None:
    content = bytes(range(256)) * 40_000  # 10 MB: a bucket takes it in several parts
    name = default_storage.save(f"{storage}/a/film.png", ContentFile(content))
    with default_storage.open(name) as file:
        assert file.read(16) == content[:16]
        file.seek(-16, 2)
        assert file.read() == content[-16:]
    assert default_storage.size(name) == len(content)
    assert default_storage.listdir(storage) == (["a"], [])
    assert default_storage.listdir(f"{storage}/a") == ([], ["film.png"])
    assert abs((timezone.now() - default_storage.get_modified_time(name)).total_seconds()) < 60
    other = default_storage.save(f"{storage}/a/film.png", ContentFile(b"another"))
    assert other != name
    assert default_storage.size(name) == len(content)
    for kept in (name, other):
        default_storage.delete(kept)
        default_storage.delete(kept)
        assert not default_storage.exists(kept)


def test_a_file_that_is_not_there_is_no_storage_that_is_away(storage: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        default_storage.open("films/nobody.png")
    assert not isinstance(caught.value, StorageAway)


def test_a_bucket_that_is_away_is_said_to_be(bucket: Service) -> None:
    name = default_storage.save("away/film.png", ContentFile(b"film"))
    bucket.stop()
    for ask in (
        lambda: default_storage.open(name),
        lambda: default_storage.save("away/other.png", ContentFile(b"film")),
        lambda: default_storage.exists(name),
        lambda: default_storage.size(name),
        lambda: default_storage.get_modified_time(name),
        lambda: default_storage.listdir("away"),
        lambda: default_storage.delete(name),
    ):
        with pytest.raises(StorageAway, match="does not answer"):
            ask()


def test_a_bucket_that_does_not_exist_is_away(bucket: Service, settings: Any) -> None:
    options = {**settings.STORAGES["default"]["OPTIONS"], "bucket_name": "of-nobody"}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {**settings.STORAGES["default"], "OPTIONS": options},
    }
    with pytest.raises(StorageAway) as caught:
        default_storage.save("film.png", ContentFile(b"film"))
    assert "NoSuchBucket" in str(caught.value.__cause__)


def test_on_a_full_disk_nothing_is_begun(private_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = RESERVE + 999
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=left))
    with pytest.raises(StorageFull, match="is full"):
        default_storage.save("full/film.png", ContentFile(bytes(1000)))
    assert not (private_files / "full").exists()
    assert default_storage.save("full/film.png", ContentFile(bytes(999)))


class Filling(ContentFile):
    """A file in whose middle the disk is full, because others write too."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"the beginning"
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_meanwhile_is_said(private_files: Path) -> None:
    with pytest.raises(StorageFull, match="is full"):
        default_storage.save("filling/film.png", Filling(b"the beginning and the end"))


# ---------------------------------------------------------------- the pages


def sent(client: Client, patient: Patient, **headers: str) -> Any:
    film = SimpleUploadedFile("film.png", sample_films(1)[0], content_type="image/png")
    return client.post(
        reverse("upload", args=[patient.pk]),
        {"films": [film], "upload_key": str(uuid.uuid4()), "taken_on": "2026-01-05", "priority": "0"},
        headers={"X-Requested-With": "upload", **headers},
    )


@pytest.mark.django_db
def test_a_film_that_cannot_be_kept_is_not_taken_in(
    bucket: Service, production: ModelVersion, client: Client
) -> None:
    user = make_user("clinician")
    client.force_login(user)
    patient = PatientFactory(clinic=user.clinic)
    bucket.stop()
    answer = sent(client, patient)
    assert answer.status_code == 503
    assert "does not answer. Nothing is kept of this film" in answer.content.decode()
    answer = sent(client, patient, Accept="application/json")
    assert (answer.status_code, answer.json()["url"]) == (503, None)
    assert not Film.objects.exists()
    bucket.start()
    assert sent(client, patient).status_code == 201
    assert worker.work() is False
    film = Film.objects.get()
    assert film.predictions.get().state == State.SUCCEEDED
    for name in ("film_image", "film_values", "film_preview"):
        picture = client.get(reverse(name, args=[film.pk]))
        assert len(picture.getvalue()) == int(picture["Content-Length"]) > 1000


@pytest.mark.django_db
def test_pages_that_need_a_file_say_that_the_storage_is_away(bucket: Service, client: Client) -> None:
    user = make_user("clinician")
    client.force_login(user)
    film = FilmFactory(study=StudyFactory(patient=PatientFactory(clinic=user.clinic)))
    bucket.stop()
    answer = client.get(reverse("film_image", args=[film.pk]))
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert "The storage of films does not answer." in answer.content.decode()
    answer = client.get(reverse("film_image", args=[film.pk]), headers={"Accept": "application/json"})
    assert answer.json()["error"] == "The storage of films does not answer."
    assert client.get(reverse("film", args=[film.pk])).status_code == 200


# ---------------------------------------------------------------- the workers


def waiting(number: int, version: ModelVersion) -> list[Prediction]:
    study = StudyFactory()
    return [
        PredictionFactory(film=FilmFactory(study=study, data=data), model_version=version)
        for data in sample_films(number)
    ]


@pytest.mark.django_db
def test_films_wait_for_a_bucket_that_is_away_and_pay_nothing(
    bucket: Service, production: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = len(waiting(4, production))
    predictor = worker.predictor_for(production)
    bucket.stop()
    for _ in range(5):
        assert worker.work() is False
        worker.reconcile()
    assert set(Prediction.objects.values_list("state", "attempts")) == {(State.QUEUED, 0)}

    bucket.start()
    predict = predictor.predict

    def and_lose_the_bucket(*args: Any) -> Any:
        answers = predict(*args)
        bucket.stop()
        return answers

    with monkeypatch.context() as patched:
        patched.setattr(predictor, "predict", and_lose_the_bucket)
        worker.work()
    assert set(Prediction.objects.values_list("state", "attempts")) == {(State.QUEUED, 0)}

    bucket.start()
    worker.work()
    assert set(Prediction.objects.values_list("state", "attempts")) == {(State.SUCCEEDED, 1)}
    heatmaps = set(Prediction.objects.values_list("heatmap", flat=True))
    assert len(heatmaps) == films
    assert all(default_storage.exists(name) for name in heatmaps)


@pytest.mark.django_db
def test_a_version_comes_from_the_bucket_whole(
    bucket: Service, production: ModelVersion, settings: Any
) -> None:
    folder = versions.local_artifact(production)
    assert folder == settings.MODEL_CACHE_DIR / production.artifact_hash
    bucket.stop()
    assert versions.local_artifact(production) == folder
    (folder / "model.tflite").write_bytes(b"damaged on this host's disk")
    with pytest.raises(StorageAway):
        versions.local_artifact(production)
    assert list(settings.MODEL_CACHE_DIR.iterdir()) == []
    bucket.start()
    assert (versions.local_artifact(production) / "model.tflite").stat().st_size > 1_000_000


@pytest.mark.django_db
def test_a_film_out_of_reach_is_not_taken_for_one_without_likeness(bucket: Service) -> None:
    film = FilmFactory()
    bucket.stop()
    with pytest.raises(StorageAway):
        duplicates.look([film.patient_id])
    assert not Fingerprint.objects.exists()
    bucket.start()
    duplicates.look([film.patient_id])
    assert bytes(Fingerprint.objects.get().value)


@pytest.mark.django_db
def test_an_evaluation_rests_while_the_bucket_is_away(
    bucket: Service, production: ModelVersion, tmp_path: Path
) -> None:
    reviewer = make_user("reviewer")
    for place, data in enumerate(sample_films(4)):
        film = held_out(FilmFactory(data=data))
        confirm(film, "pneumonia" if place % 2 else "normal", reviewer)
    asked = evaluation.request(candidate_of(tmp_path), reviewer)
    worker.predictor_for(asked.candidate)
    worker.predictor_for(asked.production)
    bucket.stop()
    for _ in range(5):
        evaluation.work()
    asked.refresh_from_db()
    assert (asked.state, asked.attempts) == (Evaluation.State.QUEUED, 0)
    bucket.start()
    evaluation.work()
    asked.refresh_from_db()
    assert asked.state == Evaluation.State.SUCCEEDED
    assert not asked.films.filter(candidate_said="unread").exists()


def zipped(films: Sequence[bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, data in enumerate(films):
            archive.writestr(f"{number}.png", data)
    return buffer.getvalue()


@pytest.mark.django_db
def test_a_zip_waits_for_the_bucket(bucket: Service, production: ModelVersion) -> None:
    patient = PatientFactory()
    batch = BatchFactory(clinic=patient.clinic, patient=patient)
    content = zipped(sample_films(3))
    zip_upload.begin(batch, "a.zip", len(content), "1")
    half = len(content) // 2
    zip_upload.add_part(batch, 0, ContentFile(content[:half]))
    batch.refresh_from_db()
    bucket.stop()
    with pytest.raises(StorageAway):
        zip_upload.add_part(batch, half, ContentFile(content[half:]))
    bucket.start()
    zip_upload.add_part(batch, half, ContentFile(content[half:]))
    bucket.stop()
    assert unpack.work() is False
    unpack.reconcile()
    assert Batch.objects.get().zip_state == Batch.Zip.WAITING
    bucket.start()
    assert unpack.work() is False
    assert Batch.objects.get().zip_state == Batch.Zip.UNPACKED
    assert set(Arrival.objects.values_list("state", flat=True)) == {Arrival.State.STORED}
    assert default_storage.listdir(f"batches/{batch.pk}") == ([], [])
    assert Film.objects.count() == 3


@pytest.mark.django_db
def test_a_zip_waits_for_room(
    production: ModelVersion, private_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = PatientFactory()
    batch = BatchFactory(clinic=patient.clinic, patient=patient)
    content = zipped(sample_films(2))
    zip_upload.begin(batch, "a.zip", len(content), "1")
    zip_upload.add_part(batch, 0, ContentFile(content))
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=0))
        assert unpack.work() is False
    assert set(Arrival.objects.values_list("state", flat=True)) == {Arrival.State.EXPECTED}
    assert unpack.work() is False
    assert set(Arrival.objects.values_list("state", flat=True)) == {Arrival.State.STORED}


@pytest.mark.django_db
def test_a_version_out_of_reach_is_not_called_damaged(
    bucket: Service, production: ModelVersion, tmp_path: Path
) -> None:
    candidate = candidate_of(tmp_path)
    bucket.stop()
    with pytest.raises(versions.PromotionRefused, match=r"does not answer.*cannot be checked now"):
        versions.promote(candidate, by=None, reason="Better")
    assert versions.production() == production
    with pytest.raises(CommandError, match=r"The storage of films does not answer\."):
        call_command("import_model", candidate_artifact(tmp_path / "another", "another-1"))
