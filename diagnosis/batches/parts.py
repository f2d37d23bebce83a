"""The stored parts of a zip."""

from django.core.files.storage import default_storage

from diagnosis.models import Batch


def erase_parts(batch: Batch) -> None:
    """Take the zip out of the storage; its films, and what waits to be assigned, are kept elsewhere."""
    parts = list(batch.zip_parts)
    Batch.objects.filter(pk=batch.pk).update(zip_parts=[])
    for name, _ in parts:
        default_storage.delete(name)
