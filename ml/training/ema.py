"""The running average of a network's weights while it learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np


class Average(keras.callbacks.Callback):
    """The running average of all weights, also those of the normalisations, over the steps of training.

    It forgets quickly in the first steps, as `1 - 9 / (10 + step)`, so that it does not hold on to the start.
    (Polyak and Juditsky, SIAM J. Control Optim. 30, 1992; Tarvainen and Valpola, NeurIPS 2017.)
    """

    def __init__(self, network: keras.Model, keep: float) -> None:
        super().__init__()
        self.network, self.keep, self.step = network, keep, 0
        self.weights = [np.array(weights) for weights in network.get_weights()]

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.step += 1
        keep = np.float32(min(self.keep, (1 + self.step) / (10 + self.step)))
        # On JAX the network's own variables are empty during an epoch; asking for `model` fills them.
        for mean, now in zip(self.weights, self.model.get_weights(), strict=True):
            mean *= keep
            mean += (1 - keep) * now

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network with the average as its weights, for as long as this lasts."""
        now = self.network.get_weights()
        self.network.set_weights(self.weights)
        try:
            yield
        finally:
            self.network.set_weights(now)

    def save(self, path: Path) -> None:
        unfinished = path.with_name("unfinished.average.npz")
        np.savez(unfinished, np.array(self.step), *self.weights)
        unfinished.replace(path)

    def load(self, path: Path) -> None:
        with np.load(path) as kept:
            step, *self.weights = (kept[name] for name in kept.files)
        self.step = int(step)
