"""Films projected from a CT: the sums are right, and a gate taught with them tells the side from the front."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.gate import fitting, report
from ml.gate.negatives import drawn as drawn_negatives
from ml.gate.negatives import drr, package_pictures
from ml.images.preprocessing import resize, standardise
from ml.serving import gate
from tests.support.radiographs import CELL, chest, phantom, unit

FEW: dict[drr.View, tuple[int, ...]] = {
    "front": (-10, 0, 10),
    "oblique": (45, -50),
    "side": (60, 90, 120, -75),
}


@pytest.fixture(scope="module", autouse=True)
def few_angles() -> Iterator[None]:
    """Every angle takes its time, and these are enough here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(drr, "VIEWS", FEW)
        yield


@pytest.fixture(scope="module")
def taught() -> drr.Chest:
    return drr.chest(phantom(), (CELL,) * 3)


def test_beams_are_summed_in_centimetres_of_water() -> None:
    water = np.full((60, 50, 40), -1000, dtype=np.int16)
    water[10:50, 15:35, :] = 0
    found = drr.chest(water, (5.0, 5.0, 5.0))
    straight = found.seen["front"][FEW["front"].index(0)]
    side = found.seen["side"][FEW["side"].index(90)]
    # 20 cells of 5 mm from front to back, 40 from left to right.
    assert float(np.median(straight[straight > 5])) == pytest.approx(10, rel=0.05)
    assert float(np.median(side[side > 10])) == pytest.approx(20, rel=0.05)
    assert len(straight) == pytest.approx(40 * 5 / drr.SPACING, abs=2)


def test_the_table_is_left_out() -> None:
    bare, lying = (drr.chest(phantom(0, table), (CELL,) * 3) for table in (False, True))
    assert lying.seen["side"][1].sum() == pytest.approx(bare.seen["side"][1].sum(), rel=0.02)


def test_a_ct_without_a_body_is_refused() -> None:
    with pytest.raises(ValueError, match="no body"):
        drr.chest(np.full((20, 20, 20), -1000, np.int16), (5.0, 5.0, 5.0))


