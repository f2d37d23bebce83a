"""What a compressed frame says of itself: its size and depth, read from its header before any decoder sees it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""JPEG's start-of-frame markers (ISO/IEC 10918-1 table B.1) and that of JPEG-LS (ISO/IEC 14495-1)."""
_J2K = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Header:
    """Rows and columns, and significant bits of a sample."""

    rows: int
    columns: int
    bits: int


def header(frame: bytes) -> Header | None:
    """The header of a JPEG, JPEG-LS or JPEG 2000 frame; None where it holds none (RLE has none either)."""
    if frame.startswith(b"\xff\xd8"):
        return _jpeg(frame)
    place = frame[:512].find(_J2K)
    if place >= 0:
        return _jpeg2000(frame, place + 4)
    return None


def _jpeg(frame: bytes) -> Header | None:
    place = 2
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _SOF:
            bits, rows, columns = struct.unpack_from(">BHH", frame, place + 4)
            return Header(rows, columns, bits)
        place += 2 + int(struct.unpack_from(">H", frame, place + 2)[0])
    return None


def _jpeg2000(frame: bytes, place: int) -> Header | None:
    """The SIZ marker segment (ISO/IEC 15444-1 A.5.1)."""
    if len(frame) <= place + 38:
        return None
    x, y, x0, y0 = struct.unpack_from(">4I", frame, place + 4)
    return Header(y - y0, x - x0, (frame[place + 38] & 0x7F) + 1)


def completed(frame: bytes) -> bytes:
    """A JPEG 2000 codestream with nothing but its tiles between header and end marker; other frames as they are.

    Raises `IncompleteFrame` where a tile is cut off. Some writers put a comment behind the tiles, or no end marker.
    """
    if not frame.startswith(_J2K):
        return frame
    place, tiles = 2, b""
    start = 0
    while place + 4 <= len(frame):
        marker, length = struct.unpack_from(">HH", frame, place)
        if marker == 0xFF90:
            start = start or place
            size = int(struct.unpack_from(">I", frame, place + 6)[0])
            if size == 0:
                return frame if frame.rstrip(b"\0").endswith(b"\xff\xd9") else frame + b"\xff\xd9"
            if place + size > len(frame):
                raise IncompleteFrame(len(frame) - place, size)
            tiles += frame[place : place + size]
            place += size
        elif marker == 0xFFD9:
            break
        else:
            place += 2 + length
    return frame[:start] + tiles + b"\xff\xd9" if start else frame


class IncompleteFrame(ValueError):
    """A tile of which only `args[0]` of `args[1]` bytes are there."""
