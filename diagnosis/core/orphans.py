"""Files that no row names: left where a process was killed between writing a file and storing its row."""

import logging
from collections.abc import Iterator
from datetime import timedelta

from django.core.files.storage import default_storage
from django.utils import timezone

from diagnosis.models import Film, Prediction

log = logging.getLogger(__name__)

# Far longer than any upload or analysis takes, so that a file whose row is still to come is never taken.
OLD_ENOUGH = timedelta(days=1)


def remove_orphans() -> int:
    """Delete old files below films/ and heatmaps/ that no row names; return how many."""
    removed = 0
    for root in ("films", "heatmaps"):
        for folder, names in _folders(root):
            removed += _remove_unnamed(folder, names)
    return removed


def _folders(root: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each patient's folder below `root` with the names in it: one listing, and one query, a patient."""
    try:
        folders, _ = default_storage.listdir(root)
    except FileNotFoundError:
        return
    for folder in folders:
        path = f"{root}/{folder}"
        yield path, default_storage.listdir(path)[1]


def _remove_unnamed(folder: str, names: list[str]) -> int:
    prefix = f"{folder}/"
    known = set(Film.objects.filter(file__startswith=prefix).values_list("file", flat=True))
    known |= set(Film.objects.filter(thumbnail__startswith=prefix).values_list("thumbnail", flat=True))
    known |= set(Film.objects.filter(values__startswith=prefix).values_list("values", flat=True))
    known |= set(Prediction.objects.filter(heatmap__startswith=prefix).values_list("heatmap", flat=True))
    removed = 0
    for path in (prefix + name for name in names):
        if path not in known and timezone.now() - default_storage.get_modified_time(path) > OLD_ENOUGH:
            default_storage.delete(path)
            log.warning("removed %s: no row names it", path)
            removed += 1
    return removed
