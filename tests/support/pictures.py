"""Pictures made in memory: good ones, and every bad one that a person may send."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def film_array(seed: int = 0, side: int = 256) -> np.ndarray:
    """Return (side, side) uint8 that has the coarse structure of a chest film: two dark lungs on a grey body."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    body = 150 * np.exp(-(((x - 0.5) / 0.42) ** 6))
    lungs = sum(np.exp(-((((x - c) / 0.13) ** 2 + ((y - 0.48) / 0.28) ** 2) ** 2)) for c in (0.3, 0.7))
    picture = body - 95 * lungs + 60 * np.exp(-(((x - 0.5) / 0.05) ** 2)) + rng.normal(0, 4, (side, side))
    return np.clip(picture, 0, 255).astype(np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(seed: int = 0, side: int = 256) -> bytes:
    return encoded(Image.fromarray(film_array(seed, side)))


def jpeg(seed: int = 0, side: int = 256) -> bytes:
    return encoded(Image.fromarray(film_array(seed, side)), "JPEG", quality=90)


def animated_png() -> bytes:
    frames = [Image.fromarray(film_array(seed)) for seed in (1, 2)]
    return encoded(frames[0], save_all=True, append_images=frames[1:])


def bomb_png(width: int = 12_000, height: int = 12_000) -> bytes:
    """Return a small PNG file that declares 144 megapixels and really holds them, compressed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
