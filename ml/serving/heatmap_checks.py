"""Does a map point at the chest? Shares of its mass that lie where no pneumonia can be, estimated from the film alone.

The chest is found roughly: what is not background, without the outer rim of that. The estimate is meant to be too
large rather than too small, so that only a map that is clearly elsewhere gives a warning.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Film = NDArray[np.float32]
Mask = NDArray[np.bool_]
SIDE = 64
"""Pixels a side at which film and map are compared."""
RIM = 3
"""Pixels along each edge of the film that are its border."""
WARNINGS = {
    "border": "more of its evidence than usual lies on the border of the film",
    "letters": "more of its evidence than usual lies on letters or markers",
    "outside": "more of its evidence than usual lies outside the chest",
}
PLACES = tuple(WARNINGS)
_NARROW, _LOW, _HIGH = 0.03, 0.03, 0.06
_STROKE = 9


def shares(film: Film, heatmap: Film) -> dict[str, float]:
    """Share, 0 to 1, of the map's mass on each of `PLACES`; all 0 for an empty map.

    `film` is (64, 64) in any units, `heatmap` (side, side), not negative, exactly over it.
    """
    mass = _reduced(heatmap)
    total = float(mass.sum())
    if total <= 0:
        return dict.fromkeys(PLACES, 0.0)
    masks = {"border": _BORDER, "letters": letters(film), "outside": ~chest(film)}
    return {place: float(mass[masks[place]].sum()) / total for place in PLACES}


def warning(found: Mapping[str, float], limits: Mapping[str, float]) -> str | None:
    """In words, where a share is above its limit."""
    wrong = [WARNINGS[place] for place in PLACES if found[place] > limits[place]]
    if not wrong:
        return None
    return (
        f"The model may be looking at the wrong thing: {', and '.join(wrong)}. Look at the map before you use the "
        "answer."
    )


def chest(film: Film) -> Mask:
    """Where the chest may be: the frame around all that is brighter than the background, less a thin rim."""
    low, high = np.percentile(film, [2, 98])
    bright = ndimage.uniform_filter(film, 3) > low + 0.18 * (high - low)
    rows, columns = (np.nonzero(bright.mean(axis=axis) > 0.12)[0] for axis in (1, 0))
    found = np.zeros(film.shape, dtype=bool)
    if not (len(rows) and len(columns)):
        return ~found
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    top, bottom = top + round(_LOW * (bottom - top)), bottom - round(_HIGH * (bottom - top))
    left, right = left + round(_NARROW * (right - left)), right - round(_NARROW * (right - left))
    found[top:bottom, left:right] = True
    # What is black between arm and trunk, beside the neck or below a narrow trunk belongs to no chest; lungs are
    # darker than soft parts, but shut in by them.
    return found & ~_outer_dark(film < low + 0.06 * (high - low))


def _outer_dark(dark: Mask) -> Mask:
    """Dark regions that reach an edge of the film."""
    labels, count = ndimage.label(dark)
    if not count:
        return dark
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    outer = np.zeros(count + 1, dtype=bool)
    outer[edge] = True
    outer[0] = False
    return np.asarray(outer[labels])


def letters(film: Film) -> Mask:
    """Spots near the edges that are far brighter than what is around them and short in every direction, and a pixel
    around each: ribs and the edge of the trunk are long in one."""
    low, high = np.percentile(film, [1, 99.5])
    kept = np.maximum(_opened(film, 0), _opened(film, 1))
    spots = (film - kept > 0.25 * (high - low)) & _OUTER_PART
    return np.asarray(ndimage.binary_dilation(spots)) if spots.any() else spots


def _opened(film: Film, axis: int) -> Film:
    """The film without bright stretches shorter than `_STROKE` pixels along `axis`."""
    least = ndimage.minimum_filter1d(film, _STROKE, axis=axis)
    return np.asarray(ndimage.maximum_filter1d(least, _STROKE, axis=axis))


def _reduced(heatmap: Film) -> Film:
    """The map at SIDE x SIDE: every pixel that is nearest; it is smooth."""
    places = ((np.arange(SIDE) + 0.5) * heatmap.shape[0] / SIDE).astype(np.intp)
    return heatmap[np.ix_(places, places)]


def _rim(width: int) -> Mask:
    mask = np.ones((SIDE, SIDE), dtype=bool)
    mask[width:-width, width:-width] = False
    return mask


_BORDER = _rim(RIM)
_OUTER_PART = _rim(SIDE // 4)
