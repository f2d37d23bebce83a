"""A zip, read where it lies: members are streamed, counted and limited, and nothing is ever unpacked to a disk.

Django-free. Names of members are labels; no path is made of them. (PKWARE's APPNOTE 6.3.10 describes the format.)
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NoReturn, Protocol

from diagnosis.intake.batches.filenames import is_left_aside, is_manifest

MAX_ENTRIES = 10_000
"""More names than any folder of 500 films has, with all that computers put beside them."""

MAX_DIRECTORY = 8 * 1024 * 1024
"""Bytes of the list of names. It is read whole, so it is measured before."""

MAX_RATIO = 200
"""A film shrinks by 2 to 30 times; only what is made to burst shrinks more."""

RATIO_FROM = 1024 * 1024
"""Bytes from which the ratio counts: a small picture of one grey may shrink by any factor and harms nobody."""

ENCODINGS = (
    "utf-8", "cp437", "cp850", "cp1252", "cp866", "cp1251", "cp932", "gb18030", "big5hkscs", "cp949", "euc_jp",
    "cp852", "cp1250", "cp857", "cp1254", "cp737", "cp1253", "cp855", "cp775", "cp1257", "cp862", "cp1255",
    "cp720", "cp1256", "cp874", "cp1258", "cp858", "cp860", "cp861", "cp863", "cp865", "koi8-r", "koi8-u",
    "iso8859-2", "iso8859-15", "mac-roman", "mac-cyrillic", "mac-latin2", "mac-greek", "mac-turkish", "euc_kr",
)  # fmt: skip
"""What programs write names in that are not flagged as UTF-8, the likelier first. cp437 is the standard's."""

_UTF8_FLAG, _UNICODE_PATH = 0x800, 0x7075
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
        self._max_films = max_films
        infos = [(place, info) for place, info in enumerate(self._zip.infolist()) if not info.is_dir()]
        self._kept = [(place, info) for place, info in infos if not is_left_aside(info.filename)]
        self.skipped = len(infos) - len(self._kept)
        if len(self._kept) > max_films + 1:
            self._refuse_films(len(self._kept))
        self._stored = [_stored_name(info) for _, info in self._kept]
        self._all_known = all(isinstance(stored, str) or stored.isascii() for stored in self._stored)
        # cp437 has a character for every byte, so that at least one encoding is left.
        self._encodings = [
            e for e in (ENCODINGS[:1] if self._all_known else ENCODINGS) if self._can_decode(e)
        ]
        with_manifest = (e for e in self._encodings if any(map(is_manifest, _csv_files(self._names(e)))))
        self.manifest: int | None = None
        self.members: list[Member] = []
        self._set_names(self._names(next(with_manifest, self._encodings[0])))
        if len(self.members) > max_films:
            self._refuse_films(len(self.members))

    def match_names(self, is_listed: Callable[[str], bool]) -> None:
        """Rename the members to what a manifest lists: names that are not flagged as UTF-8 may be in any encoding.

        The encoding that finds the most names holds for all; a name that it does not find may be in another one.
        """
        if self._all_known:
            return
        names = [self._names(encoding) for encoding in self._encodings]
        listed = [[is_listed(name) for name in of_one] for of_one in names]
        best = max(range(len(names)), key=lambda index: sum(listed[index]))
        if not any(listed[best]):
            return
        chosen = names[best]
        taken = {name for name, found in zip(chosen, listed[best], strict=True) if found}
        for at, stored in enumerate(self._stored):
            if listed[best][at] or isinstance(stored, str):
                continue
            readings = (_decoded(stored, encoding) for encoding in ENCODINGS)
            top = self._top(self._encodings[best])
            others = [r.replace("\\", "/").removeprefix(top) for r in readings if r]
            wanted = list(dict.fromkeys(name for name in others if name not in taken and is_listed(name)))
            if len(wanted) == 1:
                chosen[at] = wanted[0]
                taken.add(wanted[0])
        self._set_names(chosen)

    def _paths(self, encoding: str) -> list[str]:
        """The members' paths in this encoding."""
        return [_decoded(stored, encoding).replace("\\", "/") for stored in self._stored]

    def _can_decode(self, encoding: str) -> bool:
        return all(_decoded(stored, encoding) for stored in self._stored)

    def _top(self, encoding: str) -> str:
        return _common_folder(self._paths(encoding))

    def _names(self, encoding: str) -> list[str]:
        """The members' paths without the folder that they all lie in."""
        paths = self._paths(encoding)
        top = _common_folder(paths)
        return [path[len(top) :] for path in paths]

    def _set_names(self, names: Sequence[str]) -> None:
        self.manifest, self.members = None, []
        for (place, info), name in zip(self._kept, names, strict=True):
            if is_manifest(name):
                self.manifest = place
            else:
                self.members.append(Member(place, name, info.file_size))

    def _refuse_films(self, count: int) -> NoReturn:
        raise BadArchive(
            f"The zip holds {count:,} files; a batch takes at most {self._max_films}. "
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


def _csv_files(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.rstrip()[-4:].casefold() == ".csv"]


def _stored_name(info: zipfile.ZipInfo) -> str | bytes:
    """A member's path, or its bytes where the zip does not say what they are encoded in."""
    name = info.orig_filename.partition("\0")[0] or "unnamed"
    if info.flag_bits & _UTF8_FLAG:
        return name
    stored = name.encode("cp437")
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        # APPNOTE 4.6.9: version, CRC of the name that it belongs to, the name in UTF-8.
        if (
            kind == _UNICODE_PATH
            and field[:1] == b"\1"
            and field[1:5] == struct.pack("<I", zlib.crc32(stored))
        ):
            return _decoded(field[5:], "utf-8") or stored
    return stored


def _decoded(stored: str | bytes, encoding: str) -> str:
    """Empty if these bytes are none of the encoding."""
    if isinstance(stored, str):
        return stored
    try:
        return stored.decode(encoding)
    except UnicodeDecodeError:
        return ""


def _common_folder(names: Sequence[str]) -> str:
    """Return the folder, with its slash, that all names lie in: zipping a folder puts its name before each."""
    names = [name.replace("\\", "/") for name in names]
    first = names[0].partition("/")[0] + "/" if names else ""
    return first if first not in ("", "/", "../") and all(name.startswith(first) for name in names) else ""


def _size(number: int) -> str:
    return f"{number / 1024**3:.1f} GB" if number >= 1024**3 else f"{number / 1024**2:.0f} MB"
