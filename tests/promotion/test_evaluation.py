"""Candidate and production read the same locked holdout."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnosis.datasets import holdout
from diagnosis.models import Evaluation, EvaluationFilm, Film, ModelVersion
from diagnosis.promotion import evaluation
from ml.data import training_films
from ml.images.perceptual_hash import fingerprint
from ml.images.reader import read_radiograph
from pneumoweb.accounts.models import User
from tests.support.factories import FilmFactory, ModelVersionFactory, make_user
from tests.support.pictures import png
from tests.support.radiographs import data_set
from tests.support.samples import SAMPLES, sample_films
from tests.support.versions import candidate_of, confirm, finished, held_out, pretend_production

pytestmark = pytest.mark.django_db
Said = EvaluationFilm.Said


@pytest.fixture
def reviewer() -> User:
    return make_user("reviewer")


def reviewed(number: int, reviewer: User, share: str = "holdout") -> list[Film]:
    """Synthetic films with verdicts by turns, of patients of one share."""
    films = []
    for place, data in enumerate(sample_films(number)):
        film = held_out(FilmFactory(data=data), share)
        confirm(film, "pneumonia" if place % 2 else "normal", reviewer, answered="NORMAL")
        films.append(film)
    return films


def test_the_holdout_is_of_locked_patients_and_names_corrected_errors(reviewer: User) -> None:
    right, wrong = reviewed(2, reviewer)
    learned = held_out(FilmFactory(), "train")
    confirm(learned, "pneumonia", reviewer, answered="NORMAL")
    agreed = held_out(FilmFactory(), "train")
    confirm(agreed, "normal", reviewer, answered="NORMAL")
    found = {c.film_id: (c.part, c.label, c.corrected) for c in holdout.films()}
    assert found == {
        right.pk: ("reviewed", "NORMAL", False),
        wrong.pk: ("reviewed", "PNEUMONIA", True),
        learned.pk: ("corrected", "PNEUMONIA", True),
    }


def test_the_base_folder_is_held_out_by_patient(settings: Any, tmp_path: Path) -> None:
    base = tmp_path / "base"
    for label in ("NORMAL", "PNEUMONIA"):
        (base / label).mkdir(parents=True)
    for person in range(30):
        for shot in (1, 2):
            (base / "PNEUMONIA" / f"person{person}_virus_{shot}.png").write_bytes(png(2 * person + shot, 64))
    (base / "NORMAL" / "notes.txt").touch()
    settings.BASE_DATASET, settings.TRAINING_DIR = base, tmp_path
    found = list(holdout.base())
    people = {c.patient for c in found}
    assert 0 < len(people) < 25
    assert len(found) == 2 * len(people)
    assert [c.name for c in found] == [c.name for c in holdout.base()]
    settings.BASE_DATASET = None
    assert list(holdout.base()) == []


def test_a_base_folder_that_is_gone_is_said(
    production: ModelVersion, reviewer: User, settings: Any, tmp_path: Path
) -> None:
    settings.BASE_DATASET = tmp_path / "nowhere"
    asked = evaluation.request(candidate_of(tmp_path), reviewer)
    evaluation.work()
    asked.refresh_from_db()
    assert asked.state == "failed"
    assert "lacks NORMAL/" in asked.failure


def test_both_versions_read_the_same_films_and_what_they_said_is_kept(
    production: ModelVersion, reviewer: User, tmp_path: Path
) -> None:
    films = reviewed(6, reviewer)
    candidate = candidate_of(tmp_path, threshold=0.999999)
    asked = evaluation.request(candidate, reviewer)
    assert evaluation.request(candidate, reviewer) == asked
    assert not evaluation.work()
    asked.refresh_from_db()
    assert asked.state == "succeeded", asked.failure
    assert asked.films.count() == len(films)
    row = asked.films.first()
    assert row
    assert row.candidate_probability == row.production_probability
    part = asked.figures["parts"]["reviewed"]
    assert part["answered_by_both"] == 6
    assert part["candidate"]["confusion"][1][1] == 0
    assert part["difference"]["auc"]["value"] == 0
    receipts = asked.figures["receipts"]
    assert receipts["run"] == receipts["same"] == 6
    assert asked.figures["parts"]["base"]["films"] == 0


def test_films_that_taught_a_version_elsewhere_are_left_out_and_said(
    production: ModelVersion, client: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff = make_user("staff")
    films = reviewed(5, make_user("reviewer"))
    settings.BASE_DATASET, settings.TRAINING_DIR = data_set(tmp_path / "base", 20), tmp_path
    of_base = list(holdout.base())
    told = [fingerprint(read_radiograph(sample_films(5)[0])), of_base[0].print]
    monkeypatch.setattr(training_films, "FILE", tmp_path / "known.npz")
    training_films.keep({production.card["data"]["hash"]: told}, training_films.FILE)
    alike = len(training_films.known([film.print for film in of_base], production.card))
    assert 1 <= alike < len(of_base)
    asked = evaluation.request(candidate_of(tmp_path), staff)
    assert not evaluation.work()
    asked.refresh_from_db()
    assert asked.figures["known"] == {"reviewed": 1, "base": alike}
    assert {row.film_id for row in asked.films.filter(part="reviewed")} == {film.pk for film in films[1:]}
    assert asked.films.filter(part="base").count() == len(of_base) - alike
    client.force_login(staff)
    page = client.get(reverse("evaluation", args=[asked.pk])).content.decode()
    assert f"{1 + alike} films of the holdout are left out (of the base folder {alike}, reviewed 1)" in page


def test_an_answer_that_cannot_be_made_again_is_found(
    production: ModelVersion, reviewer: User, tmp_path: Path
) -> None:
    reviewed(2, reviewer)
    asked = evaluation.request(candidate_of(tmp_path), reviewer)
    evaluation.work()
    row = asked.films.first()
    assert row
    row.candidate_probability = 0.123
    row.save()
    asked.refresh_from_db()
    found = evaluation.run_again(asked, 8)
    assert (found["run"], found["same"]) == (2, 1)


def test_another_worker_goes_on_where_one_stopped(
    production: ModelVersion, reviewer: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviewed(4, reviewer)
    monkeypatch.setattr(evaluation, "BATCH", 2)
    asked = evaluation.request(candidate_of(tmp_path), reviewer)
    assert evaluation.work(seconds=-1), "time is up before the first batch"
    asked.refresh_from_db()
    assert (asked.state, asked.attempts, asked.films.count()) == ("queued", 0, 4)
    first = asked.films.order_by("pk")[0]
    EvaluationFilm.objects.filter(pk=first.pk).update(
        candidate_said=Said.REFUSED, production_said=Said.REFUSED
    )
    late = timezone.now() - timedelta(seconds=1)
    Evaluation.objects.update(state="running", lease_token="0" * 32, lease_until=late, attempts=1)
    assert evaluation.reconcile() == 1
    assert not evaluation.work()
    asked.refresh_from_db()
    assert asked.state == "succeeded"
    # What the dead worker had stored was not read again.
    assert asked.figures["parts"]["reviewed"]["candidate_refused"] == 1


def test_a_film_whose_file_is_gone_is_counted_not_measured(
    production: ModelVersion, reviewer: User, tmp_path: Path
) -> None:
    films = reviewed(3, reviewer)
    default_storage.delete(str(films[0].file.name))
    asked = evaluation.request(candidate_of(tmp_path), reviewer)
    evaluation.work()
    asked.refresh_from_db()
    assert asked.state == "succeeded"
    assert asked.figures["parts"]["reviewed"]["unread"] == 1


def test_a_damaged_candidate_fails_in_words(production: ModelVersion, reviewer: User, tmp_path: Path) -> None:
    candidate = candidate_of(tmp_path)
    name = f"models/{candidate.artifact_hash}/model.keras"
    default_storage.delete(name)
    default_storage.save(name, ContentFile(b"something else"))
    asked = evaluation.request(candidate, reviewer)
    assert not evaluation.work()
    asked.refresh_from_db()
    assert asked.state == "failed"
    assert "its hash is not the card's" in asked.failure


def test_nothing_to_compare_with_is_said(production: ModelVersion, reviewer: User) -> None:
    with pytest.raises(evaluation.CannotEvaluate, match="in production itself"):
        evaluation.request(production, reviewer)
    ModelVersion.objects.update(stage="retired")
    with pytest.raises(evaluation.CannotEvaluate, match="No version is in production"):
        evaluation.request(ModelVersionFactory(), reviewer)


def test_the_database_refuses_two_open_evaluations_of_one_candidate() -> None:
    candidate, current = ModelVersionFactory(), pretend_production()
    Evaluation.objects.create(candidate=candidate, production=current)
    with pytest.raises(IntegrityError), transaction.atomic():
        Evaluation.objects.create(candidate=candidate, production=current)
    with pytest.raises(IntegrityError), transaction.atomic():
        Evaluation.objects.create(candidate=current, production=current)


def test_the_page_shows_both_sides_and_only_films_of_the_own_clinic(client: Client, reviewer: User) -> None:
    candidate, current = ModelVersionFactory(name="new-1"), pretend_production()
    shown = finished(candidate, current, patients=25, missed=3, missed_before=1)
    for film in (FilmFactory(), FilmFactory()):
        EvaluationFilm.objects.create(
            evaluation=shown, part="reviewed", film=film, patient=f"patient {film.patient_id}", label="NORMAL",
            candidate_said="PNEUMONIA", candidate_probability=0.8, production_said="NORMAL",
            production_probability=0.3, corrected=True,
        )  # fmt: skip
    staff = make_user("staff", film.patient.clinic)
    client.force_login(staff)
    page = client.get(reverse("evaluation", args=[shown.pk])).content.decode()
    for words in (
        "Is new-1 better than now-1?",
        "few patients",
        "−8.0 points",
        "McNemar",
        "false alarm",
        "1 more in other clinics",
    ):
        assert words in page, words
    assert reverse("film", args=[film.pk]) in page


def test_the_page_of_a_waiting_evaluation_asks_until_it_is_done(client: Client) -> None:
    candidate, current = ModelVersionFactory(), pretend_production()
    client.force_login(make_user("staff"))
    response = client.post(reverse("model_evaluate", args=[candidate.pk]), follow=True)
    asked = Evaluation.objects.get()
    assert 'hx-trigger="every 2s"' in response.content.decode()
    Evaluation.objects.update(state="failed", failure="Broken.")
    fragment = client.get(reverse("evaluation", args=[asked.pk]), headers={"HX-Request": "true"})
    assert fragment["HX-Refresh"] == "true"
    assert "hx-trigger" not in fragment.content.decode()
    assert current.name in response.content.decode()


def test_a_base_film_is_shown_to_staff(client: Client, settings: Any) -> None:
    shown = finished(ModelVersionFactory(), pretend_production(), patients=2)
    row = shown.films.first()
    assert row
    client.force_login(make_user("staff"))
    settings.BASE_DATASET = None
    assert client.get(reverse("base_picture", args=[row.pk])).status_code == 404
    settings.BASE_DATASET = SAMPLES
    EvaluationFilm.objects.filter(pk=row.pk).update(name=sorted(SAMPLES.glob("*.png"))[0].name)
    response = client.get(reverse("base_picture", args=[row.pk]))
    assert response.content[:4] == b"\x89PNG"
