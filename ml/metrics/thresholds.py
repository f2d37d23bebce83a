"""The threshold that reaches a wanted sensitivity on given films, and what it costs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def threshold_for(targets: ArrayLike, probabilities: ArrayLike, sensitivity: float) -> float:
    """The highest threshold (0 to 1, six digits) at which at least `sensitivity` of the ill films are found.

    Raises ValueError where no film is ill, or where `sensitivity` is not above 0 and at most 1.
    """
    if not 0 < sensitivity <= 1:
        raise ValueError("A sensitivity lies above 0 and is at most 1.")
    ill = np.sort(np.asarray(probabilities, float)[np.asarray(targets) == 1])[::-1]
    if not len(ill):
        raise ValueError("No film shows pneumonia, so no sensitivity can be reached.")
    # 0.9 of 10 films are 9, though 0.9 * 10 is a little more than that in binary.
    wanted = math.ceil(sensitivity * len(ill) - 1e-9)
    lowest = float(ill[wanted - 1])
    return min(max(math.floor(lowest * 1e6) / 1e6, 1e-6), 1 - 1e-6)
