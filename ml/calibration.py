"""The temperature of a new version, and what it and chosen thresholds are worth on patients who did not choose them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import crossfit, dataset
from ml.crossfit import Part
from ml.dataset import DatasetError, LabelledFilm
from ml.material import Prepared, SecondPopulation
from ml.stress import AS_THEY_ARE

FOLDS = 5
"""Parts of the patients, at most, on each of which the temperature that the others choose is judged."""
METHOD = (
    "One temperature for all logits, the one of lowest log loss over the validation films and their changed copies "
    "of the stress table, both classes weighing the same. A probability therefore supposes that normal and pneumonia "
    "are equally frequent."
)


def calibrate(
    prepared: Prepared,
    stress: dict[str, NDArray[np.float64]],
    second: SecondPopulation,
    seconds: NDArray[np.float64],
    seed: int,
) -> dict[str, Any]:
    """One temperature; films of a second population that trained weigh as much as they did in training."""
    whole, share = _parts(1, prepared, stress, second, seconds, seed)
    method = METHOD
    if second.also:
        method += f" The held-back {second.name} have {share:.0%} of the weight."
    found = {"temperature": crossfit.temperature(whole, share), "method": method}
    if checked := check(prepared, stress, second, seconds, seed):
        found["folds"] = checked
    return found


def check(
    prepared: Prepared,
    stress: dict[str, NDArray[np.float64]],
    second: SecondPopulation,
    seconds: NDArray[np.float64],
    seed: int,
) -> dict[str, Any]:
    """What temperature and threshold are worth on patients who did not choose them; nothing where too few are there."""
    for count in range(FOLDS, 1, -1):
        try:
            parts, share = _parts(count, prepared, stress, second, seconds, seed)
        except DatasetError:
            continue
        found = crossfit.judge(parts, share)
        return {**found, "sentence": crossfit.in_words(found, second.name)}
    return {}


def _parts(
    count: int,
    prepared: Prepared,
    stress: dict[str, NDArray[np.float64]],
    second: SecondPopulation,
    seconds: NDArray[np.float64],
    seed: int,
) -> tuple[list[Part], float]:
    """Answers to the validation films, and to the held-back ones of a second population that trained, in `count` parts
    of whole patients, and the second population's share. Raises `DatasetError` where there are too few patients."""
    firsts = _places(prepared.split.validation, count, seed)
    measured = [second.films[place] for place in second.measured] if second.also else []
    theirs = _places(measured, count, seed) if measured else [np.zeros(0, dtype=np.intp)] * count
    targets = second.targets(second.measured)
    parts = [
        Part(
            prepared.validation_targets[rows],
            stress[AS_THEY_ARE][rows],
            {name: values[rows] for name, values in stress.items()},
            prepared.validation_targets[rows],
            targets[others],
            seconds[others],
        )
        for rows, others in zip(firsts, theirs, strict=True)
    ]
    return parts, second.also.share if second.also else 0.0


def _places(films: Sequence[LabelledFilm], count: int, seed: int) -> list[NDArray[np.intp]]:
    """Where the films of each of `count` folds stand among `films`; one fold is all of them, whatever they show."""
    if count == 1:
        return [np.arange(len(films))]
    known = {film.path: place for place, film in enumerate(films)}
    return [
        np.array(sorted(known[film.path] for film in fold), dtype=np.intp)
        for fold in dataset.folds(films, count, seed)
    ]
