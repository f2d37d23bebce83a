"""The queue: each film gets exactly one answer, whatever dies, gets lost or comes twice."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connections
from django.utils import timezone
from PIL import Image

from diagnosis.core.queue import notify_worker
from diagnosis.inference import worker as inference_worker
from diagnosis.models import Film, ModelVersion, Prediction
from ml.errors import ArtifactError
from tests.support.factories import (
    FilmFactory,
    ModelVersionFactory,
    PredictionFactory,
    StudyFactory,
    TrainingRunFactory,
)
from tests.support.pictures import encoded
from tests.support.processes import RECONCILE, WORKER, Broker, Child, wait_for
from tests.support.samples import sample_films
from tests.support.versions import held_out

State = Prediction.State
committed = pytest.mark.django_db(transaction=True)
Start = Callable[..., Child]


def queue(number: int, version: ModelVersion, name: str = "film.png") -> list[Prediction]:
    """Queue predictions of synthetic films, each another picture, all of one study."""
    study = StudyFactory()
    return [
        PredictionFactory(film=FilmFactory(study=study, data=data, name=name), model_version=version)
        for data in sample_films(number)
    ]


def lease(prediction: Prediction, seconds: float = 60) -> Prediction:
    """Return the prediction as claimed by one worker, alone, with a lease of `seconds` from now."""
    (claimed,) = inference_worker.claim(limit=1)
    assert claimed == prediction
    Prediction.objects.filter(pk=prediction.pk).update(
        lease_until=timezone.now() + timedelta(seconds=seconds)
    )
    return claimed


def states() -> Counter[str]:
    return Counter(Prediction.objects.values_list("state", flat=True))


# ---------------------------------------------------------------- claim


@pytest.mark.django_db
def test_the_longest_waiting_are_claimed_first_and_in_batches() -> None:
    version, now = ModelVersionFactory(), timezone.now()
    waiting = [
        PredictionFactory(model_version=version, queued_at=now - timedelta(seconds=s)) for s in (1, 3, 2)
    ]
    first = inference_worker.claim(limit=2)
    assert first == [waiting[1], waiting[2]]
    assert {(p.state, p.attempts) for p in first} == {(State.RUNNING, 1)}
    assert inference_worker.claim(limit=2) == [waiting[0]]
    assert inference_worker.claim() == []


@pytest.mark.django_db
def test_a_batch_is_of_one_model_version() -> None:
    old, new = PredictionFactory(), PredictionFactory()
    assert inference_worker.claim() == [old]
    assert inference_worker.claim() == [new]


@pytest.mark.django_db
def test_what_was_tried_before_is_claimed_alone() -> None:
    version, now = ModelVersionFactory(), timezone.now()
    tried = PredictionFactory(model_version=version, attempts=1, queued_at=now - timedelta(seconds=9))
    fresh = [PredictionFactory(model_version=version) for _ in range(3)]
    assert inference_worker.claim() == [tried]
    assert inference_worker.claim() == fresh


def claim_until_empty(results: Any) -> None:
    while batch := inference_worker.claim(limit=3):
        results.put([(p.pk, p.attempts) for p in batch])
    connections.close_all()
    results.put(None)


@committed
def test_of_several_processes_one_gets_each_film() -> None:
    study, version = StudyFactory(), ModelVersionFactory()
    expected = {PredictionFactory(film=FilmFactory(study=study), model_version=version).pk for _ in range(60)}
    # A connection must not be shared by parent and child.
    connections.close_all()
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    workers = [fork.Process(target=claim_until_empty, args=(results,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    claimed = []
    for _ in workers:
        claimed += [row for batch in iter(lambda: results.get(timeout=60), None) for row in batch]
    for worker in workers:
        worker.join(10)
        assert worker.exitcode == 0
    assert sorted(pk for pk, _ in claimed) == sorted(expected)
    assert {attempts for _, attempts in claimed} == {1}


# ---------------------------------------------------------------- answers


@pytest.mark.django_db
def test_films_are_answered_with_heatmap_and_receipt(production: ModelVersion) -> None:
    queue(3, production)
    assert inference_worker.work() is False
    for prediction in Prediction.objects.all():
        assert prediction.state == State.SUCCEEDED, prediction.reasons
        assert prediction.probability is not None
        assert prediction.label == (
            "PNEUMONIA" if prediction.probability >= production.card["threshold"] else "NORMAL"
        )
        assert prediction.threshold == production.card["threshold"]
        assert not prediction.known
        assert prediction.heatmap.open().read(8) == b"\x89PNG\r\n\x1a\n"
        assert prediction.receipt["weights_sha256"] in production.card["files"].values()
        assert prediction.compute_ms
        assert prediction.compute_ms > 0
        assert prediction.finished_at
        assert prediction.started_at
        assert prediction.finished_at >= prediction.started_at >= prediction.queued_at


@pytest.mark.django_db
@pytest.mark.usefixtures("taught")
def test_an_answer_on_a_film_that_taught_the_version_is_marked(production: ModelVersion) -> None:
    queue(1, production)
    inference_worker.work()
    answered = Prediction.objects.get()
    assert answered.known
    assert any("learned from this film" in warning for warning in answered.warnings)
    assert not Prediction.objects.judging().exists()


@pytest.mark.django_db
def test_films_that_taught_the_version_here_are_marked_when_it_reads_them_again(
    production: ModelVersion,
) -> None:
    now = timezone.now()
    TrainingRunFactory(version=production, state="succeeded", finished_at=now)
    asked = {}
    for name, share, came in (
        ("learned", "train", now - timedelta(days=1)),
        ("chosen by", "validation", now - timedelta(days=1)),
        ("later", "train", now + timedelta(seconds=1)),
        ("refused", "train", now - timedelta(days=1)),
    ):
        asked[name] = (
            queue(1, production)[0]
            if name != "refused"
            else PredictionFactory(
                film=FilmFactory(data=encoded(Image.new("L", (256, 256), 90))), model_version=production
            )
        )
        film = held_out(asked[name].film, share)
        Film.objects.filter(pk=film.pk).update(created_at=came)
    asked["of nobody yet"] = queue(1, production)[0]
    inference_worker.work()
    for name, prediction in asked.items():
        prediction.refresh_from_db()
        assert prediction.known == (inference_worker.TAUGHT in prediction.warnings) == (name == "learned"), (
            name
        )


@pytest.mark.django_db
def test_the_same_film_gets_the_same_answer_again(production: ModelVersion) -> None:
    queue(1, production)
    inference_worker.work()
    first = Prediction.objects.get()
    Prediction.objects.update(state=State.QUEUED, probability=None, label="", attempts=0, receipt={})
    inference_worker.work()
    second = Prediction.objects.get()
    assert (first.probability, first.receipt) == (second.probability, second.receipt)


@pytest.mark.django_db
def test_a_picture_that_is_no_film_is_not_answered(production: ModelVersion) -> None:
    blank = encoded(Image.new("L", (256, 256), 90))
    PredictionFactory(film=FilmFactory(data=blank), model_version=production)
    inference_worker.work()
    prediction = Prediction.objects.get()
    assert prediction.state == State.REJECTED
    assert prediction.reasons
    assert (prediction.label, prediction.probability, prediction.heatmap.name) == ("", None, "")


# ---------------------------------------------------------------- leases


@pytest.mark.django_db
def test_who_has_lost_the_lease_cannot_answer(production: ModelVersion, empty_files: Path) -> None:
    (queued,) = queue(1, production)
    slow = lease(queued, seconds=-1)
    assert inference_worker.reconcile() == {"reclaimed": 1, "failed": 0, "waiting": 1}
    quick = lease(queued)
    inference_worker.analyse([quick])
    answered = Prediction.objects.get()
    inference_worker.analyse([slow])
    assert Prediction.objects.values().get() == Prediction.objects.filter(pk=answered.pk).values().get()
    assert Prediction.objects.get().heatmap == answered.heatmap
    assert answered.attempts == 2
    assert len(list((empty_files / "heatmaps").rglob("*.png"))) == 1


@pytest.mark.django_db
def test_a_running_lease_is_left_alone() -> None:
    lease(PredictionFactory(), seconds=60)
    assert inference_worker.reconcile() == {"reclaimed": 0, "failed": 0, "waiting": 0}


@pytest.mark.django_db
def test_the_third_lost_lease_fails_the_film() -> None:
    prediction = PredictionFactory()
    for expected in (
        {"reclaimed": 1, "failed": 0},
        {"reclaimed": 1, "failed": 0},
        {"reclaimed": 0, "failed": 1},
    ):
        lease(prediction, seconds=-1)
        tally = inference_worker.reconcile()
        assert {name: tally[name] for name in expected} == expected
    prediction.refresh_from_db()
    assert (prediction.state, prediction.attempts) == (State.FAILED, 3)
    assert "tried 3 times" in prediction.failure
    assert inference_worker.claim() == []


@pytest.mark.django_db
def test_a_bad_film_fails_alone(production: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    *good, bad = queue(4, production)
    predictor = inference_worker.predictor_for(production)
    predict, cause = predictor.predict, inference_worker._read(bad).pixels

    def stumble(films: Any, ages: Any, threshold: float | None) -> Any:
        if any(np.array_equal(film.pixels, cause) for film in films):
            raise ValueError("a bug")
        return predict(films, ages, threshold)

    monkeypatch.setattr(predictor, "predict", stumble)
    for _ in range(3):
        inference_worker.work()
        # A film that failed alone rests until its lease ends.
        Prediction.objects.running().update(lease_until=timezone.now() - timedelta(seconds=1))
        inference_worker.reconcile()
    bad.refresh_from_db()
    assert (bad.state, bad.attempts) == (State.FAILED, 3)
    assert "ValueError" in bad.failure
    assert [Prediction.objects.get(pk=p.pk).state for p in good] == [State.SUCCEEDED] * 3


@pytest.mark.django_db
def test_a_storage_that_is_away_costs_one_attempt_a_lease(
    production: ModelVersion, empty_files: Path
) -> None:
    (prediction,) = queue(1, production)
    film = Path(prediction.film.file.path)
    film.rename(film.with_suffix(".away"))
    inference_worker.work()
    inference_worker.work()
    prediction.refresh_from_db()
    assert (prediction.state, prediction.attempts) == (State.RUNNING, 1)
    film.with_suffix(".away").rename(film)
    Prediction.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    inference_worker.reconcile()
    inference_worker.work()
    prediction.refresh_from_db()
    assert (prediction.state, prediction.failure) == (State.SUCCEEDED, "")


@pytest.mark.django_db
def test_films_of_a_model_that_cannot_be_loaded_wait(
    production: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = PredictionFactory(queued_at=timezone.now() - timedelta(hours=1))
    queue(2, production)
    with pytest.raises((ArtifactError, OSError)):
        inference_worker.predictor_for(broken.model_version)
    assert inference_worker.work() is False
    broken.refresh_from_db()
    assert (broken.state, broken.attempts) == (State.QUEUED, 0)
    assert states() == {State.SUCCEEDED: 2, State.QUEUED: 1}


# ---------------------------------------------------------------- the real worker


@committed
def test_a_killed_worker_loses_no_film(
    production: ModelVersion, broker: Broker, start: Start, tmp_path: Path, empty_files: Path
) -> None:
    films = len(queue(12, production))
    flag = tmp_path / "stumbled"
    short = {"LEASE_SECONDS": "3", "WORKERS": "1", "INFERENCE_BATCH": "8"}
    notify_worker()
    worker = start(
        *WORKER, "--include", "tests.support.broken_runtime", STOP_AT_STORE="4", STUMBLED=str(flag), **short
    )
    wait_for(flag.exists, 60)
    assert states() == {State.SUCCEEDED: 3, State.RUNNING: 5, State.QUEUED: 4}
    os.kill(int(flag.read_text()), signal.SIGKILL)
    start(*RECONCILE, **short)
    wait_for(lambda: states() == {State.SUCCEEDED: films}, 60)
    attempts = Counter(Prediction.objects.values_list("attempts", flat=True))
    assert attempts == {1: 7, 2: 5}
    assert worker.process.poll() is None
    named = set(Prediction.objects.values_list("heatmap", flat=True))
    stored = {str(path.relative_to(empty_files)) for path in (empty_files / "heatmaps").rglob("*.png")}
    assert len(named) == films
    assert stored == named


@committed
def test_a_film_that_kills_its_reader_fails_alone(
    production: ModelVersion, broker: Broker, start: Start, tmp_path: Path
) -> None:
    good = [p.pk for p in queue(5, production)]
    (poison,) = [
        PredictionFactory(
            film=FilmFactory(name="poison.png"), model_version=production, queued_at=timezone.now()
        )
    ]
    deaths = tmp_path / "deaths"
    short = {"LEASE_SECONDS": "1.5", "WORKERS": "1"}
    notify_worker()
    start(
        *WORKER,
        "--include",
        "tests.support.broken_runtime",
        POISON="poison.png",
        STUMBLED=str(deaths),
        **short,
    )
    start(*RECONCILE, **short)
    wait_for(lambda: states() == {State.SUCCEEDED: 5, State.FAILED: 1}, 90)
    poison.refresh_from_db()
    assert (poison.state, poison.attempts) == (State.FAILED, 3)
    assert len(set(deaths.read_text().split())) == 3
    assert set(Prediction.objects.filter(pk__in=good).values_list("attempts", flat=True)) <= {1, 2}


@committed
def test_films_whose_messages_are_lost_are_answered(
    production: ModelVersion, broker: Broker, start: Start
) -> None:
    if not broker.process:
        pytest.skip("the broker is a file")
    queue(4, production)
    assert notify_worker()
    assert broker.client.llen("inference") == 1
    broker.client.flushall()
    assert broker.client.llen("inference") == 0
    worker = start(*WORKER)
    worker.says(" ready.")
    time.sleep(1)
    assert states() == {State.QUEUED: 4}
    start(*RECONCILE)
    wait_for(lambda: states() == {State.SUCCEEDED: 4}, 30)
    assert set(Prediction.objects.values_list("attempts", flat=True)) == {1}
