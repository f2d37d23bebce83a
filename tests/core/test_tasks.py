"""Waking workers: quick, and without harm where the broker is away."""

import time
import uuid
from collections.abc import Callable
from datetime import date

import pytest
from django.core.files.base import ContentFile

from diagnosis import tasks
from diagnosis.core import queue
from diagnosis.intake import films
from diagnosis.management.commands.reconcile import once
from diagnosis.models import ModelVersion, Prediction
from diagnosis.monitoring import heartbeat
from pneumoweb.server.broker import EmbeddedBroker
from tests.support.factories import ModelVersionFactory, PatientFactory, PredictionFactory, make_user
from tests.support.processes import RECONCILE, WORKER, Broker, Child, wait_for
from tests.support.samples import sample_films

Start = Callable[..., Child]


@pytest.mark.django_db(transaction=True)
def test_an_upload_needs_no_broker_and_is_answered_once_there_is_one(
    production: ModelVersion, broker: Broker, start: Start
) -> None:
    if not broker.process:
        pytest.skip("the broker is a file, so it is never away")
    broker.stop()
    patient = PatientFactory()
    begun = time.monotonic()
    received = films.receive(
        make_user(clinic=patient.clinic),
        patient,
        ContentFile(sample_films(1)[0], name="film.png"),
        taken_on=date(2026, 11, 22),
        upload_key=uuid.uuid4(),
    )
    assert time.monotonic() - begun < 2
    assert received.created
    assert Prediction.objects.get().state == Prediction.State.QUEUED
    worker = start(*WORKER)
    worker.says("Cannot connect to redis+socket")
    broker.start()
    start(*RECONCILE)
    wait_for(lambda: Prediction.objects.get().state == Prediction.State.SUCCEEDED, 60)
    assert Prediction.objects.get().attempts == 1


def test_wake_says_that_the_broker_is_away(embedded_broker: EmbeddedBroker) -> None:
    if not embedded_broker.program:
        pytest.skip("the broker is a file, so it is never away")
    begun = time.monotonic()
    assert queue.notify_worker() is False
    assert time.monotonic() - begun < 2


@pytest.mark.django_db
def test_reconcile_wakes_a_worker_for_each_batch_that_waits(
    monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    settings.WORKERS, settings.INFERENCE_BATCH = 3, 2  # type: ignore[attr-defined]
    woken: list[bool] = []
    monkeypatch.setattr(queue, "notify_worker", lambda: woken.append(True))
    once()
    assert len(woken) == 1, "no worker was ever heard of: one is woken to leave a sign"
    woken.clear()
    heartbeat.leave()
    once()
    assert len(woken) == 0
    version = ModelVersionFactory()
    for expected in (1, 1, 2, 2, 3, 3, 3):
        woken.clear()
        PredictionFactory(model_version=version)
        once()
        assert len(woken) == expected


@pytest.mark.django_db
def test_a_task_that_left_films_waiting_wakes_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[bool] = []
    monkeypatch.setattr(queue, "notify_worker", lambda: woken.append(True))
    monkeypatch.setattr(tasks.worker, "work", lambda: False)
    tasks.analyse_waiting()
    assert not woken
    monkeypatch.setattr(tasks.worker, "work", lambda: True)
    tasks.analyse_waiting()
    assert woken
