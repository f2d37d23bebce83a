"""Celery's entry point for zips. As everywhere, the message carries nothing: what waits is in the database."""

from celery import shared_task

from diagnosis import waking
from diagnosis.batches import unpacking


@shared_task(name="diagnosis.tasks.unpack_waiting")
def unpack_waiting() -> None:
    """Read films out of the zips that wait."""
    if unpacking.work():
        wake()


def wake() -> bool:
    """Wake a worker; return False where the broker is away. The zip waits in the database all the same."""
    return waking.send(unpack_waiting)
