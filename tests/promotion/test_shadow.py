"""A candidate reads new films beside production, and nobody who treats a patient sees what it says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.core import queue
from diagnosis.core.permissions import visible_films
from diagnosis.core.querysets import with_predictions
from diagnosis.inference import requests, worker
from diagnosis.management.commands.reconcile import once
from diagnosis.models import Film, ModelVersion, Prediction, Review, ShadowAnswer, ShadowRun
from diagnosis.promotion import shadow
from diagnosis.reading.worklist import visible_rows
from tests.support.factories import ClinicFactory, FilmFactory, ModelVersionFactory, PatientFactory, make_user
from tests.support.samples import sample_films
from tests.support.versions import candidate_of, film_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def beside(production: ModelVersion, tmp_path: Path) -> ShadowRun:
    """A candidate in the shadow that answers normal whatever it sees."""
    candidate = candidate_of(tmp_path, threshold=0.999999)
    return shadow.start(candidate, make_user("staff"), "Before we promote it")


def answered(production: ModelVersion, number: int = 2) -> list[Film]:
    """New films of one clinic, answered by production."""
    patient = PatientFactory(clinic=ClinicFactory())
    films = [film_of(patient, data=data) for data in sample_films(number)]
    for film in films:
        requests.again(film, production)
    worker.work()
    return films


def test_it_reads_only_films_that_came_after_its_start(production: ModelVersion, tmp_path: Path) -> None:
    answered(production, 1)
    run = shadow.start(candidate_of(tmp_path), make_user("staff"), "Look")
    assert not shadow.due()
    new = answered(production, 2)
    assert shadow.due()
    assert not shadow.work()
    assert set(run.answers.values_list("film_id", flat=True)) == {film.pk for film in new}
    assert shadow.outcome(run)["differ"] == 0
    assert not shadow.due()
    shadow.work()
    assert run.answers.count() == 2


def test_it_gives_way_to_films_that_wait(production: ModelVersion, beside: ShadowRun) -> None:
    answered(production)
    requests.again(FilmFactory(data=sample_films(3)[2]), production)
    assert not shadow.due()
    shadow.work()
    assert not beside.answers.exists()


def test_nothing_that_it_says_is_met_anywhere_else(
    client: Client, production: ModelVersion, beside: ShadowRun
) -> None:
    film, _ = answered(production)
    shadow.work()
    assert beside.answers.count() == 2
    assert Prediction.objects.count() == 2
    reviewer = make_user("reviewer", film.patient.clinic)
    shown = with_predictions(visible_films(reviewer)).get(pk=film.pk)
    assert [p.model_version for p in shown.predictions.all()] == [production]
    assert visible_rows(reviewer).count() == 2
    client.force_login(make_user("clinician", film.patient.clinic))
    for address in (
        reverse("film", args=[film.pk]),
        reverse("patient", args=[film.patient_id]),
        reverse("home"),
    ):
        assert beside.version.name not in client.get(address).content.decode()
    # Once promoted it answers in the open like any other version.
    ModelVersion.objects.filter(pk=production.pk).update(stage="retired")
    ModelVersion.objects.filter(pk=beside.version_id).update(stage="production")
    assert requests.again(film, beside.version).state == "queued"


def test_disagreements_are_a_worklist_until_a_label_is_confirmed(
    client: Client, production: ModelVersion, beside: ShadowRun
) -> None:
    film, other = answered(production)
    shadow.work()
    # Let the two differ on the first film alone, whatever the model made of these synthetic ones.
    ShadowAnswer.objects.filter(run=beside)._raw_delete(using="default")
    for row, agrees in ((film, False), (other, True)):
        prediction = row.predictions.get()
        said = prediction.label if agrees else ("NORMAL" if prediction.label == "PNEUMONIA" else "PNEUMONIA")
        ShadowAnswer.objects.create(
            run=beside, film=row, shown=prediction, said=said, probability=0.5, agrees=agrees
        )
    reviewer = make_user("reviewer", film.patient.clinic)
    client.force_login(reviewer)
    page = client.get(reverse("disagreements")).content.decode()
    assert reverse("review_film", args=[film.pk]) in page
    assert reverse("review_film", args=[other.pk]) not in page
    assert not shadow.disagreements(make_user("reviewer")).exists(), "films of another clinic"
    prediction = film.predictions.get()
    Review.objects.create(prediction=prediction, reviewer=reviewer, verdict=prediction.label.lower())
    assert not shadow.disagreements(reviewer).exists()
    found = shadow.outcome(beside)
    assert (found["read"], found["differ"], found["confirmed"]) == (2, 1, 1)
    assert (found["shadow_right"], found["shown_right"]) == (0, 1)


@pytest.mark.usefixtures("taught")
def test_a_film_that_taught_a_version_does_not_tell_which_is_right(
    production: ModelVersion, tmp_path: Path
) -> None:
    run = shadow.start(candidate_of(tmp_path, threshold=0.000001), make_user("staff"), "It finds all")
    films = answered(production, 4)
    shadow.work()
    reviewer = make_user("reviewer", films[0].patient.clinic)
    for film in films:
        Review.objects.create(prediction=film.predictions.get(), reviewer=reviewer, verdict="normal")
    found = shadow.outcome(run)
    assert found["known"] == found["differ"] > 0
    assert found["confirmed"] == found["shadow_right"] == 0


@pytest.mark.parametrize(
    ("hours", "at", "open_now"),
    [
        (None, 12, True), ((22, 6), 23, True), ((22, 6), 5, True), ((22, 6), 6, False), ((22, 6), 12, False),
        ((1, 4), 1, True), ((1, 4), 4, False),
    ],
)  # fmt: skip
def test_hours_may_go_over_midnight(hours: tuple[int, int] | None, at: int, open_now: bool) -> None:
    run = shadow.start(ModelVersionFactory(), make_user("staff"), "At night", hours)
    assert shadow.within_hours(run, datetime(2026, 11, 22, at, 30, tzinfo=UTC)) is open_now


def test_one_worker_reads_for_a_run_at_a_time(production: ModelVersion, beside: ShadowRun) -> None:
    answered(production)
    token = shadow.LEASES.claim(ShadowRun.objects.filter(pk=beside.pk))
    assert token
    assert shadow.LEASES.claim(ShadowRun.objects.filter(pk=beside.pk)) is None
    assert not shadow.work()
    assert not beside.answers.exists()


def test_a_shadow_whose_artifact_is_damaged_says_so(production: ModelVersion, beside: ShadowRun) -> None:
    answered(production)
    ModelVersion.objects.filter(pk=beside.version_id).update(artifact_hash="f" * 64)
    assert not shadow.work()
    beside.refresh_from_db()
    assert "no model folder" in beside.trouble
    assert beside.lease_token is None


def test_reconcile_wakes_the_shadow(
    production: ModelVersion, beside: ShadowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(queue, "notify_worker", lambda task=queue.ANALYSE: woken.append(task))
    once()
    assert "diagnosis.tasks.read_in_shadow" not in woken
    answered(production)
    once()
    assert "diagnosis.tasks.read_in_shadow" in woken


def test_the_pages_start_and_end_it(client: Client, production: ModelVersion) -> None:
    candidate = ModelVersionFactory(name="shade-1")
    client.force_login(make_user("staff"))
    start = reverse("shadow_start", args=[candidate.pk])
    for wrong in ({}, {"reason": "x", "hour_from": 22}, {"reason": "x", "hour_from": 22, "hour_to": 24}):
        assert "was not started" in client.post(start, wrong, follow=True).content.decode()
    client.post(start, {"reason": "Look at it", "hour_from": 22, "hour_to": 6})
    page = client.post(start, {"reason": "Twice"}, follow=True).content.decode()
    assert "reads in the shadow already" in page
    assert "Between 22 and 6" in page
    assert "in the shadow" in client.get(reverse("models")).content.decode()
    client.post(reverse("shadow_end", args=[ShadowRun.objects.get().pk]))
    assert ShadowRun.objects.get().ended_by
    refused = client.post(reverse("shadow_start", args=[production.pk]), {"reason": "Why"}, follow=True)
    assert "reads every film in the open" in refused.content.decode()
