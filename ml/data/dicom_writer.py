"""DICOM films of nobody: valid DX and CR files with an invented identity, for the demonstration and the tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

Stored = NDArray[np.uint8] | NDArray[np.int16] | NDArray[np.uint16]

# Each kind of file is made of one sample after the other: modality, photometric interpretation, compression.
_KINDS = (
    ("DX", "MONOCHROME2", ExplicitVRLittleEndian),
    ("CR", "MONOCHROME1", ExplicitVRLittleEndian),
    ("DX", "MONOCHROME1", JPEG2000Lossless),
    ("DX", "MONOCHROME2", RLELossless),
    ("CR", "MONOCHROME2", JPEGLSLossless),
    ("DX", "MONOCHROME2", JPEG2000Lossless),
)
_PEOPLE = (
    "Bramble^Aster",
    "Fennick^Linden",
    "Harrow^Juniper",
    "Marlowe^Sorrel",
    "Quillon^Tansy",
    "Wickett^Rowan",
)


def write_film(
    stored: Stored,
    *,
    bits: int,
    photometric: str = "MONOCHROME2",
    modality: str = "DX",
    syntax: UID = ExplicitVRLittleEndian,
    seed: str = "film",
    merged: Dataset | None = None,
    **elements: Any,
) -> bytes:
    """A DICOM file of stored values (H, W), or (H, W, 3) for RGB.

    `elements` are set by keyword after all others (None leaves one out), then those of `merged`. UIDs come from
    `seed`, so that the same call gives the same bytes.
    """
    dataset = _header(stored, bits, photometric, modality, seed)
    dataset.PixelData = np.ascontiguousarray(stored).tobytes()
    dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    if syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    dataset.update(merged or {})
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_samples(folder: Path, out: Path, done: Callable[[], object] = lambda: None) -> list[Path]:
    """Write the PNG films of `folder` as 12-bit DICOM files of all kinds into `out`; the same bytes each time."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for number, (source, content) in enumerate(samples(folder)):
        path = out / f"{number + 1:02d}-{source.stem}.dcm"
        path.write_bytes(content)
        written.append(path)
        done()
    return written


def samples(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Each PNG film of `folder` with its DICOM file."""
    for number, path in enumerate(sorted(folder.glob("*.png"))):
        with Image.open(path) as picture:
            grey = np.asarray(picture.convert("L"), dtype=np.uint16)
        # Below the 8 bits of the picture comes noise, as from a detector: the depth must matter.
        noise = np.random.default_rng(number).integers(0, 16, grey.shape, dtype=np.uint16)
        values = (grey << 4) + noise
        modality, photometric, syntax = _KINDS[number % len(_KINDS)]
        stored = 4095 - values if photometric == "MONOCHROME1" else values
        person = _PEOPLE[number % len(_PEOPLE)]
        yield (
            path,
            write_film(
                stored.astype(np.uint16), bits=12, photometric=photometric, modality=modality, syntax=syntax,
                seed=path.stem, PatientID=f"SYN-{number + 1:04d}", PatientName=person,
                PatientBirthDate=f"20{20 + number % 4}0{1 + number % 9}15", PatientSex="FM"[number % 2],
                ViewPosition=("PA", "AP")[number % 2], WindowCenter=2048, WindowWidth=4096,
            ),
        )  # fmt: skip


def _header(stored: Stored, bits: int, photometric: str, modality: str, seed: str) -> FileDataset:
    kind = ComputedRadiographyImageStorage if modality == "CR" else DigitalXRayImageStorageForPresentation
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[seed, "instance"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["PneumoWeb"])
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[seed, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[seed, "series"])
    dataset.Modality, dataset.PresentationIntentType = modality, "FOR PRESENTATION"
    dataset.PatientID, dataset.PatientName = "SYN-0000", "Nobody^Anna"
    dataset.PatientBirthDate, dataset.PatientSex = "20210315", "F"
    dataset.StudyDate, dataset.StudyTime = "20261103", "101500"
    dataset.AccessionNumber, dataset.InstitutionName = "A0000001", "Invented Hospital"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Agfa", "Synthetic 1"
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    dataset.ImagerPixelSpacing = [0.15, 0.15]
    dataset.BurnedInAnnotation = "NO"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    return dataset
