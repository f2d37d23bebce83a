"""Celery's entry points, and the signals that tie the model's life to a worker's child."""

from celery import Task, shared_task
from celery.signals import worker_process_init
from celery.worker import state
from django.conf import settings
from django.db import connections

from diagnosis import evaluation, inference, shadow, training, waking
from diagnosis.monitoring import signs


@shared_task(name="diagnosis.tasks.analyse_waiting")
def analyse_waiting() -> None:
    """Answer the films that wait. The message carries nothing: what waits is in the database."""
    signs.leave()
    if inference.work():
        wake()


@shared_task(name="diagnosis.tasks.evaluate_waiting")
def evaluate_waiting() -> None:
    """Get on with evaluations of candidates, on the training worker: films never wait for them."""
    if evaluation.work():
        wake(evaluate_waiting)
    else:
        inference.unload()


@shared_task(name="diagnosis.tasks.read_in_shadow")
def read_in_shadow() -> None:
    """Let candidates read in the shadow, on the training worker."""
    if shadow.work():
        wake(read_in_shadow)
    else:
        inference.unload()


def wake(task: Task = analyse_waiting) -> bool:
    """Wake a worker; return False where the broker is away. The work waits in the database all the same."""
    return waking.send(task, settings.WORKERS if task is analyse_waiting else 1)


@shared_task(name="diagnosis.tasks.train_waiting")
def train_waiting() -> None:
    """Carry out the training runs that wait, one after the other."""
    training.work(stopping=lambda: state.should_stop is not None or state.should_terminate is not None)


def wake_training() -> bool:
    """Wake the worker of training runs; return False where the broker is away. The run waits in the database."""
    return waking.send(train_waiting)


@worker_process_init.connect
def load_model(**_: object) -> None:
    """Load the model in the child, after the fork: a child of a parent that ran the model may hang."""
    connections.close_all()
    inference.warm_up()
