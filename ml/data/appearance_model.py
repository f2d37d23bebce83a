"""Draw synthetic films from the mean and variation of aligned real ones."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.decomposition import PCA

from ml.data.dataset import LabelledFilm
from ml.images.preprocessing import fit, resize
from ml.images.reader import read_radiograph

Array = NDArray[np.float32]

SHAPE_SIDE = 64

LOOK_SIDE = 192

WIDTH, HEIGHT = 576, 480

FITTED = 500

SHAPES = 12

LOOKS = 40

TEXTURE = 0.45
"""Share of the texture's own strength. Its phases are drawn by chance, so at full strength it looks like mottle."""

SHAPE_REACH, LOOK_REACH = 1.3, 1.6
"""Scores are cut off at so many deviations: beyond, shapes fold and films look like nobody's."""


class Painter:
    """The appearance model of one class."""

    def __init__(self, films: Sequence[LabelledFilm], generator: np.random.Generator) -> None:
        chosen = generator.permutation(len(films))[:FITTED]
        large = _read_all([films[i] for i in chosen], LOOK_SIDE)
        fields, self.mean_film = align(np.stack([resize(film, SHAPE_SIDE) for film in large]))
        looks = np.stack(
            [warp(film, enlarge(field, LOOK_SIDE)) for film, field in zip(large, fields, strict=True)]
        )
        self.shapes = PCA(min(SHAPES, len(films) - 1, len(chosen) - 1)).fit(fields.reshape(len(fields), -1))
        self.looks = PCA(min(LOOKS, len(chosen) - 1), svd_solver="randomized", random_state=0)
        scores = self.looks.fit_transform(looks.reshape(len(looks), -1))
        left = looks.reshape(len(looks), -1) - self.looks.inverse_transform(scores)
        left = left.reshape(looks.shape)
        self.grain = ndimage.gaussian_filter(np.sqrt((left**2).mean(axis=0)), 3.0)
        self.spectrum = np.sqrt(
            np.mean([np.abs(np.fft.rfft2(film / (self.grain + 1e-4))) ** 2 for film in left], 0)
        )

    def paint(self, generator: np.random.Generator) -> Array:
        """One film (HEIGHT, WIDTH) in 0..1."""
        look = _sample(self.looks, LOOK_REACH, generator).reshape(LOOK_SIDE, LOOK_SIDE)
        look = look + TEXTURE * self.grain * self._texture(generator)
        field = _sample(self.shapes, SHAPE_REACH, generator).reshape(2, SHAPE_SIDE, SHAPE_SIDE)
        film = warp(look.astype(np.float32), enlarge(inverse(field), LOOK_SIDE))
        picture = Image.fromarray(film).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        film = np.asarray(picture, dtype=np.float32)
        film = film + 0.35 * (film - ndimage.gaussian_filter(film, 2.5))
        film = _stretched(film)
        quantum = ndimage.gaussian_filter(generator.standard_normal(film.shape), 0.7)
        film = film + 0.018 * quantum * np.sqrt(np.clip(film, 0.02, 1.0))
        return np.clip(film, 0.0, 1.0).astype(np.float32)

    def _texture(self, generator: np.random.Generator) -> Array:
        white = np.fft.rfft2(generator.standard_normal((LOOK_SIDE, LOOK_SIDE)))
        texture = np.fft.irfft2(white * self.spectrum, s=(LOOK_SIDE, LOOK_SIDE))
        return np.asarray(texture / texture.std(), dtype=np.float32)


def align(films: Array, rounds: int = 3, steps: int = 50) -> tuple[Array, Array]:
    """Fields (n, 2, h, w), in pixels, that warp each film (n, h, w) onto a common mean, and that mean."""
    flattened: Array = np.stack([_even(film) for film in films])
    fields = np.zeros((len(films), 2, *films.shape[1:]), dtype=np.float32)
    for _ in range(rounds):
        mean = np.mean([warp(film, field) for film, field in zip(flattened, fields, strict=True)], axis=0)
        with ThreadPoolExecutor(max_workers=2) as pool:
            found = pool.map(demons, flattened, repeat(mean), repeat(steps))
            fields = np.stack(list(found))
        fields -= fields.mean(axis=0)
    return fields, np.asarray(mean, dtype=np.float32)


def demons(film: Array, target: Array, steps: int) -> Array:
    """The smooth field (2, h, w), in pixels, by which `film` looks most like `target`."""
    field = np.zeros((2, *film.shape), dtype=np.float32)
    for _ in range(steps):
        moved = warp(film, field)
        apart = target - moved
        slope = np.asarray(np.gradient(moved), dtype=np.float32)
        push = apart * slope / ((slope**2).sum(axis=0) + 0.4 * apart**2 + 1e-3)
        field += ndimage.gaussian_filter(push, (0, 1.5, 1.5))
        field = ndimage.gaussian_filter(field, (0, 1.6, 1.6), mode="nearest")
    return field


def warp(film: Array, field: Array) -> Array:
    """`film` (h, w) read at every place moved by `field` (2, h, w), in pixels."""
    places = np.indices(film.shape, dtype=np.float32) + field
    return np.asarray(ndimage.map_coordinates(film, places, order=1, mode="reflect"), dtype=np.float32)


def inverse(field: Array) -> Array:
    """The field that undoes `field`, by fixed-point iteration (Chen et al., Medical Physics 35, 2008)."""
    back = -field
    for _ in range(15):
        back = -np.stack([warp(axis, back) for axis in field])
    return np.asarray(back, dtype=np.float32)


def enlarge(field: Array, side: int) -> Array:
    scale = side / field.shape[-1]
    axes = [
        Image.fromarray(axis).resize((side, side), Image.Resampling.BICUBIC)
        for axis in np.asarray(field, np.float32)
    ]
    return np.stack([np.asarray(axis, dtype=np.float32) * scale for axis in axes])


def _sample(model: PCA, reach: float, generator: np.random.Generator) -> Array:
    scores = np.clip(generator.standard_normal(len(model.explained_variance_)), -reach, reach)
    return np.asarray(
        model.mean_ + (scores * np.sqrt(model.explained_variance_)) @ model.components_, np.float32
    )


def _even(film: Array) -> Array:
    """Shape without exposure: slow changes taken away, contrast levelled."""
    detail = film - ndimage.gaussian_filter(film, 10.0)
    return np.asarray(detail / (np.sqrt(ndimage.gaussian_filter(detail**2, 10.0)) + 0.02), dtype=np.float32)


def _stretched(film: Array) -> Array:
    low, high = np.percentile(film, [0.5, 99.7])
    return np.asarray((film - low) / max(float(high - low), 1e-6), dtype=np.float32)


def _read_all(films: Sequence[LabelledFilm], side: int) -> Array:
    with ThreadPoolExecutor(max_workers=2) as pool:
        return np.stack(list(pool.map(lambda film: fit(read_radiograph(film.path), side), films)))
