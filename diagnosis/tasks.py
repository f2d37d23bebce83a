"""Celery's entry points, and the signals that tie the model's life to a worker's child."""

import logging

from celery import shared_task
from celery.signals import worker_process_init
from django.db import connections
from kombu.exceptions import OperationalError

from diagnosis import inference
from diagnosis.monitoring import signs

log = logging.getLogger(__name__)


@shared_task(name="diagnosis.tasks.analyse_waiting")
def analyse_waiting() -> None:
    """Answer the films that wait. The message carries nothing: what waits is in the database."""
    signs.leave()
    if inference.work():
        wake()


def wake() -> bool:
    """Wake a worker; return False where the broker is away. The film waits in the database all the same."""
    try:
        analyse_waiting.apply_async()
    except (OperationalError, OSError) as error:
        log.warning("no worker was woken, the broker is away (%s); reconcile will", error)
        return False
    return True


@worker_process_init.connect
def load_model(**_: object) -> None:
    """Load the model in the child, after the fork: a child of a parent that ran the model may hang."""
    connections.close_all()
    inference.warm_up()
