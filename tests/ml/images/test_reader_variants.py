"""Pictures that are intact, though what stands beside them is not, and formats that are read or named."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ml.images.errors import ImageError
from ml.images.reader import read_radiograph
from tests.support.dicoms import stored


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(channels: np.ndarray, colour_type: int) -> bytes:
    height, width = channels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def saved(kind: str, pixels: np.ndarray, **more: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **more)
    return buffer.getvalue()


@pytest.mark.parametrize(("colour_type", "grey", "alpha"), [(2, 3, 0), (4, 1, 1), (6, 3, 1)])
def test_16_bits_a_channel_are_read_like_greyscale(colour_type: int, grey: int, alpha: int) -> None:
    values = stored()
    full = np.full_like(values, 65535)
    film = read_radiograph(png16(np.stack([values] * grey + [full] * alpha, axis=-1), colour_type))
    right = read_radiograph(saved("PNG", values))
    assert film.bits == right.bits == 12
    assert np.array_equal(film.pixels, right.pixels)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_large_text_in_a_png_is_stepped_over(kind: bytes) -> None:
    content = saved("PNG", stored())
    text = chunk(kind, b"words\0\0" + zlib.compress(bytes(3_000_000)))
    film = read_radiograph(content[:33] + text + content[33:])
    assert np.array_equal(film.pixels, read_radiograph(content).pixels)


def test_broken_exif_leaves_the_picture_and_its_orientation() -> None:
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHII", 0x011A, 5, 1, 38)
    exif = b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4) + struct.pack("<ii", -1, 0)
    film = read_radiograph(saved("JPEG", (stored() >> 4).astype(np.uint8)[:100], exif=b"Exif\0\0" + exif))
    assert film.pixels.shape == (128, 100)


def test_tiff_and_webp_are_read() -> None:
    values = stored()
    eight = (values >> 4).astype(np.uint8)
    assert np.array_equal(
        read_radiograph(saved("TIFF", values)).pixels, read_radiograph(saved("PNG", values)).pixels
    )
    assert np.array_equal(read_radiograph(saved("TIFF", eight)).pixels, eight)
    assert read_radiograph(saved("WEBP", eight, lossless=True)).source_format == "WEBP"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC"), (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"), (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
    ],
)  # fmt: skip
def test_other_formats_are_named(head: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=name):
        read_radiograph(head + bytes(200))
