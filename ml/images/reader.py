"""Read a radiograph from PNG, JPEG or DICOM, under limits."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ml.images.errors import (
    AnimatedFile,
    DamagedFile,
    EmptyFile,
    ImageError,
    TooManyPixels,
    UnsupportedFormat,
)
from ml.images.radiograph import DEPTHS, MAX_PIXELS, Pixels, Radiograph, SourceFormat, check_size, grey_of

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"

_JPEG_MAGIC = b"\xff\xd8\xff"

_CHANNELS = {2: "RGB", 4: "LA", 6: "RGBA"}
"""PNG's colour types of several channels."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What turns a picture upright, by its EXIF orientation."""

_EXPORT = "export the film as PNG or JPEG and upload that"


def read_radiograph(source: bytes | Path | BinaryIO) -> Radiograph:
    """Read one film from bytes, a path or an open binary file.

    Raises a subclass of `ImageError` where the content is no usable PNG, JPEG or DICOM picture, and `OSError` where the
    path itself cannot be read.
    """
    content = _content(source)
    source_format = recognise(content)
    if source_format == "DICOM":
        # pydicom takes half a second to import; who reads no DICOM need not wait for it.
        from ml.images.dicom import read_dicom

        return read_dicom(content).radiograph
    if source_format == "PNG":
        check_size(*_png_size(content))
        content = _without_text(content)
    with _damage_reported(), Image.open(io.BytesIO(content), formats=[source_format]) as picture:
        check_size(*picture.size)
        if source_format == "PNG" and getattr(picture, "n_frames", 1) > 1:
            raise AnimatedFile(
                "This PNG is an animation; upload a single film, one picture to a file, as PNG, JPEG or DICOM."
            )
        if source_format in ("TIFF", "WEBP") and getattr(picture, "n_frames", 1) > 1:
            raise AnimatedFile(
                "This file holds several pictures; upload a single film, one picture to a file, as PNG or JPEG."
            )
        if source_format == "PNG" and content[24] == 16 and content[25] in _CHANNELS:
            return _deep_channels(content, _orientation(picture))
        picture.load()
        return _to_radiograph(picture, source_format)


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
    if content.startswith((b"II*\x00", b"MM\x00*")):
        return "TIFF"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "WEBP"
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
    if head.startswith((b"\x00\x00\x00\x0cjP  \r\n", b"\xff\x4f\xff\x51")):
        return "a JPEG 2000 picture"
    if head.startswith((b"\x00\x00\x00\x0cJXL \r\n", b"\xff\x0a")):
        return "a JPEG XL picture"
    if head.startswith(b"BM"):
        return "a BMP picture"
    if head.startswith(b"PK\x03\x04"):
        return "a ZIP archive"
    if head[4:12] in (
        b"ftypheic",
        b"ftypheix",
        b"ftypavif",
        b"ftypmif1",
        b"ftyphevc",
        b"ftypmsf1",
        b"ftypheim",
    ):
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
    upright = _turned(picture, _orientation(picture), notes)
    if upright.mode == "F":
        raise UnsupportedFormat(
            f"This picture's pixels are floating-point numbers, which are not read; {_EXPORT}."
        )
    if upright.mode.startswith("I"):
        pixels, bits = _deep(upright, notes)
        return Radiograph(pixels, bits, source_format, tuple(notes))
    grey, colourfulness = grey_of(_opaque(upright, notes), notes)
    return Radiograph(grey, 8, source_format, tuple(notes), colourfulness)


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation; 1 where there is none that can be read."""
    try:
        found = picture.getexif().get(0x0112, 1)
    except (
        ArithmeticError,
        LookupError,
        OSError,
        RuntimeError,
        SyntaxError,
        TypeError,
        ValueError,
        struct.error,
    ):
        return 1
    return found if found in _TURNS else 1


def _turned(picture: Image.Image, orientation: int, notes: list[str]) -> Image.Image:
    if orientation not in _TURNS:
        return picture
    notes.append("rotated by its EXIF orientation")
    turned = picture.transpose(_TURNS[orientation])
    if "transparency" in picture.info:
        turned.info["transparency"] = picture.info["transparency"]
    return turned


def _without_text(content: bytes) -> bytes:
    """The PNG without texts and colour profiles, which say nothing of its pixels and may be of any size."""
    parts, place = [content[:8]], 8
    while place + 12 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            parts.append(content[place:end])
        place = end
    return b"".join(parts)


def _deep_channels(content: bytes, orientation: int) -> Radiograph:
    """A PNG of 16 bits a channel in colour or with alpha: Pillow keeps 8 of them, so both halves are read in turn."""
    notes: list[str] = []
    alpha: NDArray[np.uint16] | None = None
    kind = content[25]
    if kind == 4:
        raw = _png_half(content, "RGBA", "RGBA", orientation)
        grey, alpha = _joined(raw[0], raw[1]), _joined(raw[2], raw[3])
        colourfulness = 0.0
    else:
        mode = _CHANNELS[kind]
        high = _png_half(content, mode, f"{mode};16B", orientation)
        low = _png_half(content, mode, f"{mode};16L", orientation)
        red, green, blue = (_joined(high[n], low[n]) for n in range(3))
        if kind == 6:
            alpha = _joined(high[3], low[3])
        if np.array_equal(red, green) and np.array_equal(red, blue):
            grey, colourfulness = red, 0.0
        else:
            _, colourfulness = grey_of(Image.merge("RGB", high[:3]), notes)
            grey = np.rint(
                red * np.float32(0.299) + green * np.float32(0.587) + blue * np.float32(0.114)
            ).astype(np.uint16)
    if orientation in _TURNS:
        notes.append("rotated by its EXIF orientation")
    if alpha is not None and int(alpha.min()) < 65535:
        grey = (grey * (alpha / np.float32(65535))).astype(np.uint16)
        notes.append("transparent areas painted black")
    pixels, bits = _scaled(grey.astype(np.int64), notes)
    return Radiograph(pixels, bits, "PNG", tuple(notes), colourfulness)


def _png_half(content: bytes, mode: str, raw: str, orientation: int) -> tuple[Image.Image, ...]:
    """The channels of a PNG, unpacked as `raw` says."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        picture._mode = mode
        picture.tile = [tile._replace(args=raw) for tile in picture.tile]
        picture.load()
        return _turned(picture, orientation, []).split()


def _joined(high: Image.Image, low: Image.Image) -> NDArray[np.uint16]:
    return (np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)).astype(np.uint16)


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
    if picture.format == "TIFF" and getattr(picture, "tag_v2", {}).get(262) == 0:
        values = 65535 - values
    return _scaled(values, notes)


def _scaled(values: NDArray[np.int64], notes: list[str]) -> tuple[Pixels, int]:
    largest = int(values.max())
    if largest <= 255:
        notes.append("16-bit file with 8-bit values read as 8-bit")
        return values.astype(np.uint8), 8
    bits = next(depth for depth in DEPTHS if largest < 2**depth)
    if bits < 16:
        notes.append(f"{bits}-bit values scaled")
    top = 2**bits - 1
    return ((values * 65535 + top // 2) // top).astype(np.uint16), bits
