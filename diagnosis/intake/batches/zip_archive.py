"""A zip, read where it lies: members are streamed, counted and limited, and nothing is ever unpacked to a disk.

Django-free. Names of members are labels; no path is made of them. (PKWARE's APPNOTE 6.3.10 describes the format.)
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from diagnosis.intake.batches.filenames import is_left_aside, is_manifest

MAX_ENTRIES = 10_000
"""More names than any folder of 500 films has, with all that computers put beside them."""

MAX_DIRECTORY = 8 * 1024 * 1024
"""Bytes of the list of names. It is read whole, so it is measured before."""

MAX_RATIO = 200
"""A film shrinks by 2 to 30 times; only what is made to burst shrinks more."""

RATIO_FROM = 1024 * 1024
"""Bytes from which the ratio counts: a small picture of one grey may shrink by any factor and harms nobody."""

_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_PIECE = 256 * 1024


class BadArchive(Exception):
    """The zip is refused as a whole; the message says why and what to do."""


class BadMember(Exception):
    """This member is refused; the others go on."""


@dataclass(frozen=True)
class Member:
    """One file of a zip that may be a film. `place` is its position in the zip's list."""

    place: int
    name: str
    size: int


class Source(Protocol):
    """Where parts of a zip lie."""

    def __call__(self, name: str) -> BinaryIO: ...


class Parts(io.RawIOBase):
    """Stored parts, read as one file that can be searched. One part is open at a time."""

    def __init__(self, parts: Sequence[tuple[str, int]], opened: Source) -> None:
        self._parts = list(parts)
        self._opened = opened
        self._size = sum(size for _, size in self._parts)
        self._at = 0
        self._part: tuple[int, BinaryIO] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning of the zip")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        place, inside = self._locate()
        if place is None:
            return 0
        part = self._open(place)
        part.seek(inside)
        data = part.read(min(len(buffer), self._parts[place][1] - inside))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if self._part:
            self._part[1].close()
            self._part = None
        super().close()

    def _locate(self) -> tuple[int | None, int]:
        begin = 0
        for place, (_, size) in enumerate(self._parts):
            if self._at < begin + size:
                return place, self._at - begin
            begin += size
        return None, 0

    def _open(self, place: int) -> BinaryIO:
        if self._part and self._part[0] == place:
            return self._part[1]
        if self._part:
            self._part[1].close()
        self._part = place, self._opened(self._parts[place][0])
        return self._part[1]


class Archive:
    """An opened zip. Raises BadArchive if it is none, is damaged, or holds more than a batch may."""

    def __init__(self, file: io.RawIOBase | BinaryIO, *, max_films: int, max_member: int) -> None:
        self._max_member = max_member
        buffered = io.BufferedReader(file, _PIECE) if isinstance(file, io.RawIOBase) else file
        _check_directory(buffered)
        try:
            self._zip = zipfile.ZipFile(buffered)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
            raise BadArchive(
                "The zip is damaged: its list of files cannot be read. Make it again and send that."
            ) from error
        infos = [(place, info) for place, info in enumerate(self._zip.infolist()) if not info.is_dir()]
        kept = [(place, info) for place, info in infos if not is_left_aside(info.filename)]
        top = _common_folder([info.filename for _, info in kept])
        self.skipped = len(infos) - len(kept)
        self.manifest: int | None = None
        self.members: list[Member] = []
        for place, info in kept:
            name = info.filename.replace("\\", "/")[len(top) :]
            if is_manifest(name):
                self.manifest = place
            else:
                self.members.append(Member(place, name, info.file_size))
        if len(self.members) > max_films:
            raise BadArchive(
                f"The zip holds {len(self.members):,} files; a batch takes at most {max_films}. "
                "Part it into several zips."
            )

    def read(self, place: int, limit: int | None = None) -> bytes:
        """Return a member's content, counted while it is unpacked. Raises BadMember."""
        limit = limit or self._max_member
        info = self._zip.infolist()[place]
        if info.flag_bits & 0x1:
            raise BadMember("This file is locked by a password. Make the zip without one and send that.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadMember(
                "This file is packed in a way that is not read here. Make an ordinary zip and send that."
            )
        if info.file_size > limit:
            raise BadMember(
                f"Unpacked, this file would have {_size(info.file_size)}; films have up to {_size(limit)}."
            )
        if info.file_size > RATIO_FROM and info.file_size > MAX_RATIO * info.compress_size:
            raise BadMember(
                f"This file swells to {info.file_size // max(info.compress_size, 1):,} times its size when it is "
                "unpacked, as no film does. It was not unpacked."
            )
        try:
            # What a zip declares may be a lie: no more than the limit ever comes out.
            with self._zip.open(info) as member:
                content = member.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise BadMember(
                "This file is damaged inside the zip. Make the zip again, or send the file by itself."
            ) from error
        if len(content) > limit:
            raise BadMember(f"Unpacked, this file has more than the {_size(limit)} of a film.")
        if content[:4] in (b"PK\x03\x04", _END):
            raise BadMember("This is a zip inside the zip. Unpack it, and send it as a batch of its own.")
        return content

    def close(self) -> None:
        self._zip.close()


def _check_directory(file: BinaryIO) -> None:
    """Read how long the list of files is before anybody reads the list."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(4)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        if head == b"PK\x03\x04":
            raise BadArchive("The zip is cut off: its end is missing. Copy it completely and send it again.")
        raise BadArchive("This is no zip. Send a zip, or the films themselves.")
    entries, directory = (
        struct.unpack("<H", tail[at + 10 : at + 12])[0],
        struct.unpack("<I", tail[at + 12 : at + 16])[0],
    )
    locator = tail[at - 20 : at] if at >= 20 else b""
    if locator.startswith(_LOCATOR_64):
        file.seek(struct.unpack("<Q", locator[8:16])[0])
        record = file.read(56)
        if len(record) == 56 and record.startswith(_END_64):
            entries, directory = struct.unpack("<QQ", record[32:48])
    file.seek(0)
    if entries > MAX_ENTRIES or directory > MAX_DIRECTORY:
        counted = (
            f"{entries:,} files" if entries > MAX_ENTRIES else "a list of files longer than any folder's"
        )
        raise BadArchive(f"The zip holds {counted}. Send the films in several smaller zips.")


def _common_folder(names: Sequence[str]) -> str:
    """Return the folder, with its slash, that all names lie in: zipping a folder puts its name before each."""
    names = [name.replace("\\", "/") for name in names]
    first = names[0].partition("/")[0] + "/" if names else ""
    return first if first not in ("", "/", "../") and all(name.startswith(first) for name in names) else ""


def _size(number: int) -> str:
    return f"{number / 1024**3:.1f} GB" if number >= 1024**3 else f"{number / 1024**2:.0f} MB"
