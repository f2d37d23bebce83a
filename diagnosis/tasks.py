"""Celery's entry points, and the signals that tie the model's life to a worker's child."""

from celery import shared_task
from celery.signals import worker_process_init
from celery.worker import state
from django.db import connections

from diagnosis.core import queue
from diagnosis.inference import worker
from diagnosis.intake.batches import unpack
from diagnosis.monitoring import heartbeat
from diagnosis.promotion import evaluation, shadow
from diagnosis.training import runs


@shared_task(name="diagnosis.tasks.analyse_waiting")
def analyse_waiting() -> None:
    """Answer the films that wait. The message carries nothing: what waits is in the database."""
    heartbeat.leave()
    if worker.work():
        queue.notify_worker()


@shared_task(name="diagnosis.tasks.unpack_waiting")
def unpack_waiting() -> None:
    """Read films out of the zips that wait."""
    if unpack.work():
        queue.notify_unpacker()


@shared_task(name="diagnosis.tasks.evaluate_waiting")
def evaluate_waiting() -> None:
    """Get on with evaluations of candidates, on the training worker: films never wait for them."""
    if evaluation.work():
        queue.notify_worker(queue.EVALUATE)
    else:
        worker.unload()


@shared_task(name="diagnosis.tasks.read_in_shadow")
def read_in_shadow() -> None:
    """Let candidates read in the shadow, on the training worker."""
    if shadow.work():
        queue.notify_worker(queue.SHADOW)
    else:
        worker.unload()


@shared_task(name="diagnosis.tasks.train_waiting")
def train_waiting() -> None:
    """Carry out the training runs that wait, one after the other."""
    runs.work(stopping=lambda: state.should_stop is not None or state.should_terminate is not None)


@worker_process_init.connect
def load_model(**_: object) -> None:
    """Load the model in the child, after the fork: a child of a parent that ran the model may hang."""
    connections.close_all()
    worker.warm_up()
