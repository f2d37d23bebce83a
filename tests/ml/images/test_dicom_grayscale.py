"""Stored values become the right greys: checked against the standard's equations by hand, and against pydicom."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from ml.images.dicom import read_dicom
from ml.images.dicom_grayscale import render
from tests.support.dicoms import SHIPPED, dx, stored, table, values_of


def shown(values: list[int], kind: Any = np.uint16, bits: int = 12, **elements: Any) -> list[float]:
    """The brightness, 0 to 1, that each stored value gets."""
    pixels = np.zeros((96, 96), dtype=kind)
    pixels[0, : len(values)] = values
    film = read_dicom(dx(pixels=pixels, bits=bits, **elements)).radiograph
    top = 255 if film.pixels.dtype == np.uint8 else 65535
    return [round(float(pixel) / top, 4) for pixel in film.pixels[0, : len(values)]]


WINDOW = {"WindowCenter": 100, "WindowWidth": 50}


@pytest.mark.parametrize(
    ("elements", "values", "expected"),
    [
        # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5)
        (WINDOW, [75, 76, 100, 124, 125], [0, 0.0204, 0.5102, 1, 1]),
        ({**WINDOW, "VOILUTFunction": "LINEAR_EXACT"}, [75, 80, 100, 125], [0, 0.1, 0.5, 1]),
        ({**WINDOW, "VOILUTFunction": "SIGMOID"}, [50, 100, 150], [0.018, 0.5, 0.982]),
        ({"WindowCenter": [100, 300], "WindowWidth": [50, 80]}, [75, 124], [0, 1]),
        ({"WindowCenter": 100, "WindowWidth": 1}, [99, 100], [0, 1]),
        ({**WINDOW, "photometric": "MONOCHROME1"}, [75, 76, 125], [1, 0.9796, 0]),
        ({**WINDOW, "RescaleSlope": 2, "RescaleIntercept": -50}, [62, 63, 75, 88], [0, 0.0204, 0.5102, 1]),
        ({**WINDOW, "RescaleSlope": -1, "RescaleIntercept": 200}, [125, 124, 100, 76], [0, 0.0204, 0.5102, 1]),
        ({"VOILUTSequence": table(10, 8, [0, 51, 255])}, [0, 10, 11, 12, 99], [0, 0, 0.2, 1, 1]),
        # The table counts for more than the window.
        ({**WINDOW, "VOILUTSequence": table(10, 8, [0, 51, 255])}, [11], [0.2]),
        ({"ModalityLUTSequence": table(5, 16, [75, 100, 125]), **WINDOW}, [0, 5, 6, 7, 8], [0, 0, 0.5102, 1, 1]),
        (
            {"ModalityLUTSequence": table(0, 12, [12, 11, 10]), "VOILUTSequence": table(10, 8, [0, 51, 255]),
             "photometric": "MONOCHROME1"},
            [0, 1, 2], [0, 0.8, 1],
        ),
        # Without a window: the range of the film's own values, which here begins at 0.
        ({}, [0, 1000, 2000], [0, 0.5, 1]),
        ({"WindowCenter": 100, "WindowWidth": 0}, [0, 1000, 2000], [0, 0.5, 1]),
        ({"PixelPaddingValue": 4000}, [4000, 0, 1000, 2000], [0, 0, 0.5, 1]),
        ({"PixelPaddingValue": 0, "photometric": "MONOCHROME1"}, [0, 1000, 2000], [0, 1, 0]),
    ],
)  # fmt: skip
def test_the_standards_equations(elements: dict[str, Any], values: list[int], expected: list[float]) -> None:
    assert shown(values, **elements) == pytest.approx(expected, abs=1e-4)


def test_signed_values_with_a_negative_slope() -> None:
    elements = {"WindowCenter": 1000, "WindowWidth": 201, "RescaleSlope": -2, "RescaleIntercept": 900}
    assert shown([0, -50, -100], kind=np.int16, **elements) == pytest.approx([0.0025, 0.5025, 1], abs=1e-4)


def test_eight_bits_stay_eight() -> None:
    film = read_dicom(dx(pixels=stored(bits=8).astype(np.uint8), bits=8))
    assert film.radiograph.pixels.dtype == np.uint8
    assert film.radiograph.bits == 8
    assert np.array_equal(film.radiograph.pixels, stored(bits=8))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_every_depth_is_kept(bits: int) -> None:
    film = read_dicom(dx(pixels=stored(bits=bits), bits=bits))
    top = 2**bits - 1
    assert film.radiograph.bits == bits
    assert film.values is not None
    assert np.array_equal(film.values, stored(bits=bits))
    assert np.array_equal(np.rint(film.radiograph.pixels.astype(float) * top / 65535), stored(bits=bits))


def test_what_lies_in_unused_bits_is_no_part_of_the_picture() -> None:
    """Old files keep an overlay, which may name the patient, in the bits above those of the picture."""
    with_overlay = stored() | (np.random.default_rng(0).integers(0, 2, (128, 128), dtype=np.uint16) << 13)
    assert np.array_equal(values_of(dx(pixels=with_overlay)), stored())
    assert np.array_equal(values_of(dx(pixels=(stored() << 4).astype(np.uint16), HighBit=15)), stored())


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"RescaleSlope": 1, "RescaleIntercept": -1024},
        {"RescaleSlope": 0.25, "RescaleIntercept": 3},
        {"RescaleSlope": -2, "RescaleIntercept": 10},
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_the_values_are_those_of_the_modality(elements: dict[str, Any], signed: bool) -> None:
    pixels = (stored().astype(np.int16) - 2048) if signed else stored()
    content = dx(pixels=pixels, **elements)
    film = read_dicom(content)
    counted = film.facts["values"]
    assert film.values is not None
    found = film.values * counted["slope"] + counted["offset"]
    assert np.array_equal(found, apply_modality_lut(pixels.astype(float), dcmread(BytesIO(content))))
    assert counted["slope"] > 0


OF_PYDICOM = ["MR_small.dcm", "J2K_pixelrep_mismatch.dcm", "examples_overlay.dcm"]


@pytest.mark.parametrize("name", OF_PYDICOM)
def test_pydicom_agrees_on_its_own_files(name: str) -> None:
    dataset = dcmread(SHIPPED / name)
    pixels = dataset.pixel_array
    grey = render(pixels, dataset)
    assert grey.window.source == "file"
    reference = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset, prefer_lut=True)
    bits, slope = int(dataset.BitsStored), float(dataset.get("RescaleSlope", 1))
    lowest = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    low = lowest * slope + float(dataset.get("RescaleIntercept", 0))
    reference = (reference - low) / ((2**bits - 1) * slope)
    assert np.abs(grey.shown / 65535 - reference).max() < 1e-4
    assert reference.std() > 0.1


def test_pydicom_agrees_on_tables_in_either_byte_order() -> None:
    data = [int(4095 * (i / 4095) ** 0.5) for i in range(4096)]
    for words in ("US", "OW"):
        content = dx(VOILUTSequence=table(0, 12, data))
        dataset = dcmread(BytesIO(content))
        if words == "OW":
            dataset.VOILUTSequence[0].add_new("LUTData", "OW", np.asarray(data, dtype="<u2").tobytes())
        reference = apply_voi_lut(dataset.pixel_array, dataset)
        assert np.abs(render(dataset.pixel_array, dataset).shown / 65535 - reference / 4095).max() < 1e-4
