"""Lookup tables and windows whose declarations do not fit: what the file says is used if the film then shows."""

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ml.images.dicom import read_dicom
from tests.support.dicoms import dx, table

RAMP = list(range(4096))
OWN_RANGE = "over the range of its own values"


def shown(**elements: Any) -> np.ndarray:
    return read_dicom(dx(**elements)).radiograph.pixels


@pytest.mark.parametrize("declared", [0, 8, 10, 16])
def test_a_table_is_scaled_by_the_bits_that_its_entries_need(declared: int) -> None:
    right = shown(VOILUTSequence=table(0, 12, RAMP))
    assert np.array_equal(shown(VOILUTSequence=table(0, declared, RAMP)), right)


def test_items_without_a_table_are_as_if_they_were_not_there() -> None:
    empty = Sequence([Dataset()])
    right = shown(WindowCenter=2000, WindowWidth=3000)
    found = shown(WindowCenter=2000, WindowWidth=3000, ModalityLUTSequence=empty, VOILUTSequence=empty)
    assert np.array_equal(found, right)


@pytest.mark.parametrize(("center", "width"), [(60000, 100), (-9000, 50), (2000, 1), (2000, 2)])
def test_a_window_that_hides_the_film_is_not_used(center: int, width: int) -> None:
    film = read_dicom(dx(WindowCenter=center, WindowWidth=width)).radiograph
    assert film.pixels.max() - int(film.pixels.min()) == 65535
    assert any(OWN_RANGE in note for note in film.notes)


def test_a_tiny_slope_fills_the_range() -> None:
    pixels = shown(RescaleSlope="0.00001", RescaleIntercept=0, WindowCenter=None, WindowWidth=None)
    assert (pixels.min(), pixels.max()) == (0, 65535)


def test_a_narrow_window_fits_a_tiny_slope() -> None:
    film = read_dicom(
        dx(RescaleSlope="0.00001", RescaleIntercept=0, WindowCenter="0.02", WindowWidth="0.04")
    ).radiograph
    assert not any(OWN_RANGE in note for note in film.notes)


def test_a_first_value_is_signed_where_modality_values_are() -> None:
    entries = table(-1024, 12, RAMP)
    unsigned = table(65536 - 1024, 12, RAMP)
    right = shown(VOILUTSequence=entries, RescaleIntercept=-1024, RescaleSlope=1)
    assert np.array_equal(shown(VOILUTSequence=unsigned, RescaleIntercept=-1024, RescaleSlope=1), right)
    assert right.max() > 60000
