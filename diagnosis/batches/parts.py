"""The stored parts of a zip."""

from diagnosis.models import Batch
from pneumoweb.storage import discard


def erase_parts(batch: Batch) -> None:
    """Take the zip out of the storage; its films, and what waits to be assigned, are kept elsewhere."""
    parts = list(batch.zip_parts)
    Batch.objects.filter(pk=batch.pk).update(zip_parts=[])
    discard(name for name, _ in parts)
