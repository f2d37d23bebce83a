"""Celery's entry point for zips. As everywhere, the message carries nothing: what waits is in the database."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from diagnosis.batches import unpacking

log = logging.getLogger(__name__)


@shared_task(name="diagnosis.tasks.unpack_waiting")
def unpack_waiting() -> None:
    """Read films out of the zips that wait."""
    if unpacking.work():
        wake()


def wake() -> bool:
    """Wake a worker; return False where the broker is away. The zip waits in the database all the same."""
    try:
        unpack_waiting.apply_async()
    except (OperationalError, OSError) as error:
        log.warning("no worker was woken, the broker is away (%s); reconcile will", error)
        return False
    return True
