"""Chest films as they would be taken of a CT, from any side (digitally reconstructed radiographs), and its slices.

A film from the side is easily uploaded by mistake, and no package that is used here carries any. A CT of a chest
shows the same patient from all sides: seen from the side, or obliquely, it teaches and measures the gate as what must
be refused, seen from the front as what must not be, so that the gate learns the side and not that a picture was
computed. Beams are parallel; scatter is not computed. Slices along the body look most like films of all that is no
film.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ml.images.preprocessing import Films

Volume = NDArray[np.float32]
SPACING = 3.0
"""Millimetres of a cell of the volumes that are projected; a gate looks at 64 cells across a whole film."""
View = Literal["front", "oblique", "side"]
VIEWS: dict[View, tuple[int, ...]] = {
    "front": tuple(range(-15, 16, 5)),
    "oblique": (*range(40, 56, 5), *range(-55, -39, 5)),
    "side": (*range(60, 121, 5), *range(-120, -59, 5)),
}
"""Degrees about the long axis of the body. Nobody lies or stands quite straight; oblique films are taken at 45
degrees, of the heart also at 60."""
FLESH, BONE = -300.0, 150.0
"""Hounsfield units above which there is body, not air, and above which calcium takes more than its density does."""
CALCIUM = 0.6
WINDOWS = ((-600.0, 1500.0), (40.0, 400.0), (-200.0, 1600.0))
"""Centre and width, in Hounsfield units, in which slices are looked at: lungs, soft parts, both."""
FILLED = 0.15
"""Share of a slice that the body fills at least."""
SIDE = 128
LEAST_DEPTH = 3.0
"""Centimetres of water; beside less than this lies no trunk."""


@dataclass(frozen=True)
class Chest:
    """What lies in the way of beams through one patient: pictures (h, w) in centimetres of water, head upwards, in each
    of `VIEWS`, a few degrees apart; and the CT itself, in cells of `SPACING`, with the places on each axis at which a
    slice shows the body."""

    hounsfield: Volume
    within: tuple[NDArray[np.intp], ...]
    seen: dict[View, tuple[Films, ...]]


def chest(hounsfield: NDArray[np.generic], spacing: Sequence[float]) -> Chest:
    """From a CT (left-right, front-back, feet-head) and its spacing in millimetres on each axis."""
    scale = [along / SPACING for along in spacing]
    values = ndimage.zoom(np.asarray(hounsfield, dtype=np.float32), scale, order=1)
    attenuation = _attenuation(values)
    seen = {view: tuple(_seen(attenuation, angles)) for view, angles in VIEWS.items()}
    flesh = values > FLESH
    filled = (flesh.mean(axis=others) for others in ((1, 2), (0, 2), (0, 1)))
    within = tuple(np.flatnonzero(share > FILLED) for share in filled)
    return Chest(values, within, seen)


def _attenuation(values: Volume) -> Volume:
    """Of the body alone, without table and cushions; water is 1."""
    parts, count = ndimage.label(ndimage.binary_opening(values > FLESH, iterations=2))
    if not count:
        raise ValueError("There is no body in this CT.")
    sizes = np.bincount(parts.ravel())[1:]
    body = parts == 1 + int(np.argmax(sizes))
    for place in range(body.shape[2]):
        body[..., place] = ndimage.binary_fill_holes(body[..., place])
    body = ndimage.binary_dilation(body)
    density = np.clip(values + 1000, 0, None) / 1000 + CALCIUM * np.clip(values - BONE, 0, None) / 1000
    return np.where(body, density, 0).astype(np.float32)


def _seen(attenuation: Volume, angles: Iterable[int]) -> Iterable[Films]:
    for degrees in angles:
        turned = ndimage.rotate(attenuation, degrees, axes=(0, 1), order=1)
        yield np.ascontiguousarray(turned.sum(axis=1).T[::-1]) * np.float32(SPACING / 10)


def _film(seen: Films, generator: np.random.Generator) -> Films:
    """A film of one of a chest's pictures, (128, 128) in 0..1: cut to the trunk, exposed and mirrored by chance."""
    trunk = np.flatnonzero((seen > LEAST_DEPTH).mean(axis=0) > 0.3)
    left, right, high = trunk[0], trunk[-1] + 1, len(seen)
    wide = right - left
    left = max(0, int(left + generator.uniform(-0.15, 0.12) * wide))
    right = min(seen.shape[1], int(right + generator.uniform(-0.12, 0.15) * wide))
    top, bottom = int(generator.uniform(0, 0.12) * high), int((1 - generator.uniform(0, 0.25)) * high)
    part = seen[top:bottom, left:right]
    exposed = 1 - np.exp(-generator.uniform(0.06, 0.2) * part)
    low, full = np.percentile(exposed, [generator.uniform(0, 4), generator.uniform(98.5, 100)])
    grey = np.clip((exposed - low) / max(full - low, 1e-6), 0, 1) ** generator.uniform(0.8, 3.0)
    picture = Image.fromarray(grey.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    found = np.asarray(picture, dtype=np.float32)
    detail = found - ndimage.gaussian_filter(found, 0.012 * SIDE)
    found = found + np.float32(generator.uniform(0, 1.5)) * detail
    found = found[:, ::-1] if generator.random() < 0.5 else found
    return np.ascontiguousarray(np.clip(found, 0, 1))


def films(chests: Sequence[Chest], view: View, count: int, generator: np.random.Generator) -> list[Films]:
    """`count` films in one of `VIEWS`, of patients by chance."""
    found = []
    for _ in range(count):
        seen = _any(chests, generator).seen[view]
        found.append(_film(seen[int(generator.integers(len(seen)))], generator))
    return found


def slices(chests: Sequence[Chest], count: int, generator: np.random.Generator) -> list[Films]:
    """`count` slices (128, 128) in 0..1 along any axis, head upwards where they show it, in some window."""
    return [_slice(_any(chests, generator), int(generator.integers(3)), generator) for _ in range(count)]


def _any(chests: Sequence[Chest], generator: np.random.Generator) -> Chest:
    return chests[int(generator.integers(len(chests)))]


def _slice(one: Chest, axis: int, generator: np.random.Generator) -> Films:
    within = one.within[axis]
    place = within[int(generator.uniform(0.1, 0.9) * len(within))]
    picture = np.take(one.hounsfield, place, axis=axis).T[::-1]
    centre, width = WINDOWS[int(generator.integers(len(WINDOWS)))]
    grey = np.clip((picture - centre) / (width * generator.uniform(0.8, 1.25)) + 0.5, 0, 1)
    edges = (generator.uniform(0, 0.15, 4) * np.repeat(grey.shape, 2)).astype(int)
    part = grey[edges[0] : len(grey) - edges[1], edges[2] : grey.shape[1] - edges[3]]
    part = part[:, ::-1] if generator.random() < 0.5 else part
    picture = Image.fromarray(np.ascontiguousarray(part, dtype=np.float32))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)
