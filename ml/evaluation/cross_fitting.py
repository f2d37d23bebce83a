"""Temperature and threshold chosen on some patients and judged on others: what either is worth where it is used.

Both are two numbers fitted to the films that a card then measures, so their figures flatter. Divided into parts by
patient, each part is read with the temperature and the threshold that the other parts choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.metrics import classification
from ml.metrics import thresholds as metrics_thresholds

Targets = NDArray[np.int64]
Logits = NDArray[np.float64]
SENSITIVITY = 0.95
"""The sensitivity that thresholds are chosen to reach."""


@dataclass(frozen=True)
class Part:
    """Answers to films of some patients: `targets` and `logits` (n,) as they are; `changed`, (m,) logits for each
    change of the stress table, and their targets; and (k,) those of a second population, which may be none."""

    targets: Targets
    logits: Logits
    changed: dict[str, Logits]
    changed_targets: Targets
    second_targets: Targets
    second_logits: Logits


def temperature(parts: Sequence[Part], share: float) -> float:
    """The one of lowest log loss over all films and their changed copies, both classes weighing the same, those of a
    second population as much as `share`."""
    targets = np.concatenate([np.tile(part.changed_targets, len(part.changed)) for part in parts])
    logits = np.concatenate([values for part in parts for values in part.changed.values()])
    weights = classification.balanced(targets)
    theirs = np.concatenate([part.second_targets for part in parts])
    if share and len(theirs):
        weights = np.concatenate([weights * (1 - share), classification.balanced(theirs) * share])
        targets = np.concatenate([targets, theirs])
        logits = np.concatenate([logits, *(part.second_logits for part in parts)])
    return round(classification.fit_temperature(targets, logits, weights), 4)


def judge(parts: Sequence[Part], share: float) -> dict[str, Any]:
    """What the choices of the other parts came to on each: `temperatures`, `thresholds` for `SENSITIVITY`, and over all
    parts the calibration errors (15 bins) of films, of changed films and of a second population, and the sensitivity
    and specificity that those thresholds reached. Two parts at least are needed, each with both classes."""
    temperatures, thresholds = [], []
    asis, changed, seconds, found = [], [], [], []
    for number, part in enumerate(parts):
        others = [other for place, other in enumerate(parts) if place != number]
        warmth = temperature(others, share)
        probabilities = classification.sigmoid(part.logits / warmth)
        threshold = metrics_thresholds.threshold_for(
            np.concatenate([other.targets for other in others]),
            classification.sigmoid(np.concatenate([other.logits for other in others]) / warmth),
            SENSITIVITY,
        )
        temperatures.append(warmth)
        thresholds.append(threshold)
        asis.append((part.targets, probabilities))
        changed += [
            (part.changed_targets, classification.sigmoid(values / warmth))
            for values in part.changed.values()
        ]
        seconds.append((part.second_targets, classification.sigmoid(part.second_logits / warmth)))
        found.append((part.targets, probabilities >= threshold))
    targets, positive = (np.concatenate(column) for column in zip(*found, strict=True))
    return {
        "parts": len(parts),
        "temperatures": temperatures,
        "thresholds": [round(threshold, 4) for threshold in thresholds],
        "ece": _calibration_error(asis),
        "changed_ece": _calibration_error(changed),
        "second_ece": _calibration_error(seconds),
        "wanted": SENSITIVITY,
        "sensitivity": round(float(positive[targets == 1].mean()), 5),
        "specificity": round(float((~positive[targets == 0]).mean()), 5),
    }


def _calibration_error(parts: Sequence[tuple[Targets, Logits]]) -> float | None:
    targets, probabilities = (np.concatenate(column) for column in zip(*parts, strict=True))
    return (
        round(classification.expected_calibration_error(targets, probabilities), 5) if len(targets) else None
    )


def in_words(crossed: dict[str, Any], second_name: str) -> str:
    """The figures of `judge` as sentences."""
    low, high = min(crossed["temperatures"]), max(crossed["temperatures"])
    lowest, highest = min(crossed["thresholds"]), max(crossed["thresholds"])
    errors = f"{crossed['ece']:.3f}, of changed films {crossed['changed_ece']:.3f}"
    if crossed["second_ece"] is not None:
        errors += f", of {second_name} {crossed['second_ece']:.3f}"
    return (
        f"With the temperature that the other {crossed['parts'] - 1} parts choose ({low:.2f} to {high:.2f}) the "
        f"calibration error (15 bins) is {errors}. The thresholds that find {crossed['wanted']:.0%} of the pneumonias "
        f"of the others ({lowest:.3f} to {highest:.3f}) find {crossed['sensitivity']:.1%}, with a specificity of "
        f"{crossed['specificity']:.3f}."
    )
