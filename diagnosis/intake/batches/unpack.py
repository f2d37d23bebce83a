"""A worker reads the films out of zips, one member after the other.

As with predictions the database is the queue's truth: a claim is one conditional UPDATE with a lease, a killed worker's
zip is taken up by another, and what has been read is not read again.
"""

import hashlib
import logging
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from diagnosis.core.leases import Leases
from diagnosis.intake import films
from diagnosis.intake.batches import manifest, upload
from diagnosis.intake.batches.filenames import label
from diagnosis.intake.batches.filing import Sender
from diagnosis.intake.batches.zip_archive import Archive, BadArchive, BadMember, Parts
from diagnosis.intake.batches.zip_upload import erase_parts
from diagnosis.models import Arrival, Batch

log = logging.getLogger(__name__)

LEASES = Leases(
    Batch,
    # One film at a time is in work, and that one may take its decoder's whole time.
    lambda: max(settings.LEASE_SECONDS, settings.DECODER_SECONDS + 30),
    state="zip_state",
    queued=Batch.Zip.WAITING,
    running=Batch.Zip.UNPACKING,
)


def claim(skip: Collection[int] = ()) -> Batch | None:
    """Lease the zip that has waited longest."""
    waiting = Batch.objects.filter(zip_state=Batch.Zip.WAITING).exclude(pk__in=skip)
    for pk in waiting.order_by("attempts", "touched_at", "pk").values_list("pk", flat=True)[:8]:
        if LEASES.claim(Batch.objects.filter(pk=pk)):
            return Batch.objects.select_related("clinic", "patient", "by").get(pk=pk)
    return None


def work(seconds: float = 5.0) -> bool:
    """Unpack for about `seconds`; return whether zips are still waiting. Films in between get their answers."""
    stop = time.monotonic() + seconds
    resting: set[int] = set()
    while batch := claim(resting):
        try:
            _unpack(batch, stop)
        except (films.Refused, OSError):
            # Nothing is wrong with the zip: no model, or no storage. Reconcile has it tried again.
            log.exception("the zip of batch %d waits", batch.pk)
            LEASES.requeue(batch, attempts=0)
            resting.add(batch.pk)
        if time.monotonic() > stop:
            break
    return Batch.objects.filter(zip_state=Batch.Zip.WAITING).exclude(pk__in=resting).exists()


def reconcile() -> int:
    """Take back the zips of dead workers; return how many wait.

    If the same member was in work at three deaths, it is refused, and the others go on.
    """
    for batch in LEASES.expired():
        if batch.attempts < settings.MAX_ATTEMPTS:
            LEASES.requeue(batch)
            continue
        member = next(iter(_members(batch)), None)
        why = f"The worker stopped {batch.attempts} times while it read this file."
        if member is None:
            _refuse_zip(batch, f"{why} Make the zip again, or send the films themselves.")
        elif upload.refuse(member, f"{why} Send it by itself, or ask your administrator."):
            LEASES.requeue(batch, attempts=0)
    return Batch.objects.filter(zip_state=Batch.Zip.WAITING).count()


def _unpack(batch: Batch, stop: float) -> None:
    try:
        with _opened(batch) as archive:
            if not batch.arrivals.filter(member__isnull=False).exists():
                _list_members(batch, archive)
            for arrival in _members(batch):
                if not LEASES.renew(batch):
                    return
                _take_member(batch, archive, arrival)
                LEASES.held(batch).update(attempts=0)
                if time.monotonic() > stop:
                    LEASES.requeue(batch, attempts=0)
                    return
    except BadArchive as error:
        _refuse_zip(batch, str(error))
        return
    if LEASES.release(batch, Batch.Zip.UNPACKED, attempts=0):
        erase_parts(batch)


@contextmanager
def _opened(batch: Batch) -> Iterator[Archive]:
    parts = Parts(batch.zip_parts, lambda name: default_storage.open(name, "rb"))  # type: ignore[arg-type]
    archive = Archive(parts, max_films=settings.MAX_FILMS_PER_UPLOAD, max_member=settings.MAX_FILM_BYTES)
    try:
        yield archive
    finally:
        archive.close()


def _list_members(batch: Batch, archive: Archive) -> None:
    """Note all members at once, so that the page can say how many there are, and a killed worker what is left."""
    rows = batch.manifest
    if archive.manifest is not None and not rows:
        rows = _read_manifest(batch, archive, archive.manifest)
    archive.match_names(lambda name: manifest.lists(rows, name))
    room = settings.MAX_FILMS_PER_UPLOAD - batch.arrivals.count()
    if len(archive.members) > room:
        raise BadArchive(
            f"With this zip the batch would have more than {settings.MAX_FILMS_PER_UPLOAD} films."
        )
    with transaction.atomic():
        Batch.objects.filter(pk=batch.pk).update(manifest=rows, skipped=archive.skipped)
        Arrival.objects.bulk_create(
            Arrival(
                batch=batch,
                key=hashlib.sha256(f"zip {member.place}".encode()).hexdigest(),
                name=label(member.name),
                size=member.size,
                member=member.place,
            )
            for member in archive.members
        )
    batch.manifest = rows


def _read_manifest(batch: Batch, archive: Archive, place: int) -> manifest.Rows:
    try:
        return manifest.read(archive.read(place, manifest.MAX_BYTES), batch.clinic)
    except (manifest.BadManifest, BadMember) as error:
        raise BadArchive(f"Nothing was taken in: manifest.csv inside the zip is wrong. {error}") from error


def _take_member(batch: Batch, archive: Archive, arrival: Arrival) -> None:
    try:
        content = archive.read(arrival.member or 0)
    except BadMember as error:
        upload.refuse(arrival, str(error))
        return
    arrival.batch = batch
    upload.receive(arrival, ContentFile(content, name=arrival.name), Sender(batch.by))


def _members(batch: Batch) -> list[Arrival]:
    return list(batch.arrivals.expected().filter(member__isnull=False).order_by("member"))


def _refuse_zip(batch: Batch, reason: str) -> None:
    if LEASES.release(batch, Batch.Zip.REFUSED, zip_reason=reason[:500], touched_at=timezone.now()):
        erase_parts(batch)
