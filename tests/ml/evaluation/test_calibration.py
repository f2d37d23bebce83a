"""The temperature of a new version, judged on patients who did not choose it, as far as there are enough."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.data import dataset
from ml.evaluation import calibration
from ml.evaluation.calibration import Read
from ml.images.perturbations import STRESSES
from ml.metrics import classification
from ml.training import recipes
from ml.training.cohorts import Prepared, Proof, Second, SecondPopulation, prepare
from tests.support.radiographs import data_set

SEED = 5
NONE = SecondPopulation(Proof(), None, SEED)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    films = dataset.read_folder(data_set(tmp_path_factory.mktemp("many") / "films", 18))
    return prepare(films, dataset.split(films, 0.4, SEED), 62, recipes.recipe_of("sequential"))


def stress_of(prepared: Prepared) -> dict[str, NDArray[np.float64]]:
    """Logits that are mostly right, and three times too sure."""
    generator = np.random.default_rng(1)
    signs = 2 * prepared.validation_targets - 1
    return {stress: 3 * (signs + generator.normal(0, 1.0, len(signs))) for stress in STRESSES}


def test_the_temperature_is_that_of_all_films(prepared: Prepared) -> None:
    stress = stress_of(prepared)
    found = calibration.calibrate(Read(prepared, stress, NONE, np.zeros(0)), SEED)
    targets = np.tile(prepared.validation_targets, len(stress))
    logits = np.concatenate(list(stress.values()))
    expected = classification.fit_temperature(targets, logits, classification.balanced(targets))
    assert found["temperature"] == pytest.approx(expected, abs=1e-4)
    assert found["folds"]["parts"] == calibration.FOLDS
    assert found["folds"]["sentence"].startswith("With the temperature that the other 4 parts choose")
    assert found["folds"]["temperatures"] == pytest.approx([expected] * calibration.FOLDS, rel=0.3)


@pytest.mark.parametrize(("normals", "parts"), [(3, 3), (1, None)])
def test_so_many_parts_as_there_are_patients_for(prepared: Prepared, normals: int, parts: int | None) -> None:
    """Of one class few patients are left: fewer parts, and no judgement at all where one is left."""
    held = prepared.split.validation
    chosen = sorted({film.patient for film in held if film.label == "NORMAL"})[:normals]
    rows = [i for i, film in enumerate(held) if film.label == "PNEUMONIA" or film.patient in chosen]
    few = replace(
        prepared,
        split=dataset.Split(prepared.split.train, tuple(held[i] for i in rows)),
        validation=[prepared.validation[i] for i in rows],
        validation_films=prepared.validation_films[rows],
        validation_targets=prepared.validation_targets[rows],
    )
    found = calibration.calibrate(Read(few, stress_of(few), NONE, np.zeros(0)), SEED)
    assert 0.05 <= found["temperature"] <= 20
    assert found.get("folds", {}).get("parts") == parts


def test_a_second_population_weighs_as_much_as_it_did_in_training(prepared: Prepared, tmp_path: Path) -> None:
    second = SecondPopulation(
        Proof(), Second(data_set(tmp_path / "others", 30), 0.5, "films of others"), SEED
    )
    targets = second.targets(second.measured)
    sure = np.where(targets == 1, 9.0, -9.0) * np.where(np.arange(len(targets)) % 3 == 0, -1, 1)
    alone = calibration.calibrate(Read(prepared, stress_of(prepared), NONE, np.zeros(0)), SEED)
    found = calibration.calibrate(Read(prepared, stress_of(prepared), second, sure), SEED)
    assert found["temperature"] > alone["temperature"] + 0.5
    assert "The held-back films of others have 50% of the weight." in found["method"]
    assert "of films of others" in found["folds"]["sentence"]


def test_a_second_population_of_one_class_is_no_reason_to_fail(prepared: Prepared, tmp_path: Path) -> None:
    second = SecondPopulation(Proof(), Second(data_set(tmp_path / "others", 6), 0.2), SEED)
    second.measured = [place for place in second.measured if second.films[place].label == "NORMAL"]
    found = calibration.calibrate(
        Read(prepared, stress_of(prepared), second, np.full(len(second.measured), -2.0)), SEED
    )
    assert 0.05 <= found["temperature"] <= 20
    assert "folds" not in found
