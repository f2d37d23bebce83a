"""Where films, heatmaps and models are kept: a folder, or a bucket (see pneumoweb.storage.s3).

Both tell the one thing apart that callers must know: a file that is not there raises FileNotFoundError; a storage that
can take or give nothing at the moment raises StorageAway, and what was wanted of it can be tried again later.
"""

import errno
import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage

log = logging.getLogger(__name__)

RESERVE = 64 * 1024**2
"""Bytes that films leave to the database and the logs, which mostly lie on the same disk."""
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
OUT_OF_ORDER = {errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN}


class StorageAway(OSError):
    """Nothing can be kept or read now, whichever file it is. The message is a sentence for people."""

    def __init__(self, message: str = "The storage of films does not answer.") -> None:
        super().__init__(message)


class StorageFull(StorageAway):
    """Nothing more can be kept until somebody makes room."""

    def __init__(self) -> None:
        super().__init__("The storage of films is full.")


class Folder(FileSystemStorage):
    """A folder of this host."""

    def _open(self, name: str, mode: str = "rb") -> File:
        with _disk():
            return super()._open(name, mode)  # type: ignore[misc]  # not in the stubs

    def _save(self, name: str, content: File) -> str:
        with _disk():
            # Asked beforehand: of what is begun and breaks off, a part would lie here until `reconcile` finds it.
            if shutil.disk_usage(self._room()).free < content.size + RESERVE:
                raise StorageFull
            return super()._save(name, content)  # type: ignore[misc]  # not in the stubs

    def delete(self, name: str) -> None:
        with _disk():
            super().delete(name)

    def _room(self) -> Path:
        """The folder, or what there is yet of the way to it."""
        place = Path(self.location)
        return next(folder for folder in (place, *place.parents) if folder.is_dir())


def discard(names: Iterable[str]) -> None:
    """Erase files that no row names. What cannot be erased now, `reconcile` finds and erases within two days."""
    for name in names:
        try:
            default_storage.delete(name)
        except StorageAway:
            log.warning("%s could not be erased and is left over", name, exc_info=True)


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull from error
        if error.errno in OUT_OF_ORDER:
            raise StorageAway from error
        raise
