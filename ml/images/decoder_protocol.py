"""How a decoder and its parent talk: messages of bytes over pipes, and a `Decoded` as JSON with its pictures.

A message is a length of 8 bytes, little endian, and as many bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import IO, Any

from ml.images.decoded import Decoded, Offered

_LENGTH = struct.Struct("<Q")
_LONGEST = 2**31
_PICTURES = ("picture", "preview", "values")


def read_message(stream: IO[bytes]) -> bytes | None:
    """The next message; None where the stream ends, before it or within it."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length = _LENGTH.unpack(head)[0]
    body = stream.read(length) if length <= _LONGEST else b""
    return body if len(body) == length else None


def write_message(stream: IO[bytes], body: bytes) -> None:
    stream.write(_LENGTH.pack(len(body)))
    stream.write(body)


def pack(decoded: Decoded) -> tuple[dict[str, Any], list[bytes]]:
    """The film without its pictures, fit for JSON, and its pictures."""
    offered = decoded.offered
    film = {name: value for name, value in vars(decoded).items() if name not in (*_PICTURES, "offered")}
    film["offered"] = None if offered is None else {n: _text(value) for n, value in asdict(offered).items()}
    pictures = [decoded.picture, decoded.preview, *([] if decoded.values is None else [decoded.values])]
    return json.loads(json.dumps(film)), pictures


def unpack(film: dict[str, Any], pictures: Sequence[bytes]) -> Decoded:
    """What `pack` was given."""
    offered = film["offered"]
    if offered is not None:
        days = {name: _day(offered[name]) for name in ("birth_date", "study_date")}
        offered = Offered(**{**offered, **days})
    values = pictures[2] if len(pictures) > 2 else None
    rest = {**film, "notes": tuple(film["notes"]), "offered": offered}
    return Decoded(picture=pictures[0], preview=pictures[1], values=values, **rest)


def _text(value: str | date | None) -> str:
    return value.isoformat() if isinstance(value, date) else value or ""


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
