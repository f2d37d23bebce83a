"""The stored parts of a zip."""

import hashlib

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from diagnosis.core import queue
from diagnosis.intake.batches.filenames import label
from diagnosis.models import Batch
from pneumoweb.storage.filesystem import discard


def erase_parts(batch: Batch) -> None:
    """Take the zip out of the storage; its films, and what waits to be assigned, are kept elsewhere."""
    parts = list(batch.zip_parts)
    Batch.objects.filter(pk=batch.pk).update(zip_parts=[])
    discard(name for name, _ in parts)


class WrongPart(Exception):
    """This part does not follow what is here; `received` says how many bytes are."""

    def __init__(self, message: str, received: int) -> None:
        super().__init__(message)
        self.received = received


def begin(batch: Batch, name: str, size: int, modified: str) -> int:
    """Announce a batch's zip; return how many bytes of it are here already. Raises WrongPart."""
    key = hashlib.sha256(f"{label(name)}\0{size}\0{modified}".encode()).hexdigest()
    if size > settings.MAX_ZIP_BYTES:
        limit = settings.MAX_ZIP_BYTES / 1024**3
        raise WrongPart(f"The zip is larger than {limit:.1f} GB. Send the films in several smaller zips.", 0)
    Batch.objects.filter(pk=batch.pk, zip_state=Batch.Zip.NONE).update(
        zip_state=Batch.Zip.RECEIVING, zip_key=key, zip_name=label(name)[-200:], zip_bytes=size
    )
    batch.refresh_from_db()
    if batch.zip_key != key:
        raise WrongPart(
            f"This batch belongs to another zip, {batch.zip_name}. Choose that one, or begin a new batch.", 0
        )
    return batch.zip_received


def add_part(batch: Batch, offset: int, part: File) -> int:
    """Store the part of the zip that begins at `offset`; return how many bytes are here now. Raises WrongPart.

    With the last part a worker is woken.
    """
    received = offset + part.size
    if batch.zip_state != Batch.Zip.RECEIVING or offset != batch.zip_received or received > batch.zip_bytes:
        raise WrongPart("This part of the zip does not follow what is here.", batch.zip_received)
    name = default_storage.save(f"batches/{batch.pk}/zip-{offset:014}", part)
    whole = received == batch.zip_bytes
    with transaction.atomic():
        added = Batch.objects.filter(pk=batch.pk, zip_state=Batch.Zip.RECEIVING, zip_received=offset).update(
            zip_parts=[*batch.zip_parts, [name, part.size]],
            zip_received=received,
            zip_state=Batch.Zip.WAITING if whole else Batch.Zip.RECEIVING,
            touched_at=timezone.now(),
        )
        if added and whole:
            transaction.on_commit(queue.notify_unpacker)
    if not added:
        discard([name])
        batch.refresh_from_db()
        raise WrongPart("This part came twice.", batch.zip_received)
    return received


def give_up(batch: Batch) -> None:
    """Refuse a zip whose rest is sent no more, and erase what is here of it."""
    receiving = Batch.objects.filter(pk=batch.pk, zip_state=Batch.Zip.RECEIVING)
    if receiving.update(zip_state=Batch.Zip.REFUSED, zip_reason="It was not sent completely."):
        erase_parts(batch)
