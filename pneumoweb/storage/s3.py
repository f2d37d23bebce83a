"""The storage in a bucket of an S3-compatible service. A module of its own: only sites with a bucket load boto3."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage

from pneumoweb.storage.filesystem import StorageAway


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


@contextmanager
def _service() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, Boto3Error, ClientError) as error:
        raise StorageAway from error
