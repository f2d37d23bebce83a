"""The workers' signs of life: also an idle worker leaves one, because reconcile wakes it now and then."""

import socket
from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from diagnosis.models import WorkerSign

EVERY = timedelta(seconds=30)
SILENT_AFTER = timedelta(seconds=120)
FORGOTTEN_AFTER = timedelta(days=7)


def leave() -> None:
    """Note that this machine's workers take work; at most every 30 seconds."""
    host, now = socket.gethostname(), timezone.now()
    if WorkerSign.objects.filter(host=host, at__gt=now - EVERY).exists():
        return
    WorkerSign.objects.update_or_create(host=host, defaults={"at": now})
    WorkerSign.objects.filter(at__lt=now - FORGOTTEN_AFTER).delete()


def last() -> datetime | None:
    """When any machine left its last sign; None if none ever did."""
    found: datetime | None = WorkerSign.objects.aggregate(at=Max("at"))["at"]
    return found


def overdue() -> bool:
    """Whether it is time to wake a worker for its sign alone."""
    at = last()
    return at is None or timezone.now() - at > EVERY


def is_silent(at: datetime | None) -> bool:
    """Whether the last sign is so old that something must be wrong."""
    return at is None or timezone.now() - at > SILENT_AFTER
