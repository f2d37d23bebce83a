"""Which films a training shows a network, in which order, and what it says of them."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from ml.images.preprocessing import Films, Preparation, standardise
from ml.training.augmentation import augment

BATCH = 32
MIXING_SHAPE = 0.4
"""Both parameters of the beta distribution that the shares of two blended films are drawn from."""
Stored = NDArray[np.float32] | NDArray[np.uint8]
"""Films as `fitting.load_films` keeps them in memory."""


@dataclass(frozen=True)
class Also:
    """A second population: films to train with, as `share` of each batch, and others, prepared, to judge by."""

    films: Stored
    targets: NDArray[np.int64]
    share: float
    judged: Films
    judged_targets: NDArray[np.int64]


class Draws(keras.utils.PyDataset):
    """One epoch: batches drawn evenly from both classes, every film changed at random.

    With `odds` (n,) films are drawn as often as these say, within their class. Each film has a generator of its own,
    made of seed, epoch and position, so the films are the same in whatever order threads work on them. Films of a
    second population fill their share of each batch, classes drawn evenly there too, so that the population says
    nothing of the class.
    """

    def __init__(
        self,
        films: Stored,
        targets: NDArray[np.int64],
        preparation: Preparation,
        seed: int,
        epoch: int,
        also: Also | None = None,
        mixing: float = 0.0,
        exchange: bool = False,
        odds: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(workers=2, use_multiprocessing=False, max_queue_size=8)
        self.films, self.also, self.seed, self.epoch = films, also, seed, epoch
        self.exchange = exchange
        self.preparation = preparation
        self.mixing = mixing
        generator = np.random.default_rng([seed, epoch])
        batches = max(1, -(-len(films) // BATCH))
        theirs = 2 * round(BATCH * also.share / 2) if also else 0
        self.order = evenly(targets, batches, BATCH - theirs, generator, odds)
        if also:
            others = len(films) + evenly(also.targets, batches, theirs, generator)
            self.order = np.concatenate([self.order, others], axis=1)
            targets = np.concatenate([targets, also.targets])
        self.order = self.order.reshape(-1)
        self.targets = np.eye(2, dtype=np.float32)[targets[self.order]]

    def __len__(self) -> int:
        return len(self.order) // BATCH

    def __getitem__(self, batch: int) -> tuple[Films, NDArray[np.float32]]:
        rows = range(batch * BATCH, (batch + 1) * BATCH)
        films = np.stack([self._film(row) for row in rows])
        targets = self.targets[rows.start : rows.stop]
        if self.mixing:
            films, targets = self._blend(films, targets, batch)
        return films[..., None], targets

    def _blend(
        self, films: Films, targets: NDArray[np.float32], batch: int
    ) -> tuple[Films, NDArray[np.float32]]:
        generator = np.random.default_rng([self.seed, self.epoch, batch, 11])
        partners = generator.permutation(BATCH)
        shares = generator.beta(MIXING_SHAPE, MIXING_SHAPE, BATCH).astype(np.float32)
        shares = np.maximum(shares, 1 - shares)
        shares[generator.random(BATCH) >= self.mixing] = 1
        across = shares[:, None, None]
        blended = across * films + (1 - across) * films[partners]
        mixed = shares[:, None] * targets + (1 - shares[:, None]) * targets[partners]
        return np.stack([standardise(film) for film in blended]), mixed

    def _film(self, row: int) -> Films:
        generator = np.random.default_rng([self.seed, self.epoch, row])
        other = None
        if self.exchange:
            # The batch holds both classes, and a second population, in even shares.
            partner = row - row % BATCH + int(generator.integers(BATCH))
            other = self._stored(int(self.order[partner]))
        film = augment(self._stored(int(self.order[row])), generator, other)
        return standardise(self.preparation.resize(film))

    def _stored(self, place: int) -> Films:
        if self.also and place >= len(self.films):
            stored = self.also.films[place - len(self.films)]
        else:
            stored = self.films[place]
        film = np.asarray(stored, dtype=np.float32)
        return film / np.float32(255) if stored.dtype == np.uint8 else film


def evenly(
    targets: NDArray[np.int64],
    batches: int,
    size: int,
    generator: np.random.Generator,
    odds: NDArray[np.float64] | None = None,
) -> NDArray[np.intp]:
    """Rows (batches, size), both classes in turn."""
    drawn = [_draw(np.nonzero(targets == k)[0], batches * size // 2, generator, odds) for k in (0, 1)]
    return np.stack(drawn, axis=1).reshape(batches, size)


def _draw(
    rows: NDArray[np.intp],
    wanted: int,
    generator: np.random.Generator,
    odds: NDArray[np.float64] | None = None,
) -> NDArray[np.intp]:
    """`wanted` rows in random order, each as often as any other or, to the next whole number, as its odds say."""
    if odds is not None:
        mixed = generator.permutation(rows)
        ends = np.cumsum(odds[mixed])
        ticks = (np.arange(wanted) + generator.random()) / wanted * ends[-1]
        places = np.minimum(np.searchsorted(ends, ticks, side="right"), len(mixed) - 1)
        return generator.permutation(mixed[places])
    rounds = [generator.permutation(rows) for _ in range(-(-wanted // len(rows)))]
    return np.concatenate(rounds)[:wanted]
