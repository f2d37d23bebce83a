"""Is this one upright frontal chest film, of a patient the model was validated for? Reasons in words if not.

The gate looks at the picture alone, before the network does, and needs neither a gradient nor a deep-learning
runtime: simple statistics, then the film averaged to 32 x 32 in the principal components of training films, the
directions of its edges, zone by zone, and how its greys are spread. What the components cannot rebuild is no chest; a
small head on all three tells an upright film from one that was turned, inverted or is something else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.images.preprocessing import fit, standardise
from ml.images.radiograph import Radiograph

SIDE = 32

FINE_SIDE = 64
"""The size, in pixels, at which edges are looked at."""

ZONES, DIRECTIONS = 8, 8

KINDS = ("film", "turned left", "upside down", "turned right", "inverted", "other", "from the side")
"""Gates of earlier versions know fewer of them, in this order."""

TURNED = KINDS[1:5]

MIN_RESOLUTION = 128

MAX_WIDE, MAX_TALL = 3.5, 2.0
"""Films of small children, cut to the lungs, are up to 3.2 times as wide as high; none is much higher than wide."""

MAX_COLOUR = 0.08

MIN_DEVIATION = 0.03

MIN_GREYS = 12

_ADVICE = {
    "turned left": "The film seems to lie on its side; turn it upright and upload it again.",
    "upside down": "The film seems to be upside down; turn it upright and upload it again.",
    "turned right": "The film seems to lie on its side; turn it upright and upload it again.",
    "inverted": "Black and white seem to be swapped; export the film with bones in white and upload it again.",
    "other": "This does not look like a frontal chest film.",
    "from the side": "This looks like a chest film taken from the side or obliquely; only frontal films are answered.",
}

_FAINT = 0.004
"""Share of all edges below which a zone counts as flat."""

_ZONE = np.add.outer(np.arange(FINE_SIDE) // ZONES * ZONES, np.arange(FINE_SIDE) // ZONES)

_GREYS = np.linspace(0.02, 0.98, 17)

_STEEPNESS = np.array([0.1, 0.25, 0.5, 0.75, 0.9, 0.97])
"""Quantiles that `tones` are."""

_MIDDLE = slice(12, 52)

Array = NDArray[np.float32]


def _none() -> Array:
    return np.zeros(0, dtype=np.float32)


@dataclass(frozen=True)
class GateParameters:
    """Arrays of `gate.npz`. With d = SIDE * SIDE, e = ZONES * ZONES * DIRECTIONS, k and m components, t tones, h hidden
    units:

    `mean` (d,), `components` (k, d), `scale` (k,) deviations of the scores; of the edges likewise `edge_mean` (e,) and
    `edge_components` (m, e), scaled already; `tone_mean` (t,) and `tone_scale` (t,); the head's `hidden_kernel`
    (k + m + t, h), `hidden_bias` (h,), `kind_kernel` (h, n), `kind_bias` (n,) for the first n of `KINDS`. Limits,
    scalars: `rest_limit` on the share of the picture that the components leave and `distance_limit` on the mean squared
    standardised score; `film_limits` (n - 1,) on the log odds of being a film rather than each other kind. Versions
    made before edges or tones were looked at have m = 0 or t = 0.
    """

    mean: Array
    components: Array
    scale: Array
    hidden_kernel: Array
    hidden_bias: Array
    kind_kernel: Array
    kind_bias: Array
    rest_limit: Array
    distance_limit: Array
    film_limits: Array
    edge_mean: Array = field(default_factory=_none)
    edge_components: Array = field(default_factory=lambda: _none().reshape(0, 0))
    tone_mean: Array = field(default_factory=_none)
    tone_scale: Array = field(default_factory=_none)


@dataclass(frozen=True)
class Likeness:
    """How a picture lies to the training films: the share of it that the components leave, the mean squared
    standardised score, and the log odds (n - 1,) of an upright film against each other kind."""

    rest: float
    distance: float
    odds: Array


def load_parameters(path: Path) -> GateParameters:
    with np.load(path, allow_pickle=False) as arrays:
        return GateParameters(
            **{item.name: arrays[item.name] for item in fields(GateParameters) if item.name in arrays}
        )


def refusals(radiograph: Radiograph, parameters: GateParameters, small: Array | None = None) -> list[str]:
    """Why this picture is not answered, one sentence each; empty if it looks like one frontal chest film.

    `small` is the film, `fit` to `FINE_SIDE`, where that is known already.
    """
    small = fit(radiograph, FINE_SIDE) if small is None else small
    reasons = statistics_refusals(radiograph, small)
    if reasons:
        return reasons
    return likeness_refusals(likeness(standardise(small), parameters), parameters)


def statistics_refusals(radiograph: Radiograph, small: Array) -> list[str]:
    """What needs no training films: size, shape, colour, blankness. `small` is the film, `fit` to 64 pixels."""
    reasons = []
    height, width = radiograph.height, radiograph.width
    if min(height, width) < MIN_RESOLUTION:
        reasons.append(
            f"The picture is {radiograph.width} x {radiograph.height} pixels; at least {MIN_RESOLUTION} on each "
            "side are needed for an answer."
        )
    if width > MAX_WIDE * height or height > MAX_TALL * width:
        reasons.append("The picture is too long and narrow to be one chest film.")
    if radiograph.colourfulness > MAX_COLOUR:
        reasons.append("This is a colour picture, not a radiograph.")
    if float(small.std()) < MIN_DEVIATION * max(float(small.max()), 1e-6) or _greys(small) < MIN_GREYS:
        reasons.append("The picture is blank or nearly so.")
    return reasons


def likeness_refusals(found: Likeness, parameters: GateParameters) -> list[str]:
    short = found.odds - parameters.film_limits
    if float(short.min()) < 0.0:
        return [_ADVICE[KINDS[1 + int(np.argmin(np.where(short < 0, found.odds, np.inf)))]]]
    if found.rest > float(parameters.rest_limit) or found.distance > float(parameters.distance_limit):
        return [_ADVICE["other"]]
    return []


def reduced(film: Array) -> Array:
    """A film (FINE_SIDE, FINE_SIDE) in any units as its principal components see it: (SIDE * SIDE,), standardised."""
    return standardise(film.reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3))).reshape(-1)


def edges(film: Array) -> Array:
    """Histograms of the directions of edges (ZONES * ZONES * DIRECTIONS,) of a standardised film (64, 64).

    Dalal and Triggs, CVPR 2005, with directions of a full turn: from dark to bright is another direction than from
    bright to dark. Each zone is weighed by the strength of the edges around it, so contrast plays no part.
    """
    down, across = np.zeros_like(film), np.zeros_like(film)
    down[1:-1], across[:, 1:-1] = film[2:] - film[:-2], film[:, 2:] - film[:, :-2]
    strength = np.hypot(down, across)
    turn = np.arctan2(down, across) * np.float32(DIRECTIONS / (2 * np.pi)) + np.float32(DIRECTIONS)
    lower = np.floor(turn)
    share = turn - lower
    first = lower.astype(np.intp) % DIRECTIONS
    place = _ZONE * DIRECTIONS
    size = ZONES * ZONES * DIRECTIONS
    sums = np.bincount((place + first).ravel(), (strength * (1 - share)).ravel(), size)
    sums += np.bincount((place + (first + 1) % DIRECTIONS).ravel(), (strength * share).ravel(), size)
    zones = sums.reshape(ZONES, ZONES, DIRECTIONS)
    energy = np.pad((zones**2).sum(axis=2), 1, mode="edge")
    around = sum(energy[i : i + ZONES, j : j + ZONES] for i in range(3) for j in range(3))
    found = zones / np.sqrt(around + _FAINT * (zones**2).sum() + 1e-9)[..., None]
    return found.astype(np.float32).reshape(-1)


def tones(film: Array) -> Array:
    """How the greys of a standardised film (64, 64) are spread, and how steep they change: (40,), quantiles of all of
    it, of its middle, and of its slopes.

    A slice of a CT may have the make-up of a film, but its lungs are black and its flesh of one grey, with little
    between.
    """
    steep = np.hypot(film[2:, 1:-1] - film[:-2, 1:-1], film[1:-1, 2:] - film[1:-1, :-2])
    spread = (film, _GREYS), (film[_MIDDLE, _MIDDLE], _GREYS), (steep, _STEEPNESS)
    return np.concatenate([_quantiles(values, shares) for values, shares in spread])


def _quantiles(values: Array, shares: NDArray[np.float64]) -> Array:
    """The nearest values themselves: several times as quick as between them."""
    return np.sort(values, axis=None)[np.round(shares * (values.size - 1)).astype(np.intp)]


def likeness(film: Array, parameters: GateParameters) -> Likeness:
    """Compare one standardised film (64, 64) with the training films."""
    centred = reduced(film) - parameters.mean
    scores = parameters.components @ centred
    left = centred - scores @ parameters.components
    standard = scores / parameters.scale
    seen = standard
    if len(parameters.edge_mean):
        seen = np.concatenate([standard, parameters.edge_components @ (edges(film) - parameters.edge_mean)])
    if len(parameters.tone_mean):
        seen = np.concatenate([seen, (tones(film) - parameters.tone_mean) / parameters.tone_scale])
    hidden = np.maximum(seen @ parameters.hidden_kernel + parameters.hidden_bias, 0.0)
    odds = hidden @ parameters.kind_kernel + parameters.kind_bias
    return Likeness(float(np.mean(left**2)), float(np.mean(standard**2)), odds[0] - odds[1:])


def _greys(small: Array) -> int:
    return len(np.unique((small * 255).round()))
