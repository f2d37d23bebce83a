"""A new version's gate is taught with its own films, or taken over as it was; either way it is measured."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ml.artifact import folder
from ml.data import dataset
from ml.gate import report
from ml.gate.negatives import drr, package_pictures
from ml.training import recipes
from ml.training.cohorts import Prepared, Proof, SecondPopulation, prepare
from tests.support.radiographs import CELL, phantom

SEED = 5


@pytest.fixture(scope="module")
def prepared(films: Path) -> Prepared:
    found = dataset.read_folder(films)
    return prepare(found, dataset.split(found, seed=SEED), 62, recipes.recipe_of("sequential"))


@pytest.fixture(scope="module")
def taught(prepared: Prepared) -> SimpleNamespace:
    parameters, entry = report.teach(prepared, SecondPopulation(Proof(), None, SEED), SEED)
    return SimpleNamespace(parameters=parameters, entry=entry)


def rates(entry: dict[str, object]) -> dict[str, tuple[int, int]]:
    measured = entry["measured"]
    assert isinstance(measured, list)
    return {row["pictures"]: (row["refused"], row["n"]) for row in measured}


def test_a_taught_gate_knows_its_films(prepared: Prepared, taught: SimpleNamespace) -> None:
    found = rates(taught.entry)
    assert found["validation films"] == (0, len(prepared.validation))
    assert found["validation films, upside down"][0] > 0.9 * len(prepared.validation)
    assert found["drawn: noise"][0] == found["drawn: noise"][1]
    assert taught.entry["limits"]["rest"] == pytest.approx(float(taught.parameters.rest_limit), abs=1e-5)


def test_the_ct_of_a_chest_teaches_and_measures_a_gate(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    teaching, measuring = (drr.chest(phantom(seed), (CELL,) * 3) for seed in (0, 7))
    monkeypatch.setattr(package_pictures, "teaching_chests", lambda: (teaching,))
    monkeypatch.setattr(package_pictures, "measuring_chests", lambda: (measuring,))
    _, entry = report.teach(prepared, SecondPopulation(Proof(), None, SEED), SEED)
    assert (
        ", and with the CT of 1 patient, as slices and as chest films from the side and oblique ones"
        in entry["description"]
    )
    found = rates(entry)
    assert found["validation films"][0] <= 0.05 * len(prepared.validation)
    for kind in ("chests from the side", "chests seen obliquely", "slices of a chest"):
        for whose in ("that taught it", "of another package"):
            refused, count = found[f"{kind}, of a CT {whose}"]
            assert refused > 0.8 * count > 0


def test_films_kept_as_bytes_teach_the_same(prepared: Prepared, taught: SimpleNamespace, films: Path) -> None:
    found = dataset.read_folder(films)
    recipe = replace(prepared.recipe, bytes=True)
    stored = prepare(found, dataset.split(found, seed=SEED), 62, recipe)
    assert stored.train.dtype == np.uint8
    parameters, _ = report.teach(stored, SecondPopulation(Proof(), None, SEED), SEED)
    np.testing.assert_allclose(parameters.mean, taught.parameters.mean, atol=0.02)


def test_a_gate_that_is_taken_over_is_the_same_and_measured_anew(prepared: Prepared) -> None:
    shipped = folder.load_card(folder.SHIPPED)
    none = SecondPopulation(Proof(), None, SEED)
    parameters, entry = report.take_over(folder.SHIPPED, prepared, none, SEED)
    with np.load(folder.SHIPPED / folder.GATE_FILE) as kept:
        for name in kept.files:
            np.testing.assert_array_equal(getattr(parameters, name), kept[name], err_msg=name)
    assert entry["limits"] == shipped.gate["limits"]
    assert entry["description"].endswith(
        f"It was taken over from {shipped.name} as it is, and measured again."
    )
    assert rates(entry)["validation films"][1] == len(prepared.validation)
