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


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright (EXIF 2.3, tag 0x0112)."""


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none. Broken EXIF beside an intact picture says nothing."""
    try:
        return int(picture.getexif().get(0x0112, 1))
    except (ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error):
        return 1


def _without_text(content: bytes) -> bytes:
    """The PNG without text and colour profile, which may be of any size and say nothing of the film's greys."""
    kept, place = [content[:8]], 8
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        end = place + 12 + length
        if content[place + 4 : place + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            kept.append(content[place:end])
        place = end
    return b"".join(kept) + content[place:] if len(kept) > 1 else content


def _to_radiograph(picture: Image.Image, source_format: SourceFormat) -> Radiograph:
    notes: list[str] = []
    turned = _TURNS.get(_orientation(picture))
    upright = picture.transpose(turned) if turned is not None else picture
    if turned is not None:
        notes.append("rotated by its EXIF orientation")
    if upright.mode.startswith("I"):
        pixels, bits = _deep(upright, notes)
        return Radiograph(pixels, bits, source_format, tuple(notes))
    grey, colourfulness = grey_of(_opaque(upright, notes), notes)
    return Radiograph(grey, 8, source_format, tuple(notes), colourfulness)


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
