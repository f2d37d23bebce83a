"""DICOM bytes -> `DicomFilm`: one frontal chest film of CR, DX or secondary capture, or a refusal in words.

Only the elements named here and in `ml.images.dicom_header` are read; overlays, curves and private elements
are stepped over.
Pixels go through the modality LUT, then the VOI LUT or window, then MONOCHROME1 is turned round
(`ml.images.dicom_grayscale`).
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import apply_color_lut, get_decoder, pixel_array
from pydicom.tag import Tag
from pydicom.uid import UID, ImplicitVRLittleEndian

from ml.images import codestream, dicom_grayscale, dicom_header
from ml.images.decoded import Offered
from ml.images.errors import DamagedFile, ImageError
from ml.images.radiograph import DEPTHS, MAX_PIXELS, Radiograph, check_size, grey_of

# What is odd in a file is said in the film's notes and refusals; pydicom would say it on standard error.
config.settings.reading_validation_mode = config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_EXPORT = "export the film as PNG or JPEG and upload that"
_CR = "1.2.840.10008.5.1.4.1.1.1"
_DX = "1.2.840.10008.5.1.4.1.1.1.1"
_DX_RAW = "1.2.840.10008.5.1.4.1.1.1.1.1"
_SC = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.3",
       "1.2.840.10008.5.1.4.1.1.7.4")  # fmt: skip
_DICOMDIR = "1.2.840.10008.1.3.10"
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_UNDEFINED = 0xFFFFFFFF
"""The length of what ends with a delimiter."""
_FRAGMENTS = re.compile(rb"\xe0\x7f\x10\x00O[BW]\x00\x00\xff\xff\xff\xff(?=\xfe\xff\x00\xe0)")
_DELIMITER = b"\xfe\xff\xdd\xe0"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_PIXELS = (
    "SOPClassUID", "SpecificCharacterSet", "BurnedInAnnotation", "PresentationIntentType", "NumberOfFrames",
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PhotometricInterpretation", "PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence", "VOILUTFunction", "WindowCenter",
    "WindowWidth", "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "FloatPixelData", "DoubleFloatPixelData", "PixelData",
)  # fmt: skip
_TAGS: list[Any] = [Tag(keyword) for keyword in (*_PIXELS, *dicom_header.OFFERED, *dicom_header.KEPT)]
# The quickest of the decoders that give the same pixels; GDCM hands its pixels over by way of text.
_PREFERRED = {
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "pillow",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
}


_Array = TypeVar("_Array", bound=NDArray[Any])


class WrongKind(ImageError):
    """No chest film of the kinds that are read: another modality, a report, a directory."""

    code = "wrong-modality"


class RawFilm(ImageError):
    code = "for-processing"


class MultiFrame(ImageError):
    code = "multi-frame"


class BurnedIn(ImageError):
    code = "burned-in"


class OtherView(ImageError):
    code = "other-view"


class NoPixels(ImageError):
    code = "no-pixels"


class Unreadable(ImageError):
    """A transfer syntax or a sample format for which there is no decoder."""

    code = "transfer-syntax"


class UnsupportedSamples(ImageError):
    code = "sample-format"


class WrongSize(ImageError):
    code = "wrong-size"


@dataclass(frozen=True)
class DicomFilm:
    """`radiograph`: as it is shown and as the model reads it. `values` (H, W): the modality values, None for colour.

    `facts` may be kept, `offered` is the identity that the file claims and must not be.
    """

    radiograph: Radiograph
    values: NDArray[np.uint16] | None
    facts: dict[str, Any]
    offered: Offered


def read_dicom(content: bytes) -> DicomFilm:
    """Read one film. Raises a subclass of `ImageError`, whose text is for the person who chose the file."""
    with _damage_reported():
        dataset, syntax = _dataset(content)
        _check_kind(dataset, syntax)
        _check_pixels(dataset, syntax)
        offered = dicom_header.offered_of(dataset)
        facts = dicom_header.facts_of(dataset, offered, syntax.name)
        notes = _notes(dataset)
        pixels = _decoded(dataset, syntax)
        facts["pixels_sha256"] = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
        shape = _square_shape(dataset)
        if shape != (int(dataset.Rows), int(dataset.Columns)):
            notes.append("pixels that are not square shown with the proportions of the body")
            if "pixel_spacing_mm" in facts:
                facts["pixel_spacing_mm"] = _square_spacing(facts["pixel_spacing_mm"], dataset, shape)
        if dataset.PhotometricInterpretation not in _GREY:
            radiograph = _colour(pixels, dataset, notes)
            radiograph = replace(radiograph, pixels=_resized(radiograph.pixels, shape))
            return DicomFilm(radiograph, None, facts, offered)
        grey = dicom_grayscale.render(pixels, dataset)
        bits = next(depth for depth in DEPTHS if int(dataset.BitsStored) <= depth)
        radiograph = Radiograph(_resized(grey.shown, shape), bits, "DICOM", (*notes, *grey.notes))
        return DicomFilm(
            radiograph, _resized(grey.values, shape), {**facts, **dicom_header.grey_facts(grey)}, offered
        )


def _dataset(content: bytes) -> tuple[Dataset, UID]:
    content = _delimited(content)
    dataset = dcmread(io.BytesIO(content), force=True, specific_tags=_TAGS)
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else UID(f"1.2.840.10008.1.2.{1 if little else 2}")
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset, UID(syntax)


def _delimited(content: bytes) -> bytes:
    """The file with the sequence delimiter that belongs behind its compressed picture, where that is missing."""
    match = next(reversed(list(_FRAGMENTS.finditer(content))), None)
    if match is None or _DELIMITER in content[match.end() :]:
        return content
    place = match.end()
    while content[place : place + 4] == b"\xfe\xff\x00\xe0":
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        if place + 8 + length > len(content):
            raise DamagedFile(_incomplete(len(content) - place - 8, length))
        place += 8 + length
    if len(content) - place >= 8:
        return content
    return content[:place] + _DELIMITER + bytes(4)


def _check_kind(dataset: Dataset, syntax: UID) -> None:
    """Refuse what is no frontal chest film by its header."""
    modality = str(dataset.get("Modality") or "").strip().upper()
    kind = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    if not modality and kind in (_CR, _DX):
        modality = dataset.Modality = "CR" if kind == _CR else "DX"
    if kind == _DICOMDIR:
        raise WrongKind(
            "This is a DICOMDIR, the table of contents of a disc; upload the films that it lists instead."
        )
    if kind == _DX_RAW or dataset.get("PresentationIntentType") == "FOR PROCESSING":
        raise RawFilm(
            "This DICOM file holds the detector's raw values (for processing), which are not meant to be looked at; "
            "upload the film for presentation instead."
        )
    allowed = {"CR", "DX", "RG", "OT", ""} if kind in _SC else {"CR", "DX", "RG"}
    if (kind and kind not in (_CR, _DX, *_SC)) or modality not in allowed or not (kind or modality):
        raise WrongKind(
            f"This DICOM file is {_described(kind, modality)}, not a chest film; only CR, DX and secondary captures of "
            "films are read. Choose the chest X-ray and upload that."
        )
    if str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES":
        raise BurnedIn(
            "This DICOM file says that text is burnt into its pixels (Burned In Annotation), which may name the "
            "patient; export the film without annotations and upload that."
        )
    if dicom_header.view_of(dataset) is None:
        raise OtherView(
            "This DICOM file says that the film is lateral, oblique or decubitus (View Position, or Patient "
            "Orientation); only frontal chest films (PA or AP) are read. Choose the frontal film and upload that."
        )
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise MultiFrame(
            f"This DICOM file holds {int(dataset.NumberOfFrames)} pictures (multi-frame); upload a file with a single "
            "film."
        )


def _described(kind: str, modality: str) -> str:
    words = {
        "CT": "a CT slice", "MR": "an MR slice", "US": "an ultrasound picture", "MG": "a mammogram", "SR": "a report",
        "PR": "a presentation state", "DOC": "a document", "NM": "a nuclear medicine picture", "PT": "a PET slice",
        "XA": "an angiogram", "RF": "a fluoroscopy", "IO": "a dental film", "PX": "a panoramic dental film",
    }  # fmt: skip
    if modality in words:
        return words[modality]
    name = UID(kind).name if kind else ""
    return f"of the kind “{name}”" if name and name != kind else "of another kind"


def _check_pixels(dataset: Dataset, syntax: UID) -> None:
    """Refuse, before anything is decoded, what cannot be decoded or does not fit together."""
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise UnsupportedSamples(
            f"This DICOM file's pixels are floating-point numbers, which are not read; {_EXPORT}."
        )
    element = dataset.get_item("PixelData")
    there = len(element.value or b"") if element is not None else 0
    if isinstance(element, RawDataElement) and there < element.length != _UNDEFINED:
        raise DamagedFile(_incomplete(there, element.length))
    if element is None and "Rows" not in dataset:
        raise DamagedFile(
            "This DICOM file is incomplete: it ends before the picture. Copy it again and upload that."
        )
    if not there:
        raise NoPixels(
            "This DICOM file holds no picture (no Pixel Data); export the film again and upload that."
        )
    _complete(dataset)
    check_size(int(dataset.Columns), int(dataset.Rows))
    if dataset.BitsAllocated not in (8, 16) or not 1 <= dataset.BitsStored <= dataset.BitsAllocated:
        raise UnsupportedSamples(
            f"This DICOM file stores {dataset.BitsStored} of {dataset.BitsAllocated} bits a pixel; up to 16 are read, "
            f"in units of 8 or 16. Otherwise, {_EXPORT}."
        )
    if dataset.PhotometricInterpretation not in dicom_header.PHOTOMETRIC:
        raise UnsupportedSamples(
            f"This DICOM file's pixels are neither grey nor of a colour that is read; {_EXPORT}."
        )
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise Unreadable(
            f"This DICOM file is written in a way that is not read (transfer syntax {str(syntax)[:64]}); {_EXPORT}."
        )
    if syntax.is_compressed and not syntax.is_deflated:
        _check_frame(dataset, syntax)
    else:
        _check_length(dataset)


def _complete(dataset: Dataset) -> None:
    missing = [
        word
        for word in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation")
        if word not in dataset
    ]
    if missing:
        raise DamagedFile(
            f"This DICOM file does not say how its picture is to be read ({', '.join(missing)}); export the film again "
            "and upload that."
        )
    for keyword, usual in (
        ("SamplesPerPixel", 1),
        ("PixelRepresentation", 0),
        ("BitsStored", dataset.BitsAllocated),
    ):
        if dataset.get(keyword) is None:
            setattr(dataset, keyword, usual)
    if int(dataset.SamplesPerPixel) > 1 and dataset.get("PlanarConfiguration") is None:
        dataset.PlanarConfiguration = 0


def _check_length(dataset: Dataset) -> None:
    """The pixels must be as many as rows and columns say; a byte or a few more are padding, a row more is not."""
    samples = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else int(dataset.SamplesPerPixel)
    row = int(dataset.Columns) * samples * int(dataset.BitsAllocated) // 8
    expected, there = row * int(dataset.Rows), len(dataset.PixelData)
    if there < expected:
        raise DamagedFile(_incomplete(there, expected))
    if there >= expected + row:
        raise WrongSize(_wrong_size(dataset, f"{there:,} bytes instead of {expected:,}"))


def _check_frame(dataset: Dataset, syntax: UID) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        name = syntax.name if syntax.name != syntax else f"the unknown transfer syntax {str(syntax)[:64]}"
        raise Unreadable(f"This DICOM file is compressed as {name}, which is not read; {_EXPORT}.")
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    try:
        completed = codestream.completed(frame)
    except codestream.IncompleteFrame as error:
        raise DamagedFile(_incomplete(*error.args)) from error
    if completed != frame:
        dataset.PixelData = encapsulate([completed])
        dataset["PixelData"].is_undefined_length = True
    found = codestream.header(frame)
    if found is None:
        return
    if syntax == _JPEG_EXTENDED and found.bits > 8:
        raise Unreadable(
            f"This DICOM file is compressed as {found.bits}-bit JPEG Extended, which is not read; export the film "
            "uncompressed, or as JPEG 2000, PNG or JPEG, and upload that."
        )
    if (found.rows, found.columns) != (dataset.Rows, dataset.Columns):
        raise WrongSize(_wrong_size(dataset, f"{found.columns} x {found.rows} pixels"))


def _incomplete(there: int, expected: int) -> str:
    return (
        f"This DICOM file is incomplete: it holds {there:,} of {expected:,} bytes of the picture. Copy it again and "
        "upload that."
    )


def _wrong_size(dataset: Dataset, there: str) -> str:
    return (
        f"This DICOM file contradicts itself: it says {dataset.Columns} x {dataset.Rows} pixels, but holds {there}. "
        "Export the film again and upload that."
    )


def _notes(dataset: Dataset) -> list[str]:
    notes = []
    if str(dataset.get("SOPClassUID") or "") in _SC:
        notes.append("secondary capture: the detector's own picture was changed before it was sent")
    part = dicom_header.body_part(dataset)
    if part and part not in ("CHEST", "LUNG", "THORAX", "RIB", "CHESTABDOMEN"):
        notes.append(f"the file names another part of the body: {part.lower()}")
    return notes


def _decoded(dataset: Dataset, syntax: UID) -> NDArray[Any]:
    """The stored values: (H, W), or (H, W, 3) as RGB."""
    plugin = _PREFERRED.get(syntax, "")
    pixels = pixel_array(dataset, decoding_plugin=plugin, correct_unused_bits=False)
    shift = int(dataset.get("HighBit") or dataset.BitsStored - 1) + 1 - int(dataset.BitsStored)
    return pixels >> shift if shift > 0 and not syntax.is_compressed else pixels


def _square_shape(dataset: Dataset) -> tuple[int, int]:
    """Rows and columns with square pixels: the side along which pixels are longer gets more of them.

    Where that would be too many, the other side gets fewer.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    ratio = dicom_header.pixel_ratio(dataset)
    if abs(ratio - 1) < 0.01:
        return rows, columns
    enlarge = rows * columns * max(ratio, 1 / ratio) <= MAX_PIXELS
    if (ratio > 1) == enlarge:
        return round(rows * ratio), columns
    return rows, round(columns / ratio)


