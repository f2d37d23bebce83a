"""Waking workers through real brokers: messages never pile up, whoever is dead or busy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery, Task, current_app
from django.utils import timezone

from diagnosis import tasks
from diagnosis.core import queue as core_queue
from diagnosis.management.commands.reconcile import once
from diagnosis.models import Evaluation
from pneumoweb.server.broker import embedded
from tests.pneumoweb.server.test_broker import HERE
from tests.support.factories import BatchFactory, ModelVersionFactory, PredictionFactory, TrainingRunFactory
from tests.support.processes import Broker


@pytest.fixture(params=[*HERE, "sqlalchemy"])
def task(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Task]:
    """A task of an app of its own, on each kind of broker."""
    chosen = embedded(tmp_path / "broker", request.param)
    running = Broker(chosen)
    running.start()
    app = Celery("test", broker=chosen.url, set_as_current=False)
    app.conf.task_publish_retry_policy = current_app.conf.task_publish_retry_policy
    app.conf.task_routes = {"nothing": {"queue": "somewhere"}}
    yield app.task(nothing, name="nothing")
    app.close()
    running.stop()


def nothing() -> None:
    """What no worker is ever asked to do."""


def length(task: Task) -> int:
    with task.app.producer_or_acquire() as producer:
        return core_queue.waiting(task.app, task.name, producer)


def test_a_message_is_sent_only_while_fewer_wait_than_are_of_use(task: Task) -> None:
    assert length(task) == 0
    assert all(core_queue.send(task.app, task.name, most=2) for _ in range(20))
    assert length(task) == 2
    with task.app.connection_for_read() as connection, connection.SimpleQueue("somewhere") as queue:
        message = queue.get(timeout=10)
        core_queue.send(task.app, task.name, most=2)
        assert length(task) == 2, "what a worker has in its hands does not wait"
        message.ack()


@pytest.mark.django_db
def test_without_workers_nothing_piles_up(broker: Broker, settings: object) -> None:
    settings.WORKERS, settings.INFERENCE_BATCH = 2, 1  # type: ignore[attr-defined]
    version = ModelVersionFactory(stage="production")
    PredictionFactory.create_batch(5, model_version=version)
    Evaluation.objects.create(candidate=ModelVersionFactory(), production=version, queued_at=timezone.now())
    TrainingRunFactory()
    BatchFactory(zip_state="waiting")
    every = (tasks.analyse_waiting, tasks.evaluate_waiting, tasks.train_waiting, tasks.unpack_waiting)
    for task in every:
        with current_app.connection_for_write() as connection:
            queue = current_app.amqp.router.route({}, task.name)["queue"]
            queue.bind(connection.default_channel).purge()
    for _ in range(4):
        once()
        assert core_queue.notify_worker()
    assert [length(task) for task in every] == [2, 1, 1, 1]
