"""What a film's making alone tells of its class, and how a training and its figures can be freed of that.

Normal and ill films of a collection come from different machines. How sharp, bright and grainy a film is then tells
its class without a look at the lungs, and a network learns that first. A small model of nothing but these traits says
of each film how much they give away; disease changes them too, so not all of that is the machine's. Films whose traits
point to the other class are drawn more often in training, so that the traits say less of the class (inverse
propensities; Puli et al., "Out-of-distribution generalization in the presence of nuisance-induced spurious
correlations", ICLR 2022), and weigh more in the figure that shows what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ml.images.spectrum import profile
from ml.metrics.classification import auc, auc_interval, patient_resamples, percentiles, wilson

Picture = NDArray[np.float32] | NDArray[np.uint8]
BANDS = (10, 16, 24, 36, 52, 72, 112)
"""Cycles across the film; what is coarser than the first is the anatomy's."""
BLACK, WHITE = 0.03, 0.97
MOST_WEIGHT = 20.0
"""No film weighs more than this many others in a figure: a single one would decide it."""


def traits(film: Picture) -> NDArray[np.float64]:
    """(11,): logarithm of the mean absolute Laplacian, mean and deviation of the grey values, shares of black and of
    white, and the mean logarithmic power in each of `BANDS`.

    `film` is square, of at least 32 pixels a side, uint8 or 0..1; it is looked at in steps of 1/255 either way, because
    finer steps would themselves tell which film was resized.
    """
    steps = np.asarray(film if film.dtype == np.uint8 else np.round(film * np.float32(255)), dtype=np.float32)
    grey = steps / np.float32(255)
    strengths = profile(grey)
    # A small film has no finest bands; its own finest cycle stands for them.
    strengths = np.pad(strengths, (0, max(0, BANDS[-1] - len(strengths))), mode="edge")
    powers = [strengths[low:high].mean() for low, high in pairwise(BANDS)]
    sharpness = np.log(float(np.abs(ndimage.laplace(grey)).mean()) + 1e-6)
    shares = ((grey < BLACK).mean(), (grey > WHITE).mean())
    return np.array([sharpness, grey.mean(), grey.std(), *shares, *powers], dtype=np.float64)


def traits_of(films: Iterable[Picture]) -> NDArray[np.float64]:
    """(n, 11), a row for each film."""
    return np.stack([traits(film) for film in films])


@dataclass(frozen=True)
class Origin:
    """A logistic regression of the class on the traits of training films."""

    model: Pipeline

    @classmethod
    def fit(cls, found: NDArray[np.float64], targets: ArrayLike) -> Origin:
        """From traits (n, 11) and `targets` (n,), 0 or 1; both must occur, and weigh the same."""
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        return cls(model.fit(found, np.asarray(targets)))

    def tells(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,): how likely pneumonia is by traits (n, 11) alone, were both classes as frequent."""
        return np.asarray(self.model.predict_proba(found)[:, 1])


def weights(tells: ArrayLike, targets: ArrayLike, most: float) -> NDArray[np.float64]:
    """(n,), from 1 where the traits give the class away to `most` where they point to the other one."""
    told, truth = np.asarray(tells, dtype=float), np.asarray(targets)
    return np.asarray(1 / np.clip(np.where(truth == 1, told, 1 - told), 1 / most, 1))


def odds(films: Iterable[Picture], targets: ArrayLike, most: float) -> NDArray[np.float64]:
    """(n,): how often each of these films is to be drawn in a training, from 1 to `most`."""
    found = traits_of(films)
    return weights(Origin.fit(found, targets).tells(found), targets, most)


def measure(
    tells: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    targets: NDArray[np.int64],
    threshold: float,
    patients: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """The card's `origin`: what the traits alone tell of validation films (`told`, an AUC), and AUC, sensitivity and
    specificity of the answers where films are weighed so that they tell little, each with its interval."""
    weight = weights(tells, targets, MOST_WEIGHT)
    truth = targets.astype(float)
    resamples = patient_resamples(patients, truth, seed)
    right = (probabilities >= threshold) == (targets == 1)

    def rate(target: int) -> Any:
        def of(rows: NDArray[np.intp]) -> float:
            some = rows[targets[rows] == target]
            return float(np.average(right[some], weights=weight[some]))

        return of

    found: dict[str, Any] = {"told": auc(targets, tells)}
    found["told_weighed"] = auc(targets, tells, weight)
    found |= {
        "auc": auc(truth, probabilities, weight),
        "auc_ci": auc_interval(truth, probabilities, patients, resamples, weight),
    }
    for name, target in (("sensitivity", 1), ("specificity", 0)):
        figure = rate(target)
        interval = percentiles(resamples, figure)
        if interval[0] == interval[1]:
            some = targets == target
            interval = wilson(int(right[some].sum()), int(some.sum()))
        found |= {name: figure(np.arange(len(targets))), f"{name}_ci": interval}
    return found | {"sentence": _sentence(found)}


def _sentence(found: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{title} {found[name]:.3f} ({found[f'{name}_ci'][0]:.3f} to {found[f'{name}_ci'][1]:.3f})"
        for name, title in (("auc", "AUC"), ("sensitivity", "sensitivity"), ("specificity", "specificity"))
    )
    return (
        "Sharpness, grain, brightness, contrast, black and white of the whole film, which depend on the machine and in "
        "part on the disease, tell the classes of the validation films apart by themselves with AUC "
        f"{found['told']:.2f}. With films weighed (at most {MOST_WEIGHT:.0f} to one) so that these tell them apart "
        f"with {found['told_weighed']:.2f}, the answers have {figures}."
    )
