"""What nobody came back for: pictures that wait for a patient, parts of zips, manifests. After some days they go."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from diagnosis.core.orphans import OLD_ENOUGH
from diagnosis.intake.batches import assignment
from diagnosis.intake.batches.zip_upload import erase_parts
from diagnosis.models import Arrival, Batch

log = logging.getLogger(__name__)


def expire() -> int:
    """Close batches that nobody touched for BATCH_DAYS; return how many files of theirs are given up."""
    before = timezone.now() - timedelta(days=settings.BATCH_DAYS)
    given_up = 0
    open_states = [Arrival.State.EXPECTED, *Arrival.UNDECIDED]
    waits = Exists(Arrival.objects.filter(batch=OuterRef("pk"), state__in=open_states))
    old = Batch.objects.filter(touched_at__lt=before).exclude(zip_state=Batch.Zip.UNPACKING)
    for batch in old.filter(waits | ~Q(manifest={}) | ~Q(zip_parts=[])):
        given_up += _close(batch)
    return given_up


def remove_orphans() -> int:
    """Delete old files below batches/ that no row names; return how many."""
    try:
        folders, _ = default_storage.listdir("batches")
    except FileNotFoundError:
        return 0
    return sum(_remove_unnamed(folder) for folder in folders)


def _close(batch: Batch) -> int:
    days = f"{settings.BATCH_DAYS:g} days"
    erased = sum(
        assignment.erase(arrival, f"Nobody said within {days} whose film it is; the picture was erased.")
        for arrival in batch.arrivals.undecided()
    )
    missing = batch.arrivals.expected().update(
        state=Arrival.State.REFUSED, reason=f"It did not arrive within {days}."
    )
    if batch.zip_state in (Batch.Zip.RECEIVING, Batch.Zip.WAITING):
        Batch.objects.filter(pk=batch.pk, zip_state=batch.zip_state).update(
            zip_state=Batch.Zip.REFUSED,
            zip_reason=f"It did not arrive within {days}; its parts were erased.",
        )
    erase_parts(batch)
    Batch.objects.filter(pk=batch.pk).exclude(manifest={}).update(manifest={})
    return erased + missing


def _remove_unnamed(folder: str) -> int:
    prefix = f"batches/{folder}/"
    arrivals = Arrival.objects.filter(batch=int(folder))
    named = {name for names in arrivals.values_list("picture", "preview", "values") for name in names}
    parts = Batch.objects.filter(pk=int(folder)).values_list("zip_parts", flat=True)
    named |= {name for listed in parts for name, _ in listed}
    removed = 0
    for path in (prefix + name for name in default_storage.listdir(prefix)[1]):
        if path not in named and timezone.now() - default_storage.get_modified_time(path) > OLD_ENOUGH:
            default_storage.delete(path)
            log.warning("removed %s: no row names it", path)
            removed += 1
    return removed