def test_films_are_in_range_and_the_same_for_the_same_generator(taught: drr.Chest) -> None:
    first, again, other = (drr.films([taught], "side", 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for film, same, another in zip(first, again, other, strict=True):
        assert film.shape == (drr.SIDE, drr.SIDE)
        assert film.dtype == np.float32
        assert 0.0 <= film.min() < film.max() <= 1.0
        assert np.array_equal(film, same)
        assert not np.array_equal(film, another)


def test_slices_lie_in_the_body_and_are_the_same_for_the_same_generator(taught: drr.Chest) -> None:
    first, again = (drr.slices([taught], 30, np.random.default_rng(1)) for _ in range(2))
    for found, same in zip(first, again, strict=True):
        assert found.shape == (drr.SIDE, drr.SIDE)
        assert found.dtype == np.float32
        assert 0.0 <= found.min() < found.max() <= 1.0
        assert (found > 0).mean() > 0.1
        assert np.array_equal(found, same)


def test_every_patient_is_drawn_however_few_are_asked_for_at_a_time(taught: drr.Chest) -> None:
    """One at a time, as a gate is taught: the second of two patients is nothing but a blank."""
    blank = drr.Chest(
        taught.hounsfield * 0,
        taught.within,
        {view: tuple(one * 0 + 20 for one in seen) for view, seen in taught.seen.items()},
    )
    generator = np.random.default_rng(5)
    for draw in (
        partial(drr.films, [taught, blank], "side", 1),
        partial(drr.slices, [taught, blank], 1),
    ):
        flat = [float(np.ptp(found)) == 0 for _ in range(20) for found in draw(generator)]
        assert 3 < sum(flat) < 17


def test_the_head_is_upwards(taught: drr.Chest) -> None:
    """Lungs lie above the belly: the upper half lets more through."""
    seen = taught.seen["front"][FEW["front"].index(0)]
    middle = seen[:, seen.shape[1] // 4 : 3 * seen.shape[1] // 4]
    assert middle[: len(seen) // 2].mean() < middle[len(seen) // 2 :].mean()


def test_a_gate_taught_with_a_ct_refuses_the_side_of_another_and_not_its_front(
    taught: drr.Chest,
) -> None:
    other = drr.chest(phantom(7), (CELL, CELL, CELL))
    drawn = np.stack([unit(chest(seed, seed % 2 == 0)) for seed in range(300, 400)])
    generator = np.random.default_rng(4)
    fronts = drr.films([taught], "front", 100, generator)
    parameters = fitting.fit_gate(np.concatenate([drawn, np.stack(fronts)]), 1, (), [taught])
    judging = [unit(chest(seed, False)) for seed in range(100, 130)]
    judging += drr.films([taught], "front", 30, generator)
    parameters = fitting.with_limits(
        parameters, [[gate.likeness(fine(film), parameters) for film in judging]]
    )
    from_the_side, oblique, from_the_front = (
        [
            gate.likeness_refusals(gate.likeness(fine(film), parameters), parameters)
            for film in drr.films([other], view, 40, generator)
        ]
        for view in ("side", "oblique", "front")
    )
    assert np.mean([bool(reasons) for reasons in from_the_side]) > 0.8
    assert np.mean([bool(reasons) for reasons in oblique]) > 0.6
    assert np.mean([bool(reasons) for reasons in from_the_front]) < 0.2
    named = ["from the side" in reasons[0] for reasons in from_the_side if reasons]
    assert np.mean(named) > 0.5
    rates = report._chest_rates("of another", [other], parameters, generator, 30)
    assert [row["pictures"] for row in rates] == [
        "chests from the side, of a CT of another",
        "chests seen obliquely, of a CT of another",
        "slices of a chest, of a CT of another",
        "chests from the front, of a CT of another",
    ]
    assert rates[0]["share"] > 0.8 > 0.2 > rates[3]["share"]


def fine(film: NDArray[np.float32]) -> NDArray[np.float32]:
    return standardise(resize(film, gate.FINE_SIDE))


def test_a_drawn_chest_from_the_side_is_taught_where_no_package_carries_a_ct() -> None:
    films = np.stack([unit(chest(seed, False)) for seed in range(2)])
    found = fitting._beside(films, (), np.random.default_rng(1))
    assert np.array_equal(
        found, drawn_negatives.draw("chests from the side", films, np.random.default_rng(1))
    )


def test_a_package_with_a_series_of_slices_is_read_in_millimetres(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder = tmp_path / "carries_a_ct" / "slices"
    folder.mkdir(parents=True)
    ct = phantom()
    # The names are in another order than the slices.
    for place in range(ct.shape[2]):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset("slice", {}, file_meta=meta, preamble=b"\0" * 128)
        data.Modality, data.RescaleIntercept, data.RescaleSlope = "CT", -1024, 1
        data.Rows, data.Columns, data.SamplesPerPixel = ct.shape[1], ct.shape[0], 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.PixelSpacing, data.ImagePositionPatient = [CELL, CELL], [0, 0, CELL * place]
        data.PixelData = (ct[..., place].T + 1024).astype("<u2").tobytes()
        data.save_as(folder / f"{(place * 7) % 60:02}.dcm", enforce_file_format=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "carries_a_ct" / "__init__.py").touch()
    scan = package_pictures._series("slices/*.dcm")("carries_a_ct")
    assert scan is not None
    volume, spacing = scan
    assert spacing == [CELL, CELL, CELL]
    assert np.array_equal(volume, ct)


def test_packages_that_are_not_installed_carry_no_ct() -> None:
    assert package_pictures._nifti("data/cxr.nii.gz")("no_such_package_is_installed") is None
    assert package_pictures._series("*.dcm")("no_such_package_is_installed") is None
