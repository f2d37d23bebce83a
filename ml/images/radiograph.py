"""PNG, JPEG and DICOM bytes -> one greyscale `Radiograph`: the same code for upload, inference and training.

A file is judged by its first bytes, never by its name. Every refusal is an `ImageError` whose text is one plain
sentence for the person who chose the file.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images.errors import TooManyPixels, TooSmall

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

SourceFormat = Literal["PNG", "JPEG", "DICOM", "TIFF", "WEBP"]

MAX_PIXELS = 50_000_000
"""Largest picture that is decoded. Detectors of radiography units stay under 20 megapixels."""

MIN_SIDE = 96
"""Shortest side, in pixels. Below it the network's 62 pixels a side would no longer be averages of the film's own
pixels, and a lobe of a lung is a handful of dots."""

DEPTHS = (8, 10, 12, 14, 16)
"""Significant bits that a film may have."""


@dataclass(frozen=True)
class Radiograph:
    """One greyscale picture. `pixels` (H, W): uint8 where `bits` is 8, else uint16 filling all 16 bits.

    `bits` are the significant bits of the source (8, 10, 12, 14 or 16); `notes` say in words what was changed on
    reading; `colourfulness` is the mean spread between the colour channels, 0 (grey) to 1.
    """

    pixels: Pixels
    bits: int
    source_format: SourceFormat
    notes: tuple[str, ...] = ()
    colourfulness: float = 0.0

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


def to_png(radiograph: Radiograph) -> bytes:
    """The film as a greyscale PNG of 8 or 16 bits: every pixel kept, no metadata, fast rather than smallest."""
    return png_of(radiograph.pixels)


def png_of(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def thumbnail(radiograph: Radiograph, side: int = 320) -> bytes:
    """A small 8-bit JPEG whose longer side is at most `side` pixels; the aspect is kept."""
    scale = min(1.0, side / max(radiograph.height, radiograph.width))
    size = (max(1, round(radiograph.width * scale)), max(1, round(radiograph.height * scale)))
    buffer = io.BytesIO()
    Image.fromarray(_eight_bits(radiograph.pixels)).resize(size, Image.Resampling.BOX).save(
        buffer, format="JPEG", quality=85
    )
    return buffer.getvalue()


def check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise TooManyPixels(
            f"The picture has {width * height / 1e6:,.0f} megapixels; the most that is read is "
            f"{MAX_PIXELS // 1_000_000}. Export the film at a lower resolution and upload that."
        )
    if min(width, height) < MIN_SIDE:
        raise TooSmall(
            f"The picture is {width} x {height} pixels; a film needs at least {MIN_SIDE} on each side. "
            "Export it at full resolution and upload that."
        )


def grey_of(picture: Image.Image, notes: list[str]) -> tuple[NDArray[np.uint8], float]:
    """The picture in 8 bits of grey, and how colourful it was; what was changed is added to `notes`."""
    colourfulness = 0.0
    if picture.mode not in ("L", "1"):
        picture = picture.convert("RGB")
        colourfulness = _colourfulness(picture)
        if colourfulness > 0:
            notes.append("colour picture converted to grey")
    return np.array(picture.convert("L"), dtype=np.uint8), colourfulness


def _colourfulness(picture: Image.Image) -> float:
    """Mean spread of the channels, 0..1, on a copy of about 256 pixels: enough to tell a photograph."""
    small = picture.reduce(max(1, min(picture.size) // 256))
    channels = np.asarray(small, dtype=np.int16)
    return float((channels.max(axis=2) - channels.min(axis=2)).mean() / 255.0)


def _eight_bits(pixels: Pixels) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    return (pixels >> 8).astype(np.uint8)
