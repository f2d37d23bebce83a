"""How far two readers agree beyond chance."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

Z = 1.959964


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of `n` films; `value` and the 95 % interval are None where it cannot be said."""

    n: int
    agree: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def cohen_kappa(pairs: Iterable[tuple[str, str]]) -> Kappa:
    """Return kappa of pairs of verdicts with its large-sample interval.

    Sources: Cohen, Educ Psychol Meas 1960;20:37-46; the standard error is that of Fleiss, Cohen and Everitt,
    Psychol Bull 1969;72:323-327. The films count as independent. Without any variation kappa is not defined, and
    where all agree the formula's standard error is 0, which is no interval: then none is given.
    """
    counts = Counter(pairs)
    n = sum(counts.values())
    agree = sum(number for (a, b), number in counts.items() if a == b)
    names = sorted({name for pair in counts for name in pair})
    if len(names) < 2:
        return Kappa(n, agree)
    p = {(a, b): counts[a, b] / n for a in names for b in names}
    first = {a: sum(p[a, b] for b in names) for a in names}
    second = {b: sum(p[a, b] for a in names) for b in names}
    chance = sum(first[a] * second[a] for a in names)
    value = (agree / n - chance) / (1 - chance)
    if agree == n:
        return Kappa(n, agree, value)
    same = sum(p[a, a] * (1 - (first[a] + second[a]) * (1 - value)) ** 2 for a in names)
    other = sum(p[a, b] * (second[a] + first[b]) ** 2 for a in names for b in names if a != b)
    variance = same + (1 - value) ** 2 * other - (value - chance * (1 - value)) ** 2
    half = Z * math.sqrt(max(variance, 0.0) / n) / (1 - chance)
    return Kappa(n, agree, value, max(-1.0, value - half), min(1.0, value + half))
