"""Whether maps can be believed: the limits of `ml.serving.heatmap_checks`, and whether a map follows an
opacity that is moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.images import perturbations
from ml.images.preprocessing import Preparation, fit
from ml.images.radiograph import Radiograph
from ml.serving import heatmap_checks
from ml.serving.heatmap import SMOOTHING, beyond_normal, to_unit
from ml.serving.runtime import Runtime

QUANTILE, MARGIN = 0.995, 1.1
"""Limits lie a tenth beyond the share that so many of the validation films answered pneumonia stay under."""
FLOORS = {"border": 0.2, "letters": 0.1, "outside": 0.3}
"""No limit is lower than about what a map has that is the same everywhere."""
LESIONS = ((0.3, 0.36), (0.3, 0.6), (0.74, 0.36), (0.77, 0.52))
"""Centres (x, y) of the opacities that are pasted, as shares of the film: both lungs, beside the heart."""
RADIUS = 0.14
NEAR = 0.2
"""What is around an opacity lies within this share of the film's side of its centre."""
FILMS = 40


@dataclass(frozen=True)
class Reader:
    """A runtime with what its card says of maps: `cut` is the threshold as a logit."""

    runtime: Runtime
    heatmap: dict[str, Any]
    preparation: Preparation
    cut: float

    def read(self, films: Sequence[Radiograph]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Logits (n,) and maps (n, side, side) in 0..1."""
        outputs = self.runtime.run(np.stack([self.preparation(film) for film in films])[..., None])
        reference = np.array(self.heatmap["reference"], dtype=np.float32)
        found = beyond_normal(outputs.maps, reference, self.heatmap.get("smoothing", SMOOTHING))
        maps = to_unit(found, self.heatmap["scale"], self.heatmap["stride"], self.preparation.side)
        return outputs.logits.astype(np.float64), maps


def prove(
    reader: Reader,
    validation: Sequence[Radiograph],
    targets: NDArray[np.int64],
    others: Sequence[Radiograph],
    other_name: str,
) -> dict[str, Any]:
    """The entry `sanity` of a card's `heatmap`: limits from validation films, and figures."""
    groups = {
        "validation films": validation,
        "validation films, every second changed": perturbations.every_second_changed(validation),
        other_name: others,
    }
    shares = {name: _shares(reader, films) for name, films in groups.items() if films}
    setting = [shares[name] for name in list(groups)[:2] if len(shares[name])]
    limits = {
        place: round(
            max([FLOORS[place], *(MARGIN * float(np.quantile(rows[:, k], QUANTILE)) for rows in setting)]), 4
        )
        for k, place in enumerate(heatmap_checks.PLACES)
    }
    most = np.array([limits[place] for place in heatmap_checks.PLACES])
    return {
        "method": "Shares of a map's mass on the film's border, on letters and outside the chest, the chest estimated "
        "from the film alone. Limits: what 99.5 % of the validation films that were answered pneumonia stay under, as "
        "they are or changed, and a tenth more.",
        "limits": limits,
        "measured": [
            {
                "films": name,
                "n": len(rows),
                "warned": int((rows > most).any(axis=1).sum()),
                "median": {
                    place: round(float(np.median(rows[:, k])), 4)
                    for k, place in enumerate(heatmap_checks.PLACES)
                },
            }
            for name, rows in shares.items()
            if len(rows)
        ],
        "lesions": follow(reader, [film for film, ill in zip(validation, targets, strict=True) if not ill]),
    }


def _shares(reader: Reader, films: Sequence[Radiograph]) -> NDArray[np.float64]:
    """Shares (n, 3) of the films that are answered pneumonia."""
    rows = []
    for start in range(0, len(films), 64):
        some = films[start : start + 64]
        logits, maps = reader.read(some)
        rows += [
            list(heatmap_checks.shares(fit(film, heatmap_checks.SIDE), heatmap).values())
            for film, logit, heatmap in zip(some, logits, maps, strict=True)
            if logit >= reader.cut
        ]
    return np.array(rows).reshape(-1, len(heatmap_checks.PLACES))


def follow(reader: Reader, normal: Sequence[Radiograph]) -> dict[str, Any]:
    """Paste one soft opacity at each of `LESIONS` into normal films; do probability and map follow?"""
    raised, near, rises = 0, 0, []
    for film in normal[:FILMS]:
        film = perturbations.eight_bits(film)
        pasted = [with_lesion(film, x, y) for x, y in LESIONS]
        logits, maps = reader.read([film, *pasted])
        rises += [float(logit - logits[0]) for logit in logits[1:]]
        raised += int((logits[1:] > logits[0]).sum())
        near += following(maps[1:])
    count = len(rises)
    if not count:
        return {}
    return {
        "films": count // len(LESIONS),
        "pasted": count,
        "raised": raised,
        "followed": near,
        "median_rise": round(float(np.median(rises)), 3),
        "sentence": f"One soft opacity was pasted at {len(LESIONS)} places into {count // len(LESIONS)} normal "
        f"validation films: the probability rose in {raised} of {count} cases (the logit by "
        f"{float(np.median(rises)):.1f}, median), and in {near} the share of the map around a place was largest when "
        f"the opacity lay there, of the {len(LESIONS)} where it was laid (by chance: {count // len(LESIONS)}).",
    }


def with_lesion(film: Radiograph, x: float, y: float, strength: float = 0.8) -> Radiograph:
    """The film (8 bits) with a soft round opacity at `x`, `y` (shares of its width and height)."""
    pixels = film.pixels.astype(np.float32)
    rows, columns = np.mgrid[0 : film.height, 0 : film.width]
    apart = np.hypot(rows / film.height - y, columns / film.width - x) / RADIUS
    low, high = np.percentile(pixels, [5, 99])
    veil = np.float32(strength) / (1 + np.exp((apart - 1) * 6))
    blended = pixels + veil.astype(np.float32) * np.maximum(low + 0.85 * (high - low) - pixels, 0) * 2
    return Radiograph(np.clip(blended, 0, 255).astype(np.uint8), 8, film.source_format)


def following(maps: NDArray[np.float32]) -> int:
    """Of `maps` (one for each of `LESIONS`, with the opacity there), how many have the largest share of their mass
    around their place, of all that the maps have there."""
    side = maps.shape[1]
    rows, columns = (np.mgrid[0:side, 0:side] + 0.5) / side
    around = np.stack([np.hypot(rows - y, columns - x) <= NEAR for x, y in LESIONS])
    masses = np.einsum("nij,pij->np", maps, around.astype(np.float32))
    shares = masses / np.maximum(maps.sum(axis=(1, 2)), 1e-6)[:, None]
    return int((shares.argmax(axis=0) == np.arange(len(LESIONS))).sum())
