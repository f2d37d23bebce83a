"""Do films, and what the model says of them, still look like the films that it was validated on?

Compared are histograms, by the population stability index (PSI): the sum over the bins of (o - e) ln(o / e), where o
and e are the observed and the expected share. By custom 0.1 is worth a look and 0.25 a change (Siddiqi, Credit Risk
Scorecards, 2006). Of few films chance alone gives more than that: without any change PSI is about (1/n + 1/m) times a
chi-squared variable of one degree of freedom less than bins, n and m being the sizes of the two samples (Yurdakul and
Naranjo, Journal of Risk Model Validation 14(4), 2020). So nothing is called a change that chance gives more often than
once in a hundred looks at the page. Patients are counted for n and m, not films: those of one patient are alike.

A clinic sees another share of pneumonia than the validation films had. The share that explains the answers best is
found first (Saerens et al., Neural Computation 14, 2002), and all is compared with validation films in that mixture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diagnosis.models import ModelVersion
from diagnosis.monitoring.scope import Scope

Array = NDArray[np.float64]
Level = Literal["few", "steady", "other", "look", "alarm"]
AT_MOST = 5_000
"""So many of the newest films are compared: enough to see any change that matters, and quick."""
ENOUGH_PATIENTS = 50
LOOK, CHANGE = 0.1, 0.25
CHANCE = 0.01
STATISTICS = {
    "probability": ("Probability of pneumonia", "probability"),
    "mean": ("Brightness (mean grey, share of white)", "picture_mean"),
    "deviation": ("Contrast (deviation of the greys)", "picture_deviation"),
    "sharpness": ("Sharpness (mean Laplacian, greys of 255)", "picture_sharpness"),
    "aspect": ("Width over height", None),
    "bits": ("Bits a pixel", "film__bits"),
}
"""What is compared: its name, and the column that holds it."""


@dataclass(frozen=True)
class Compared:
    """One statistic's histogram beside that of the validation films. `limit` is what chance alone may give.

    Level "other": films differ from validation films that were all alike, such as 8-bit squares; how much it matters
    nobody has measured, and it would be so of every film, so it raises no alarm.
    """

    name: str
    title: str
    bins: list[str]
    observed: list[float]
    expected: list[float]
    psi: float
    limit: float
    level: Level
    higher: bool

    @property
    def direction(self) -> str:
        return "higher" if self.higher else "lower"


@dataclass(frozen=True)
class Drift:
    """All statistics of the films that one model version answered. `pneumonia` is the share that explains its answers;
    `validation` is that of the validation films. Without a reference on its card there is nothing to compare with."""

    model: str
    films: int
    patients: int
    compared: list[Compared]
    pneumonia: float | None = None
    validation: float | None = None

    @property
    def has_reference(self) -> bool:
        return self.validation is not None

    @property
    def few(self) -> bool:
        return self.patients < ENOUGH_PATIENTS

    def at(self, level: Level) -> list[Compared]:
        return [one for one in self.compared if one.level == level]


def drift(scope: Scope, version: ModelVersion) -> Drift:
    """Compare the newest films of the period that `version` answered with its validation films: one query."""
    columns = [column for _, column in STATISTICS.values() if column]
    newest = scope.predictions().answered().filter(model_version=version, picture_mean__isnull=False)
    rows = list(
        newest.order_by("-queued_at").values_list(
            "film__patient_id", "film__width", "film__height", *columns
        )[:AT_MOST]
    )
    patients = len({row[0] for row in rows})
    reference = version.card.get("reference")
    if not reference or not rows:
        share = _share(reference["films"]) if reference else None
        return Drift(version.name, len(rows), patients, [], None, share)
    table = np.array([row[1:] for row in rows], dtype=float)
    values = dict(zip((name for name, (_, c) in STATISTICS.items() if c), table[:, 2:].T, strict=True))
    values["aspect"] = table[:, 0] / table[:, 1]
    pneumonia = mixture(reference["statistics"]["probability"], values["probability"])
    worth = _worth(reference["patients"], pneumonia)
    compared = [
        compare(name, reference["statistics"][name], values[name], pneumonia, patients, worth)
        for name in STATISTICS
    ]
    return Drift(version.name, len(rows), patients, compared, pneumonia, _share(reference["films"]))


def mixture(histogram: Mapping[str, Any], values: Array) -> float:
    """The share of pneumonia films of which the observed probabilities are most likely, by the EM algorithm."""
    observed = _counts(values, histogram["edges"])
    well, ill = (_shares(np.array(histogram[label], dtype=float)) for label in ("NORMAL", "PNEUMONIA"))
    share = 0.5
    for _ in range(200):
        of_ill = share * ill / (share * ill + (1 - share) * well)
        share = float((observed * of_ill).sum() / observed.sum())
    return share


def compare(
    name: str, histogram: Mapping[str, Any], values: Array, pneumonia: float, patients: int, worth: float
) -> Compared:
    """One statistic against the validation films, `pneumonia` of them ill. `worth` is how many patients' films these
    are worth in that mixture."""
    well, ill = (_shares(np.array(histogram[label], dtype=float)) for label in ("NORMAL", "PNEUMONIA"))
    expected = pneumonia * ill + (1 - pneumonia) * well
    observed = _shares(_counts(values, histogram["edges"]))
    psi = float(((observed - expected) * np.log(observed / expected)).sum())
    limit = chi_squared(len(expected) - 1, 1 - CHANCE / len(STATISTICS)) * (1 / patients + 1 / worth)
    places = np.arange(len(expected))
    alike = np.count_nonzero(np.add(histogram["NORMAL"], histogram["PNEUMONIA"])) == 1
    return Compared(
        name=name,
        title=STATISTICS[name][0],
        bins=_bin_names(name, histogram["edges"]),
        observed=[round(float(share), 4) for share in observed],
        expected=[round(float(share), 4) for share in expected],
        psi=psi,
        limit=limit,
        level=_level(psi, limit, patients, alike),
        higher=bool((places * observed).sum() > (places * expected).sum()),
    )


def chi_squared(degrees: int, share: float) -> float:
    """The quantile of the chi-squared distribution by Wilson and Hilferty (1931): right to 1 % here."""
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + NormalDist().inv_cdf(share) * part**0.5) ** 3)


def _level(psi: float, limit: float, patients: int, alike: bool) -> Level:
    if patients < ENOUGH_PATIENTS:
        return "few"
    if psi <= max(LOOK, limit):
        return "steady"
    if alike:
        return "other"
    return "look" if psi <= max(CHANGE, limit) else "alarm"


def _worth(patients: Mapping[str, int], pneumonia: float) -> float:
    """The number of patients whose mixed films would vary as much as the mixture of the two labels' films does."""
    return 1 / (pneumonia**2 / patients["PNEUMONIA"] + (1 - pneumonia) ** 2 / patients["NORMAL"])


def _share(films: Mapping[str, int]) -> float:
    return films["PNEUMONIA"] / (films["PNEUMONIA"] + films["NORMAL"])


def _counts(values: Array, edges: Sequence[float]) -> Array:
    places = np.searchsorted(edges, values, side="right")
    return np.bincount(places, minlength=len(edges) + 1).astype(float)


def _shares(counts: Array) -> Array:
    """Shares of a whole; half a film more in each bin, so that an empty one does not make PSI infinite."""
    return np.asarray((counts + 0.5) / (counts + 0.5).sum())


def _bin_names(name: str, edges: Sequence[float]) -> list[str]:
    if name == "bits":
        return ["8", "10", "12", "14", "16"]
    told = [f"{edge:.3g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(told)]
    return [f"under {told[0]}", *between, f"{told[-1]} and over"]