def _square_spacing(pair: list[float], dataset: Dataset, shape: tuple[int, int]) -> list[float]:
    return [
        round(side * before / after, 5)
        for side, before, after in zip(pair, (int(dataset.Rows), int(dataset.Columns)), shape, strict=True)
    ]


def _resized(pixels: _Array, shape: tuple[int, int]) -> _Array:
    if pixels.shape == shape:
        return pixels
    check_size(shape[1], shape[0])
    picture = Image.fromarray(pixels.astype(np.float32))
    resized = np.asarray(picture.resize(shape[::-1], Image.Resampling.BILINEAR))
    return (resized + 0.5).astype(pixels.dtype)  # type: ignore[return-value]


def _colour(pixels: NDArray[Any], dataset: Dataset, notes: list[str]) -> Radiograph:
    """Grey as for colour pictures of PNG and JPEG: 8 bits, with the colourfulness that the gate asks for."""
    surplus = max(int(dataset.BitsStored) - 8, 0)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        surplus = 8 * (pixels.dtype.itemsize - 1)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype.kind != "u":
        raise UnsupportedSamples(
            f"This DICOM file's colours are stored in a way that is not read; {_EXPORT}."
        )
    picture = Image.fromarray((pixels >> surplus).astype(np.uint8))
    grey, colourfulness = grey_of(picture, notes)
    return Radiograph(grey, 8, "DICOM", tuple(notes), colourfulness)


_DAMAGED = "The DICOM file is damaged or incomplete; export or copy it again and upload the new file."


@contextmanager
def _damage_reported() -> Iterator[None]:
    """Turn what pydicom and the decoders raise on broken content into `DamagedFile`; they document no single one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        BytesLengthException,
        EOFError,
        InvalidDicomError,
        LookupError,
        NotImplementedError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        struct.error,
        zlib.error,
    ) as error:
        raise DamagedFile(_DAMAGED) from error
