"""Two models on the same films: how far apart, and whether chance alone could have put them there.

All differences are candidate minus the other. Intervals are percentiles of paired bootstrap resamples of patients
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993): each resample draws the same patients for both models,
so that what both find hard cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml.metrics.classification import (
    Interval,
    auc,
    expected_calibration_error,
    patient_resamples,
    percentiles,
)

Rows = NDArray[np.intp]
Figure = Callable[[Rows], float]
METHOD = (
    "Candidate minus production on the films that both answered. 95 % intervals: percentiles of 1000 paired bootstrap "
    "resamples of patients, seeded; where no resample differs, the exact limits of Clopper and Pearson for a "
    "change that was never seen in that many patients (for the AUC, in as many as the smaller class has). "
    "McNemar's test is the exact one, over films."
)


@dataclass(frozen=True)
class McNemar:
    """Films that one model alone got right, and the chance of a split at least as uneven between equals."""

    only_candidate: int
    only_other: int
    p: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """A figure of the candidate minus that of the other, with its 95 % interval."""

    value: float
    ci: Interval

    def as_dict(self) -> dict[str, Any]:
        return {"value": self.value, "ci": list(self.ci)}


def mcnemar(candidate_right: ArrayLike, other_right: ArrayLike) -> McNemar:
    """The exact two-sided test of McNemar (Psychometrika 12, 1947) on films that both answered.

    It takes films for independent; where patients have several films it is a little too sure.
    """
    mine, theirs = np.asarray(candidate_right, bool), np.asarray(other_right, bool)
    if mine.shape != theirs.shape:
        raise ValueError("Both models must have answered the same films.")
    gained, lost = int((mine & ~theirs).sum()), int((~mine & theirs).sum())
    n = gained + lost
    tail = sum(comb(n, k) for k in range(min(gained, lost) + 1))
    return McNemar(gained, lost, min(1.0, 2 * tail / 2**n))


def differences(
    targets: ArrayLike,
    candidate: ArrayLike,
    other: ArrayLike,
    thresholds: tuple[float, float],
    patients: Sequence[str],
    seed: int = 1,
) -> dict[str, Difference]:
    """AUC, accuracy, sensitivity, specificity, Brier score and ECE of the candidate minus the other's.

    `candidate` and `other` are probabilities of pneumonia (n,), `thresholds` those of the two. Raises ValueError where
    a class is missing or the patients are too few to resample.
    """
    truth = np.asarray(targets, float)
    mine, theirs = np.asarray(candidate, float), np.asarray(other, float)
    resamples = patient_resamples(patients, truth, seed)
    ill = truth == 1
    gain = _right(mine, thresholds[0], ill) - _right(theirs, thresholds[1], ill)
    everyone = np.ones_like(ill)
    number = {
        name: _patients(patients, among) for name, among in (("all", everyone), ("ill", ill), ("well", ~ill))
    }

    def apart(figure: Figure, concerned: int) -> Difference:
        """`concerned` is the number of patients in whom a change could have been seen."""
        value = figure(np.arange(len(truth)))
        low, high = percentiles(resamples, figure)
        if low == high:
            limit = never_seen(concerned)
            low, high = max(-1.0, value - limit), min(1.0, value + limit)
        return Difference(value, (low, high))

    def rate(among: NDArray[np.bool_]) -> Figure:
        return lambda rows: float(gain[rows][among[rows]].mean())

    def change(figure: Callable[[NDArray[np.float64], NDArray[np.float64]], float]) -> Figure:
        return lambda rows: figure(truth[rows], mine[rows]) - figure(truth[rows], theirs[rows])

    return {
        "auc": apart(change(auc), min(number["ill"], number["well"])),
        "accuracy": apart(rate(everyone), number["all"]),
        "sensitivity": apart(rate(ill), number["ill"]),
        "specificity": apart(rate(~ill), number["well"]),
        "brier": apart(change(lambda told, said: float(np.mean((said - told) ** 2))), number["all"]),
        "ece": apart(change(expected_calibration_error), number["all"]),
    }


def never_seen(n: int) -> float:
    """Upper 97.5 % limit of a rate of which no case was seen in `n` (Clopper and Pearson, Biometrika 26, 1934)."""
    return 1.0 - 0.025 ** (1.0 / n)


def _right(scores: NDArray[np.float64], threshold: float, ill: NDArray[np.bool_]) -> NDArray[np.float64]:
    return ((scores >= threshold) == ill).astype(float)


def _patients(patients: Sequence[str], among: NDArray[np.bool_]) -> int:
    return len(np.unique(np.asarray(patients)[among]))
