"""What a card says of a trained network beyond its validation figures: stress, gate, other films."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.images.perturbations import AS_THEY_ARE, STRESSES, stressed
from ml.images.preprocessing import Preparation
from ml.images.radiograph import Radiograph
from ml.metrics import classification
from ml.serving.runtime import Runtime

SENSITIVITY = 0.95
"""What the card's alternative operating points reach at least."""


def stress_logits(
    films: Sequence[Radiograph], runtime: Runtime, preparation: Preparation
) -> dict[str, NDArray[np.float64]]:
    """Logits (n,) of all films under every change, through the same preprocessing as a served film's."""
    found: dict[str, NDArray[np.float64]] = {}
    for stress in STRESSES:
        parts = []
        for start in range(0, len(films), 64):
            some = [preparation(stressed(film, stress)) for film in films[start : start + 64]]
            parts.append(runtime.run(np.stack(some)[..., None]).logits)
        found[stress] = np.concatenate(parts).astype(np.float64)
    return found


def stress_table(
    targets: NDArray[np.int64], logits: dict[str, NDArray[np.float64]], cut: float
) -> list[dict[str, Any]]:
    """AUC, sensitivity and specificity under each change at one fixed threshold; `cut` is it as a logit."""
    ill = targets == 1
    return [
        {
            "stress": stress,
            "auc": round(classification.auc(targets, values), 4),
            "sensitivity": round(float((values[ill] >= cut).mean()), 4),
            "specificity": round(float((values[~ill] < cut).mean()), 4),
        }
        for stress, values in logits.items()
    ]


def operating_points(
    targets: NDArray[np.int64], logits: dict[str, NDArray[np.float64]], temperature: float
) -> list[dict[str, Any]]:
    """What threshold would reach a stated sensitivity, on the films as they are and under every change of them."""
    ill = targets == 1
    groups = {
        "validation films": {AS_THEY_ARE: logits[AS_THEY_ARE]},
        "validation films, under every change of the stress table": logits,
    }
    found = []
    for name, group in groups.items():
        cut = min(
            float(np.sort(values[ill])[int((1 - SENSITIVITY) * ill.sum())]) for values in group.values()
        )
        worst = {stress: float((values[~ill] < cut).mean()) for stress, values in group.items()}
        found.append(
            {
                "films": name,
                "sensitivity": SENSITIVITY,
                "threshold": round(float(classification.sigmoid(cut / temperature)), 4),
                "specificity": round(worst[AS_THEY_ARE], 4),
                "worst_specificity": round(min(worst.values()), 4),
            }
        )
    return found
