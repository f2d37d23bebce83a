"""How good answers are: discrimination, calibration, and 95 % intervals that know films of a patient are alike.

`targets` are 0 (normal) or 1 (pneumonia), `probabilities` those of pneumonia; both (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def balanced(targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights that give both classes half of the sum."""
    counts = np.bincount(targets, minlength=2)
    return np.asarray(0.5 / counts[targets])


def losses(differences: NDArray[np.float64], targets: NDArray[np.int64]) -> dict[str, float]:
    losses = np.logaddexp(0.0, np.where(targets == 1, -differences, differences))
    return {
        "val_loss": round(float(np.average(losses, weights=balanced(targets))), 6),
        "val_auc": round(auc(targets, differences), 6),
        "val_accuracy": round(float(((differences >= 0) == (targets == 1)).mean()), 6),
    }


THRESHOLD = 0.5

FEWEST = 5
"""Films of a class, in a source or view, of which a card tells figures of their own."""


def rows_of(kinds: Sequence[str], targets: NDArray[np.int64]) -> dict[str, NDArray[np.intp]]:
    """Which rows are of each kind, in the kinds' order: none where all are of one, nor of a kind with few of a class.

    An empty kind is not known.
    """
    found = {kind: np.nonzero(np.array(kinds) == kind)[0] for kind in sorted(set(kinds)) if kind}
    return {
        kind: rows
        for kind, rows in found.items()
        if len(rows) < len(kinds) and np.bincount(targets[rows], minlength=2).min() >= FEWEST
    }


def subgroup(
    name: str,
    rows: NDArray[np.intp],
    targets: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    patients: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """The figures of some films; empty where a class is missing."""
    if len(set(targets[rows].tolist())) < 2:
        return {}
    found = measure(targets[rows], probabilities[rows], THRESHOLD, [patients[i] for i in rows], seed)
    return {"group": name, **rounded(found.as_dict())}


def rounded(value: Any) -> Any:
    """The same figures with five digits after the point, as a card holds them."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


Array = NDArray[np.float64]

Interval = tuple[float, float]

RESAMPLES = 1000

FEW = 10
"""Patients of a class; with fewer, resamples of them tell less than there is to doubt: two always resample to two."""

Z = 1.959964

INTERVALS = (
    f"95 % intervals: percentiles of {RESAMPLES} bootstrap resamples of patients, seeded; where every resample gives "
    f"the same rate, Wilson's; of an AUC that every resample gives, or with fewer than {FEW} patients of a class, "
    "Newcombe's."
)

INTERVALS_IN_SHORT = (
    "95 % intervals by bootstrap over patients; of an AUC "
    f"with fewer than {FEW} patients of a class, Newcombe's."
)

MOST = 95
"""Percent of patients between whose ages a model counts as validated: a single child proves nothing."""


@dataclass(frozen=True)
class Metrics:
    """Figures of one set of films at one threshold. `confusion` is [[tn, fp], [fn, tp]]."""

    n: int
    auc: float
    auc_ci: Interval
    accuracy: float
    accuracy_ci: Interval
    sensitivity: float
    sensitivity_ci: Interval
    specificity: float
    specificity_ci: Interval
    brier: float
    ece: float
    confusion: list[list[int]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    targets: ArrayLike, probabilities: ArrayLike, threshold: float, patients: Sequence[str], seed: int = 1
) -> Metrics:
    """All figures. Raises ValueError where a class is missing: no AUC or rate can be given then."""
    truth, scores = _checked(targets, probabilities)
    resamples = patient_resamples(patients, truth, seed)
    positive = scores >= threshold
    right = positive == (truth == 1)
    ill, well = truth == 1, truth == 0
    tp, tn = int((positive & ill).sum()), int((~positive & well).sum())
    fn, fp = int(ill.sum()) - tp, int(well.sum()) - tn
    return Metrics(
        n=len(truth),
        auc=auc(truth, scores),
        auc_ci=auc_interval(truth, scores, patients, resamples),
        accuracy=float(right.mean()),
        accuracy_ci=_rate_interval(resamples, right, np.ones_like(ill)),
        sensitivity=tp / (tp + fn),
        sensitivity_ci=_rate_interval(resamples, right, ill),
        specificity=tn / (tn + fp),
        specificity_ci=_rate_interval(resamples, right, well),
        brier=float(np.mean((scores - truth) ** 2)),
        ece=expected_calibration_error(truth, scores),
        confusion=[[tn, fp], [fn, tp]],
    )


def auc(targets: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, of films weighed by `weights` (n,): a tie counts half."""
    truth, values = _checked(targets, scores)
    weight = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    _, place = np.unique(values, return_inverse=True)
    ill = np.bincount(place, weight * truth)
    well = np.bincount(place, weight * (1 - truth))
    below = np.cumsum(well) - well
    return float((ill * (below + well / 2)).sum() / (ill.sum() * well.sum()))


def roc(targets: ArrayLike, scores: ArrayLike, points: int = 200) -> list[list[float]]:
    """[false positive rate, true positive rate] from (0, 0) to (1, 1), thinned to at most `points`."""
    truth, values = _checked(targets, scores)
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.nonzero(np.diff(values[order]))[0], len(values) - 1)
    ill = truth[order] == 1
    true_rate = np.append(0.0, np.cumsum(ill)[ends] / ill.sum())
    false_rate = np.append(0.0, np.cumsum(~ill)[ends] / (~ill).sum())
    chosen = np.unique(np.linspace(0, len(true_rate) - 1, min(points, len(true_rate))).round().astype(int))
    return [[round(float(false_rate[i]), 5), round(float(true_rate[i]), 5)] for i in chosen]


