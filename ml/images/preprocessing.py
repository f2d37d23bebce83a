"""From a decoded film to the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images.radiograph import Pixels, Radiograph

Films = NDArray[np.float32]
"""(n, side, side, 1): films as a network takes them."""


AREA_MEANS = "stretch-area-1"

SMOOTHED = "stretch-smooth-2"

PREPROCESSINGS = (AREA_MEANS, SMOOTHED)
"""Rules of resizing, by the names that model cards and receipts give them: weights are good for one of them."""

COPY_SIDE = 224
"""Side, in pixels, of the copies that the shipped models learned from."""


def fit(radiograph: Radiograph, side: int) -> NDArray[np.float32]:
    """The film as (side, side) float32 in 0..1, by area means: what gate, fingerprint and figures of a picture see.

    Height and width are stretched independently, because the films that the model learned from were. Each result
    is the mean of the area that it covers, so a film of 2,000 pixels and its 224 pixel copy give nearly the same.
    """
    return resize(radiograph.pixels, side) / _full(radiograph)


def _full(radiograph: Radiograph) -> np.float32:
    return np.float32(255.0 if radiograph.pixels.dtype == np.uint8 else 65535.0)


@dataclass(frozen=True)
class Preparation:
    """How a network takes its films: stretched to `side` x `side` by the rule of this name, then standardised."""

    side: int
    rule: str

    def __call__(self, film: Radiograph) -> NDArray[np.float32]:
        """(side, side), mean 0 and deviation 1."""
        return standardise(self.fit(film))

    def fit(self, film: Radiograph) -> NDArray[np.float32]:
        """(side, side) in 0..1, not yet standardised."""
        return self.resize(film.pixels) / _full(film)

    def resize(self, pixels: Pixels | NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) as (side, side) float32, in the units of the input."""
        return smooth(pixels, self.side) if self.rule == SMOOTHED else resize(pixels, self.side)


def smooth(pixels: Pixels | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A (H, W) array as (side, side) float32, in the units of the input, by way of the size of a training copy.

    Area means take one or two pixels of a copy in turn and so leave a pattern in it that no film of full size has.
    Triangles as wide as two results do not, and they come nearest to how the copies were made.
    """
    if pixels.dtype != np.float32 and min(pixels.shape) >= 4 * COPY_SIDE:
        pixels = _means(pixels, 2 * COPY_SIDE)
    picture = Image.fromarray(np.asarray(pixels, dtype=np.float32))
    for wanted in (COPY_SIDE, side):
        picture = picture.resize((wanted, wanted), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.float32)


def resize(pixels: Pixels | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Area means of a (H, W) array as (side, side) float32, in the units of the input.

    Each result is the mean of the whole pixels whose centres lie in its area. A side that is shorter than the
    result is enlarged.
    """
    if pixels.dtype != np.float32 and min(pixels.shape) >= side:
        return _means(pixels, side)
    picture = Image.fromarray(np.asarray(pixels, dtype=np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX), dtype=np.float32)


def _means(pixels: Pixels | NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """What Pillow's box filter gives, from sums of whole numbers: twenty times as fast on a film of full size."""
    rows, columns = (np.floor(np.arange(side + 1) * (n / side) + 0.5).astype(np.intp) for n in pixels.shape)
    bands = np.stack([pixels[i:j].sum(axis=0, dtype=np.uint32) for i, j in pairwise(rows)])
    sums = np.add.reduceat(bands, columns[:-1], axis=1, dtype=np.uint32)
    return (sums / np.outer(np.diff(rows), np.diff(columns))).astype(np.float32)


def standardise(film: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean 0 and deviation 1 within the film, so that exposure and contrast do not move the answer.

    A film of one single grey has no deviation: it becomes all zeros.
    """
    centred = film - film.mean(dtype=np.float64).astype(np.float32)
    deviation = float(centred.std(dtype=np.float64))
    if deviation < 1e-6:
        return np.zeros_like(centred)
    return (centred / np.float32(deviation)).astype(np.float32)


def ready(films: Sequence[Radiograph], preparation: Preparation) -> Films:
    """Films as the network takes them: (n, side, side, 1), standardised."""
    return np.stack([preparation(film) for film in films])[..., None]
