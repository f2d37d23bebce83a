"""Where films, heatmaps and models are kept: a folder, or a bucket of an S3-compatible service.

Both tell the one thing apart that callers must know: a file that is not there raises FileNotFoundError; a storage that
can take or give nothing at the moment raises StorageAway, and what was wanted of it can be tried again later.
"""

import errno
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from storages.backends.s3 import S3Storage

log = logging.getLogger(__name__)

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
        try:
            with _disk():
                return super()._save(name, content)  # type: ignore[misc]  # not in the stubs
        except StorageAway:
            # Names are never given twice, so what lies there is the beginning that was just written.
            self.delete(name)
            raise


class Bucket(S3Storage):
    """A bucket. A service that is away is noticed within seconds: somebody waits for the page."""

    def get_default_settings(self) -> dict[str, Any]:
        patience = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 2})
        return {**super().get_default_settings(), "client_config": patience}

    def _open(self, name: str, mode: str = "rb") -> File:
        with _service():
            file = super()._open(name, mode)
            # The bytes come here, not with the first `read` somewhere else.
            file.open()
            return file

    def _save(self, name: str, content: File) -> str:
        with _service():
            return super()._save(name, content)

    def delete(self, name: str) -> None:
        with _service():
            super().delete(name)

    def exists(self, name: str) -> bool:
        with _service():
            return super().exists(name)

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        with _service():
            return super().listdir(name)

    def size(self, name: str) -> int:
        with _service():
            return super().size(name)

    def get_modified_time(self, name: str) -> Any:
        with _service():
            return super().get_modified_time(name)


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


@contextmanager
def _service() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, Boto3Error, ClientError) as error:
        raise StorageAway from error
