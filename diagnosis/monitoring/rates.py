"""Rates with 95 % intervals that know that films of one patient are alike."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ml.metrics.classification import wilson

ENOUGH = 20
"""Of fewer films a rate is not said as a percentage: even 20 of 20 may mean 84 %."""
INTERVALS = (
    "95 % intervals by Wilson's method; where a patient has several films, they count for as many as they are worth "
    "(Rao and Scott, Biometrics 48, 1992)."
)


@dataclass(frozen=True)
class Rate:
    """`hits` of `n` films. `low` and `high` are its 95 % interval, None where there is no film."""

    hits: int
    n: int
    low: float | None = None
    high: float | None = None

    @property
    def value(self) -> float | None:
        return self.hits / self.n if self.n else None

    @property
    def few(self) -> bool:
        return self.n < ENOUGH

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


def rate(films: Iterable[tuple[int, bool]]) -> Rate:
    """The share of hits among films, each given as (patient, whether it is a hit)."""
    counted = list(films)
    if not counted:
        return Rate(0, 0)
    hits = sum(hit for _, hit in counted)
    worth = effective(counted)
    low, high = wilson(hits / len(counted) * worth, worth)
    return Rate(hits, len(counted), low, high)


def effective(films: Sequence[tuple[int, bool]]) -> float:
    """How many films of different patients the films are worth: their number over the design effect, at least 1.

    Rao and Scott, "A simple method for the analysis of clustered binary data", Biometrics 48 (1992). Where all films
    are hits or none is, the design effect is unknown; then each patient counts once, which is the least.
    """
    sizes = Counter(patient for patient, _ in films)
    n, patients = len(films), len(sizes)
    if patients == n:
        return float(n)
    share = sum(hit for _, hit in films) / n
    if share in (0.0, 1.0) or patients == 1:
        return float(patients)
    hits = Counter(patient for patient, hit in films if hit)
    spread = sum((hits[patient] - share * size) ** 2 for patient, size in sizes.items())
    variance = patients / (patients - 1) * spread / n**2
    return n / max(1.0, variance / (share * (1 - share) / n))
