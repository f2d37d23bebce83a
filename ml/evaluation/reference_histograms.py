"""What validation films are like: kept on the card, so that a site can see when its own films are of another kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml.data.dataset import LABELS
from ml.images.preprocessing import Preparation
from ml.images.radiograph import Radiograph
from ml.images.statistics import PictureStatistics, picture_statistics

BINS = 10

BIT_EDGES = (8.5, 10.5, 12.5, 14.5)
"""Between the depths 8, 10, 12, 14 and 16 in which films come."""


def describe(
    films: Sequence[Radiograph],
    probabilities: ArrayLike,
    targets: ArrayLike,
    patients: Sequence[str],
    preparation: Preparation,
) -> dict[str, Any]:
    """The card's `reference`: for each label how many films and patients, and histograms of what monitoring compares.

    `targets` are 0 (normal) or 1 (pneumonia); `preparation` is the network's. A histogram has inner `edges` (a value
    that is an edge lies in the upper bin) and the counts of each label apart, because a clinic has another share of
    pneumonia than the validation films. The edges part films of which half are pneumonia into tenths.
    """
    truth = np.asarray(targets, dtype=int)
    pictures = np.array([astuple(picture_statistics(preparation.fit(film))) for film in films])
    values = {"probability": np.asarray(probabilities, dtype=float)}
    values |= {item.name: pictures[:, place] for place, item in enumerate(fields(PictureStatistics))}
    values["aspect"] = np.array([film.width / film.height for film in films])
    edges = {name: _tenths(found, truth) for name, found in values.items()}
    values["bits"] = np.array([film.bits for film in films])
    edges["bits"] = list(BIT_EDGES)
    owners = np.asarray(patients)
    return {
        "side": preparation.side,
        "films": {label: int((truth == k).sum()) for k, label in enumerate(LABELS)},
        "patients": {label: len(np.unique(owners[truth == k])) for k, label in enumerate(LABELS)},
        "statistics": {
            name: {
                "edges": edges[name],
                **{label: _counts(found[truth == k], edges[name]) for k, label in enumerate(LABELS)},
            }
            for name, found in values.items()
        },
    }


def _tenths(values: NDArray[np.float64], truth: NDArray[np.int64]) -> list[float]:
    """Inner edges of tenths where both labels weigh the same; fewer where many films share one value."""
    weights = 1 / np.bincount(truth, minlength=2)[truth]
    places = np.arange(1, BINS) / BINS
    found = np.quantile(values, places, weights=weights, method="inverted_cdf")
    # Rounded to four digits: a probability near 0 needs other decimals than a sharpness near 20.
    return [float(edge) for edge in np.unique([float(f"{edge:.4g}") for edge in found])]


def _counts(values: NDArray[np.float64], edges: Sequence[float]) -> list[int]:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).tolist()
