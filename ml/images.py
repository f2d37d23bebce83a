"""PNG, JPEG and DICOM bytes -> one greyscale `Radiograph`: the same code for upload, inference and training.

A file is judged by its first bytes, never by its name. Every refusal is an `ImageError` whose text is one plain
sentence for the person who chose the file.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
SourceFormat = Literal["PNG", "JPEG", "DICOM"]

MAX_PIXELS = 50_000_000
"""Largest picture that is decoded. Detectors of radiography units stay under 20 megapixels."""

MIN_SIDE = 96
"""Shortest side, in pixels. Below it the network's 62 pixels a side would no longer be averages of the film's own
pixels, and a lobe of a lung is a handful of dots."""

AREA_MEANS = "stretch-area-1"
SMOOTHED = "stretch-smooth-2"
PREPROCESSINGS = (AREA_MEANS, SMOOTHED)
"""Rules of resizing, by the names that model cards and receipts give them: weights are good for one of them."""
COPY_SIDE = 224
"""Side, in pixels, of the copies that the shipped models learned from."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
DEPTHS = (8, 10, 12, 14, 16)
"""Significant bits that a film may have."""
_EXPORT = "export the film as PNG or JPEG and upload that"


class ImageError(ValueError):
    """A file that cannot be read as a film; `str()` says why and what to do, `code` is a stable short name."""

    code = "unreadable"


class EmptyFile(ImageError):
    code = "empty"


class UnsupportedFormat(ImageError):
    code = "unsupported"


class DamagedFile(ImageError):
    code = "damaged"


class TooManyPixels(ImageError):
    code = "too-large"


class TooSmall(ImageError):
    code = "too-small"


class AnimatedFile(ImageError):
    code = "animated"


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


def read_radiograph(source: bytes | Path | BinaryIO) -> Radiograph:
    """Read one film from bytes, a path or an open binary file.

    Raises a subclass of `ImageError` where the content is no usable PNG, JPEG or DICOM picture, and `OSError` where the
    path itself cannot be read.
    """
    content = _content(source)
    source_format = recognise(content)
    if source_format == "DICOM":
        # pydicom takes half a second to import; who reads no DICOM need not wait for it.
        from ml.dicom import read_dicom

        return read_dicom(content).radiograph
    if source_format == "PNG":
        check_size(*_png_size(content))
    with _damage_reported(), Image.open(io.BytesIO(content), formats=[source_format]) as picture:
        check_size(*picture.size)
        if source_format == "PNG" and getattr(picture, "n_frames", 1) > 1:
            raise AnimatedFile(
                "This PNG is an animation; upload a single film, one picture to a file, as PNG, JPEG or DICOM."
            )
        picture.load()
        return _to_radiograph(picture, source_format)


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


def fit(radiograph: Radiograph, side: int) -> NDArray[np.float32]:
    """The film as (side, side) float32 in 0..1, by area means: what gate, fingerprint and figures of a picture see.

    Height and width are stretched independently, because the films that the model learned from were. Each result
    is the mean of the area that it covers, so a film of 2,000 pixels and its 224 pixel copy give nearly the same.
    """
    return resize(radiograph.pixels, side) / _full(radiograph)


def _full(radiograph: Radiograph) -> np.float32:
    return np.float32(255.0 if radiograph.pixels.dtype == np.uint8 else 65535.0)


@dataclass(frozen=True)
class Preparation:
    """How a network takes its films: stretched to `side` x `side` by the rule of this name, then standardised."""

    side: int
    rule: str

    def __call__(self, film: Radiograph) -> NDArray[np.float32]:
        """(side, side), mean 0 and deviation 1."""
        return standardise(self.fit(film))

    def fit(self, film: Radiograph) -> NDArray[np.float32]:
        """(side, side) in 0..1, not yet standardised."""
        return self.resize(film.pixels) / _full(film)

    def resize(self, pixels: Pixels | NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) as (side, side) float32, in the units of the input."""
        return smooth(pixels, self.side) if self.rule == SMOOTHED else resize(pixels, self.side)


def smooth(pixels: Pixels | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A (H, W) array as (side, side) float32, in the units of the input, by way of the size of a training copy.

    Area means take one or two pixels of a copy in turn and so leave a pattern in it that no film of full size has.
    Triangles as wide as two results do not, and they come nearest to how the copies were made.
    """
    if pixels.dtype != np.float32 and min(pixels.shape) >= 4 * COPY_SIDE:
        pixels = _means(pixels, 2 * COPY_SIDE)
    picture = Image.fromarray(np.asarray(pixels, dtype=np.float32))
    for wanted in (COPY_SIDE, side):
        picture = picture.resize((wanted, wanted), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.float32)


