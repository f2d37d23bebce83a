"""DICOM files for the tests: good ones of every kind, odd ones, broken ones."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ComputedRadiographyImageStorage, JPEG2000Lossless

from ml.data.dicom_writer import write_film
from ml.images.dicom import read_dicom
from tests.support.pictures import film_array

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
"""The files that come inside pydicom's wheel."""
PIXEL_DATA = b"\xe0\x7f\x10\x00OW\x00\x00"


def stored(seed: int = 0, size: int = 128, bits: int = 12) -> NDArray[np.uint16]:
    """Values (size, size) from 0 to the top of `bits`."""
    film = film_array(seed, size).astype(np.float64)
    film = (film - film.min()) / (film.max() - film.min())
    return (film * (2**bits - 1)).astype(np.uint16)


def dx(seed: int = 0, **more: Any) -> bytes:
    """A DX film of 12 bits, 128 x 128, of the invented patient SYN-0000."""
    return write_film(more.pop("pixels", stored(seed)), **{"bits": 12, "seed": f"film {seed}", **more})


def values_of(content: bytes) -> NDArray[np.uint16]:
    """The modality values that are kept of a grey film."""
    values = read_dicom(content).values
    assert values is not None
    return values


def as_cr(name: str) -> tuple[bytes, Dataset]:
    """One of pydicom's files, made to say that it is a CR film; as bytes, and as pydicom reads it."""
    dataset = dcmread(SHIPPED / name)
    dataset.Modality, dataset.SOPClassUID = "CR", ComputedRadiographyImageStorage
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue(), dataset


def table(first: int, bits: int, data: list[int], declared: int | None = None) -> Sequence:
    """A lookup table as the file holds it."""
    item = Dataset()
    item.LUTDescriptor = [declared or len(data), first, bits]
    item["LUTDescriptor"].VR = "US" if first >= 0 else "SS"
    item.LUTData = data
    item["LUTData"].VR = "US"
    return Sequence([item])


def view_code(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return Sequence([item])


def with_private(content: bytes, element: bytes) -> bytes:
    """The file with a private element (explicit VR) where its group 0009 belongs."""
    place = content.index(b"\x10\x00\x10\x00PN")
    return content[:place] + element + content[place:]


def nested(depth: int) -> bytes:
    """A private sequence within itself, `depth` deep, nowhere with a length."""
    sequence = struct.pack("<HH2sHL", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ends = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return (sequence + item) * depth + ends * depth


def _declaring_4_gb() -> bytes:
    content = dx()
    place = content.index(PIXEL_DATA) + len(PIXEL_DATA)
    return content[:place] + struct.pack("<L", 0xFFFFFFF0) + content[place + 4 :]


# What is refused: the file, the code, a word of the sentence.
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "CT slice": (dx(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), "wrong-modality", "a CT slice"),
    "mammogram": (dx(Modality="MG", SOPClassUID="1.2.840.10008.5.1.4.1.1.1.2"), "wrong-modality", "a mammogram"),
    "ultrasound as secondary capture": (
        dx(Modality="US", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "wrong-modality", "an ultrasound"),
    "report": ((SHIPPED / "test-SR.dcm").read_bytes(), "wrong-modality", "a report"),
    "PDF": (
        dx(Modality="DOC", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", PixelData=None,
           EncapsulatedDocument=b"%PDF-1.7"),
        "wrong-modality", "a document"),
    "DICOMDIR": ((SHIPPED / "dicomdirtests" / "DICOMDIR").read_bytes(), "wrong-modality", "DICOMDIR"),
    "for processing": (dx(PresentationIntentType="FOR PROCESSING"), "for-processing", "raw values"),
    "burnt in": (dx(BurnedInAnnotation="YES"), "burned-in", "burnt into"),
    "lateral": (dx(ViewPosition="LL"), "other-view", "lateral"),
    "lateral by code": (
        dx(ViewPosition=None, ViewCodeSequence=view_code("399198007", "right lateral")), "other-view", "lateral"),
    "lateral by orientation": (dx(ViewPosition=None, PatientOrientation=["A", "F"]), "other-view", "Orientation"),
    "lateral, looking back, lying": (
        dx(ViewPosition=None, PatientOrientation=["FL", "PL"]), "other-view", "Orientation"),
    "axial by orientation": (dx(ViewPosition="", PatientOrientation=["L", "P"]), "other-view", "Orientation"),
    "multi-frame": (dx(NumberOfFrames=2), "multi-frame", "2 pictures"),
    "no pixel data": (dx(PixelData=None), "no-pixels", "no picture"),
    "no rows": (dx(Rows=None), "damaged", "Rows"),
    "truncated": (dx()[:-5000], "damaged", "27,768 of 32,768 bytes"),
    "declares 4 GB": (_declaring_4_gb(), "damaged", "of 4,294,967,280 bytes"),
    "too many rows": (dx(Rows=200), "damaged", "of 51,200 bytes"),
    "too few rows": (dx(Rows=100), "wrong-size", "says 128 x 100 pixels"),
    "other size in JPEG 2000": (dx(syntax=JPEG2000Lossless, Rows=100), "wrong-size", "holds 128 x 128 pixels"),
    "4 gigapixels": (dx(Rows=65535, Columns=65535), "too-large", "megapixels"),
    "32 bits": (dx(BitsAllocated=32, BitsStored=32), "sample-format", "32 of 32 bits"),
    "float": (dx(PixelData=None, FloatPixelData=bytes(4 * 128 * 128)), "sample-format", "floating-point"),
    "slope 0": (dx(RescaleSlope=0, RescaleIntercept=0), "damaged", "rescale slope is 0"),
    "torn table": (
        dx(VOILUTSequence=table(0, 12, [0] * 50, declared=4096)), "damaged", "lookup table"),
    "12-bit JPEG Extended": (as_cr("JPGExtended.dcm")[0], "transfer-syntax", "12-bit JPEG Extended"),
    "unknown transfer syntax": (
        dx(syntax=JPEG2000Lossless).replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.65"),
        "transfer-syntax", "JPEG Lossless, Hierarchical (Process 28)"),
    "private sequence 5,000 deep": (with_private(dx(), nested(5000)), "damaged", "damaged"),
}  # fmt: skip
