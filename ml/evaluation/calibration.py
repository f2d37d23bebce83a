"""The temperature of a new version, and what it and chosen thresholds are worth on patients who did not choose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data import dataset
from ml.data.dataset import LabelledFilm
from ml.errors import DatasetError
from ml.evaluation import cross_fitting
from ml.evaluation.cross_fitting import Part
from ml.images.perturbations import AS_THEY_ARE
from ml.training.cohorts import Prepared, SecondPopulation

FOLDS = 5
"""Parts of the patients, at most, on each of which the temperature that the others choose is judged."""
METHOD = (
    "One temperature for all logits, the one of lowest log loss over the validation films and their changed copies "
    "of the stress table, both classes weighing the same. A probability therefore supposes that normal and pneumonia "
    "are equally frequent."
)


@dataclass(frozen=True)
class Read:
    """What a network said: `stress` (n,) logits of the validation films under each change, `seconds` (k,) those of the
    films of a second population that measure."""

    prepared: Prepared
    stress: dict[str, NDArray[np.float64]]
    second: SecondPopulation
    seconds: NDArray[np.float64]

    @property
    def share(self) -> float:
        """What a second population weighs, if it trained."""
        return self.second.also.share if self.second.also else 0.0

    def parts(self, count: int, seed: int) -> list[Part]:
        """Answers to `count` parts of whole patients, and to as many of a second population that trained. Raises
        `DatasetError` where there are too few patients."""
        firsts = _places(self.prepared.split.validation, count, seed)
        measured = [self.second.films[place] for place in self.second.measured] if self.second.also else []
        theirs = _places(measured, count, seed) if measured else [np.zeros(0, dtype=np.intp)] * count
        targets = self.prepared.validation_targets
        second_targets = self.second.targets(self.second.measured)
        return [
            Part(
                targets[rows],
                self.stress[AS_THEY_ARE][rows],
                {name: values[rows] for name, values in self.stress.items()},
                targets[rows],
                second_targets[others],
                self.seconds[others],
            )
            for rows, others in zip(firsts, theirs, strict=True)
        ]


def calibrate(read: Read, seed: int) -> dict[str, Any]:
    """One temperature; films of a second population that trained weigh as much as they did in training."""
    method = METHOD
    if read.second.also:
        method += f" The held-back {read.second.name} have {read.share:.0%} of the weight."
    found = {"temperature": cross_fitting.temperature(read.parts(1, seed), read.share), "method": method}
    if checked := check(read, seed):
        found["folds"] = checked
    return found


def check(read: Read, seed: int) -> dict[str, Any]:
    """What temperature and threshold are worth on patients who did not choose them; nothing where too few are there."""
    for count in range(FOLDS, 1, -1):
        try:
            parts = read.parts(count, seed)
        except DatasetError:
            continue
        found = cross_fitting.judge(parts, read.share)
        return {**found, "sentence": cross_fitting.in_words(found, read.second.name)}
    return {}


def _places(films: Sequence[LabelledFilm], count: int, seed: int) -> list[NDArray[np.intp]]:
    """Where the films of each of `count` folds stand among `films`; one fold is all of them, whatever they show."""
    if count == 1:
        return [np.arange(len(films))]
    known = {film.path: place for place, film in enumerate(films)}
    return [
        np.array(sorted(known[film.path] for film in fold), dtype=np.intp)
        for fold in dataset.folds(films, count, seed)
    ]