def resize(pixels: Pixels | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Area means of a (H, W) array as (side, side) float32, in the units of the input.

    Each result is the mean of the whole pixels whose centres lie in its area. A side that is shorter than the
    result is enlarged.
    """
    if pixels.dtype != np.float32 and min(pixels.shape) >= side:
        return _means(pixels, side)
    picture = Image.fromarray(np.asarray(pixels, dtype=np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX), dtype=np.float32)


def _means(pixels: Pixels | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """What Pillow's box filter gives, from sums of whole numbers: twenty times as fast on a film of full size."""
    rows, columns = (np.floor(np.arange(side + 1) * (n / side) + 0.5).astype(np.intp) for n in pixels.shape)
    bands = np.stack([pixels[i:j].sum(axis=0, dtype=np.uint32) for i, j in pairwise(rows)])
    sums = np.add.reduceat(bands, columns[:-1], axis=1, dtype=np.uint32)
    return (sums / np.outer(np.diff(rows), np.diff(columns))).astype(np.float32)


def standardise(film: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean 0 and deviation 1 within the film, so that exposure and contrast do not move the answer.

    A film of one single grey has no deviation: it becomes all zeros.
    """
    centred = film - film.mean(dtype=np.float64).astype(np.float32)
    deviation = float(centred.std(dtype=np.float64))
    if deviation < 1e-6:
        return np.zeros_like(centred)
    return (centred / np.float32(deviation)).astype(np.float32)


def _content(source: bytes | Path | BinaryIO) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, Path):
        return source.read_bytes()
    return source.read()


def recognise(content: bytes) -> SourceFormat:
    """What the first bytes say. Raises `EmptyFile` and `UnsupportedFormat`."""
    if not content:
        raise EmptyFile("The file is empty; check that it was copied completely and upload it again.")
    if content.startswith(_PNG_MAGIC):
        return "PNG"
    if content.startswith(_JPEG_MAGIC):
        return "JPEG"
    if is_dicom(content):
        return "DICOM"
    raise UnsupportedFormat(f"This is {_what_it_is(content)}, not a PNG, JPEG or DICOM picture; {_EXPORT}.")


def is_dicom(content: bytes) -> bool:
    """True for DICOM's mark behind its preamble, or, without these, for elements that every such file begins with."""
    if content[128:132] == b"DICM":
        return True
    if len(content) < 16:
        return False
    group, element = struct.unpack("<HH", content[:4])
    if group == 2:
        return content[4:6] == b"UL"
    if group != 8 or element > 0x18:
        return False
    length = int.from_bytes(content[4:8], "little")
    explicit = content[4:6].isalpha() and content[4:6].isupper()
    return explicit or content[8 + length : 10 + length] == b"\x08\x00"


def _what_it_is(content: bytes) -> str:
    head = content[:512]
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "a GIF"
    if head.startswith(b"%PDF"):
        return "a PDF document"
    if head.startswith((b"II*\x00", b"MM\x00*")):
        return "a TIFF picture"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "a WebP picture"
    if head.startswith(b"BM"):
        return "a BMP picture"
    if head.startswith(b"PK\x03\x04"):
        return "a ZIP archive"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypavif", b"ftypmif1"):
        return "a HEIC or AVIF picture"
    if b"<svg" in head.lower():
        return "an SVG drawing"
    if _is_text(head):
        return "a text file"
    return "a file of another kind"


def _is_text(head: bytes) -> bool:
    control = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in head)
    return control == 0 and b"\x7f" not in head


def _png_size(content: bytes) -> tuple[int, int]:
    if len(content) < 24 or content[12:16] != b"IHDR":
        raise DamagedFile(_DAMAGED)
    width, height = struct.unpack(">II", content[16:24])
    return int(width), int(height)


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


_DAMAGED = "The picture is damaged or incomplete; export or copy it again and upload the new file."


@contextmanager
def _damage_reported() -> Iterator[None]:
    """Turn what Pillow raises on broken content into `DamagedFile`; it documents no single exception for that."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(
            f"The picture has more than {MAX_PIXELS // 1_000_000} megapixels; "
            "export the film at a lower resolution and upload that."
        ) from error
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        EOFError,
        struct.error,
    ) as error:
        raise DamagedFile(_DAMAGED) from error


def _to_radiograph(picture: Image.Image, source_format: SourceFormat) -> Radiograph:
    notes: list[str] = []
    upright = ImageOps.exif_transpose(picture)
    if picture.getexif().get(0x0112, 1) in range(2, 9):
        notes.append("rotated by its EXIF orientation")
    if upright.mode.startswith("I"):
        pixels, bits = _deep(upright, notes)
        return Radiograph(pixels, bits, source_format, tuple(notes))
    grey, colourfulness = grey_of(_opaque(upright, notes), notes)
    return Radiograph(grey, 8, source_format, tuple(notes), colourfulness)


def grey_of(picture: Image.Image, notes: list[str]) -> tuple[NDArray[np.uint8], float]:
    """The picture in 8 bits of grey, and how colourful it was; what was changed is added to `notes`."""
    colourfulness = 0.0
    if picture.mode not in ("L", "1"):
        picture = picture.convert("RGB")
        colourfulness = _colourfulness(picture)
        if colourfulness > 0:
            notes.append("colour picture converted to grey")
    return np.array(picture.convert("L"), dtype=np.uint8), colourfulness


def _opaque(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Paint what is transparent black: on a film, black is where nothing was."""
    if not picture.has_transparency_data:
        return picture
    with_alpha = picture.convert("RGBA")
    if with_alpha.getchannel("A").getextrema() == (255, 255):
        return with_alpha.convert("RGB")
    notes.append("transparent areas painted black")
    black = Image.new("RGBA", with_alpha.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, with_alpha).convert("RGB")


def _deep(picture: Image.Image, notes: list[str]) -> tuple[Pixels, int]:
    """Values of a 16-bit greyscale PNG, scaled to all 16 bits, and how many bits they came in.

    Files rarely say how many of their 16 bits are used, so the smallest usual depth that holds the brightest pixel
    is taken. The scaling is one to one: `round(value * (2**bits - 1) / 65535)` gives the source's values back.
    Values that fit in 8 bits are kept as an 8-bit film.
    """
    values = np.array(picture).astype(np.int64)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int) and bool((values == transparent).any()):
        values[values == transparent] = 0
        notes.append("transparent areas painted black")
    values = values.clip(0, 65535)
    largest = int(values.max())
    if largest <= 255:
        notes.append("16-bit file with 8-bit values read as 8-bit")
        return values.astype(np.uint8), 8
    bits = next(depth for depth in DEPTHS if largest < 2**depth)
    if bits < 16:
        notes.append(f"{bits}-bit values scaled")
    top = 2**bits - 1
    return ((values * 65535 + top // 2) // top).astype(np.uint16), bits


def _colourfulness(picture: Image.Image) -> float:
    """Mean spread of the channels, 0..1, on a copy of about 256 pixels: enough to tell a photograph."""
    small = picture.reduce(max(1, min(picture.size) // 256))
    channels = np.asarray(small, dtype=np.int16)
    return float((channels.max(axis=2) - channels.min(axis=2)).mean() / 255.0)


def _eight_bits(pixels: Pixels) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    return (pixels >> 8).astype(np.uint8)