def reliability(targets: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> list[dict[str, float]]:
    """Mean probability, share that was ill and number of films, for each of equal-width bins that has any."""
    truth, scores = np.asarray(targets, float), np.asarray(probabilities, float)
    place = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        {
            "mean_probability": round(float(scores[place == k].mean()), 5),
            "observed": round(float(truth[place == k].mean()), 5),
            "n": int((place == k).sum()),
        }
        for k in range(bins)
        if (place == k).any()
    ]


def expected_calibration_error(targets: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """ECE over equal-width bins (Guo et al., ICML 2017), of the probability of pneumonia."""
    rows = reliability(targets, probabilities, bins)
    total = sum(row["n"] for row in rows)
    return float(sum(row["n"] * abs(row["mean_probability"] - row["observed"]) for row in rows) / total)


def wilson(successes: float, n: float) -> Interval:
    """Wilson's score interval of a rate, 95 %. Raises ValueError for no trials.

    Numbers need not be whole: trials that depend on each other may count for fewer.
    """
    if n == 0:
        raise ValueError("A rate of nothing has no interval.")
    rate = successes / n
    middle = (rate + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * np.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def newcombe(area: float, ill: float, well: float) -> Interval:
    """The 95 % interval of an AUC of so many independent cases of each class, also where it is 0 or 1.

    Those areas from which the found one is not further than 1.96 standard errors (Hanley and McNeil's, with both
    classes taken as large as their mean): method 5 of Newcombe, Statistics in Medicine 25 (2006), 559 to 573. Numbers
    need not be whole.
    """
    candidates = np.append(np.linspace(0.0, 1.0, 20001), area)
    alike = (ill + well) / 2 - 1
    spread = 1 + alike * ((1 - candidates) / (2 - candidates) + candidates / (1 + candidates))
    error = np.sqrt(candidates * (1 - candidates) * spread / (ill * well))
    near = candidates[np.abs(candidates - area) <= Z * error]
    return float(near.min()), float(near.max())


def fit_temperature(targets: ArrayLike, logits: ArrayLike, weights: ArrayLike) -> float:
    """The T that gives sigmoid(logit / T) the lowest weighted log loss (Guo et al., ICML 2017), 0.05 to 20."""
    truth, values, share = (np.asarray(a, float) for a in (targets, logits, weights))
    candidates = np.exp(np.linspace(np.log(0.05), np.log(20.0), 1201))
    signed = np.where(truth == 1, -values, values)
    losses = [np.average(np.logaddexp(0, signed / t), weights=share) for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def range_of_most(values: Sequence[float]) -> Interval:
    """Two of the values, between which the middle `MOST` percent of them lie. They must not be empty."""
    low, high = np.percentile(values, [50 - MOST / 2, 50 + MOST / 2], method="nearest")
    return float(low), float(high)


def sigmoid(logits: ArrayLike) -> Array:
    values = np.asarray(logits, dtype=np.float64)
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))


def _checked(targets: ArrayLike, scores: ArrayLike) -> tuple[Array, Array]:
    truth, values = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise ValueError("Targets and scores must be two lists of one length.")
    if not ((truth == 0).any() and (truth == 1).any()):
        raise ValueError("Both normal and pneumonia films are needed to measure.")
    return truth, values


def patient_resamples(patients: Sequence[str], truth: Array, seed: int) -> list[NDArray[np.intp]]:
    """Rows of the films of patients drawn with replacement; draws that miss a class are drawn again."""
    _, place = np.unique(np.asarray(patients), return_inverse=True)
    order = np.argsort(place, kind="stable")
    films = np.split(order, np.cumsum(np.bincount(place))[:-1])
    generator = np.random.default_rng(seed)
    drawn: list[NDArray[np.intp]] = []
    for _ in range(20 * RESAMPLES):
        rows = np.concatenate([films[i] for i in generator.integers(0, len(films), len(films))])
        if 0 < truth[rows].sum() < len(rows):
            drawn.append(rows)
        if len(drawn) == RESAMPLES:
            return drawn
    raise ValueError("Too few patients to give an interval.")


def percentiles(resamples: list[NDArray[np.intp]], figure: Callable[[NDArray[np.intp]], float]) -> Interval:
    """The 95 % interval of a figure of rows, from `patient_resamples`."""
    low, high = np.percentile([figure(rows) for rows in resamples], [2.5, 97.5])
    return float(low), float(high)


def auc_interval(
    truth: Array,
    scores: Array,
    patients: Sequence[str],
    resamples: list[NDArray[np.intp]],
    weights: Array | None = None,
) -> Interval:
    """The 95 % interval of an AUC, of films weighed by `weights` (n,), by `patient_resamples` or by Newcombe."""
    weight = np.ones_like(scores) if weights is None else weights
    found = [len(np.unique(np.asarray(patients)[truth == target])) for target in (1, 0)]
    if min(found) >= FEW:
        low, high = percentiles(resamples, lambda rows: auc(truth[rows], scores[rows], weight[rows]))
        if low != high:
            return low, high
    # Films of unequal weight tell as much as fewer ones of equal weight (Kish, Survey Sampling, 1965).
    worth = [float(weight[truth == t].sum() ** 2 / (weight[truth == t] ** 2).sum()) for t in (1, 0)]
    return newcombe(auc(truth, scores, weight), min(worth[0], found[0]), min(worth[1], found[1]))


def _rate_interval(
    resamples: list[NDArray[np.intp]], hits: NDArray[np.bool_], among: NDArray[np.bool_]
) -> Interval:
    low, high = percentiles(resamples, lambda rows: float(hits[rows][among[rows]].mean()))
    if low == high:
        return wilson(int(hits[among].sum()), int(among.sum()))
    return low, high
