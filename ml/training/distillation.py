"""What versions say of the films that a training draws, for a network that is to answer as their mean does.

Several networks that learned apart answer better together than any of them, above all on films of another kind, and
one network can take over what they say: it is shown the same changed and blended films as they are and given their
answer for the label (Hinton et al., "Distilling the knowledge in a neural network", arXiv 1503.02531; Beyer et al.,
"Knowledge distillation: a good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.artifact import folder as artifact_folder
from ml.errors import TrainingError
from ml.images.preprocessing import Preparation
from ml.metrics.classification import sigmoid
from ml.serving.runtime import Films, Runtime, runtime_of


class Teachers:
    """Versions that answer together, as they are served."""

    def __init__(self, versions: Sequence[Path], preparation: Preparation) -> None:
        """Raises `ArtifactError` for a folder that is no version, `TrainingError` for one that takes other films."""
        self.cards = [artifact_folder.check(folder) for folder in versions]
        self._members: list[tuple[Runtime, float]] = []
        for folder, card in zip(versions, self.cards, strict=True):
            if Preparation(card.input_size, card.preprocessing) != preparation:
                raise TrainingError(
                    f"{card.name} takes films of {card.input_size} pixels, resized by {card.preprocessing}; to teach "
                    f"here, it would have to take {preparation.side} and {preparation.rule}."
                )
            self._members.append((runtime_of(folder), float(card.calibration["temperature"])))
        self.described = [
            {"name": card.name, "hash": artifact_folder.artifact_hash(folder)}
            for folder, card in zip(versions, self.cards, strict=True)
        ]
        self._turn = threading.Lock()

    def __call__(self, films: Films) -> NDArray[np.float64]:
        """(n,): probability of pneumonia for standardised films (n, side, side, 1), by the mean of the calibrated
        logits."""
        with self._turn:
            said = [runtime.run(films).logits / temperature for runtime, temperature in self._members]
        return sigmoid(np.mean(said, axis=0, dtype=np.float64))
