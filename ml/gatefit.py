"""Fitting the gate: principal components of training films, and a head taught with films turned, inverted or faked.

Only training films teach it; the limits come from other films. Pictures of the kind "other" are drawn by chance:
noise, gradients, shapes, text-like lines, overlapping leaves (which have the statistics of photographs), and films cut
so far that they are no whole chest. No photograph or foreign picture is used, so those can measure it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier

from ml.augment import augment
from ml.gate import KINDS, SIDE, GateParameters, Likeness
from ml.images import resize, standardise

Films = NDArray[np.float32]
Drawing = NDArray[np.float64]
COMPONENTS = 64
HIDDEN = 48
HEADS = 4
"""Heads whose log odds are averaged: where films are strange to them, single heads err each in its own way."""
VARIANTS = 3
"""How many changed copies of each film teach the head."""
PASSES = 15
MARGIN = 1.15
"""Limits lie this factor beyond the films that set them."""


def fit_gate(films: Films, seed: int) -> GateParameters:
    """Fit on training films (n, side, side) in 0..1. The limits are open until `with_limits` sets them."""
    generator = np.random.default_rng([seed, 101])
    upright = np.concatenate(
        [_reduced(films)] + [_reduced(_changed(films, generator)) for _ in range(VARIANTS)]
    )
    others, kinds = _others(films, len(upright), generator)
    components = min(COMPONENTS, len(upright) - 1)
    pca = PCA(components, svd_solver="covariance_eigh", random_state=seed).fit(upright)
    scale = np.sqrt(np.maximum(pca.explained_variance_, 1e-6))
    pictures = np.concatenate([upright, others])
    scores = pca.transform(pictures) / scale
    answers = np.concatenate([np.zeros(len(upright), int), kinds])
    heads = [_head(scores, answers, seed + place) for place in range(HEADS)]
    return GateParameters(
        mean=_single(pca.mean_),
        components=_single(pca.components_),
        scale=_single(scale),
        hidden_kernel=_single(np.concatenate([head.coefs_[0] for head in heads], axis=1)),
        hidden_bias=_single(np.concatenate([head.intercepts_[0] for head in heads])),
        kind_kernel=_single(np.concatenate([head.coefs_[1] for head in heads]) / HEADS),
        kind_bias=_single(np.mean([head.intercepts_[1] for head in heads], axis=0)),
        rest_limit=_single(np.inf),
        distance_limit=_single(np.inf),
        film_limits=_single(np.full(len(KINDS) - 1, -np.inf)),
    )


def _head(scores: Films, answers: NDArray[np.int64], seed: int) -> MLPClassifier:
    head = MLPClassifier((HIDDEN,), alpha=1e-3, batch_size=min(256, len(scores)), random_state=seed)
    for _ in range(PASSES):
        head.partial_fit(scores, answers, classes=np.arange(len(KINDS)))
    return head


def _single(values: ArrayLike) -> Films:
    return np.asarray(values, dtype=np.float32)


def with_limits(
    parameters: GateParameters, groups: Sequence[Sequence[Likeness]], quantile: float = 0.998
) -> GateParameters:
    """Set the limits so that in each of `groups` about `quantile` of the films pass each limit, and a margin on."""
    rest = max(float(np.quantile([found.rest for found in group], quantile)) for group in groups)
    distance = max(float(np.quantile([found.distance for found in group], quantile)) for group in groups)
    odds = [np.quantile(np.stack([found.odds for found in group]), 1 - quantile, axis=0) for group in groups]
    return replace(
        parameters,
        rest_limit=_single(rest * MARGIN),
        distance_limit=_single(distance * MARGIN),
        film_limits=_single(np.minimum(0.0, np.min(odds, axis=0) * MARGIN)),
    )


def turned(film: Films, kind: str) -> Films:
    """The film turned or inverted as `kind` (of `ml.gate.KINDS`) says."""
    turns: dict[str, Callable[[Films], Films]] = {
        "film": lambda f: f,
        "turned left": lambda f: np.rot90(f, 1),
        "upside down": lambda f: np.rot90(f, 2),
        "turned right": lambda f: np.rot90(f, 3),
        "inverted": lambda f: (f.max() + f.min()) - f,
    }
    return np.ascontiguousarray(turns[kind](film))


def _others(films: Films, wanted: int, generator: np.random.Generator) -> tuple[Films, NDArray[np.int64]]:
    """Reduced pictures that are no upright film, and their kinds."""
    pictures, kinds = [], []
    for _ in range(wanted):
        kind = int(generator.choice([1, 2, 3, 4, 5], p=[0.14, 0.2, 0.14, 0.2, 0.32]))
        if KINDS[kind] == "other":
            picture = other(films, generator)
        else:
            film = augment(films[int(generator.integers(len(films)))], generator)
            picture = turned(film, KINDS[kind])
        pictures.append(standardise(resize(picture, SIDE)).reshape(-1))
        kinds.append(kind)
    return np.stack(pictures), np.array(kinds)


def other(films: Films, generator: np.random.Generator) -> Films:
    """One picture (128, 128) in 0..1 that is no chest film."""
    makers = (_noise, _gradient, _shapes, _lines, _leaves, _leaves)
    choice = int(generator.integers(len(makers) + 2))
    if choice >= len(makers):
        return _cut(films[int(generator.integers(len(films)))], generator)
    picture = makers[choice](generator)
    return np.clip(picture, 0.0, 1.0).astype(np.float32)


def _noise(generator: np.random.Generator) -> Drawing:
    grain = generator.standard_normal((128, 128))
    soft = ndimage.gaussian_filter(grain, float(np.exp(generator.uniform(-1.0, 3.2))), mode="wrap")
    return np.asarray(0.5 + 0.2 * soft / max(float(soft.std()), 1e-6))


def _gradient(generator: np.random.Generator) -> Drawing:
    y, x = np.mgrid[0:128, 0:128] / 127.0
    angle = generator.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)
    if generator.random() < 0.5:
        centre = generator.uniform(0.2, 0.8, 2)
        ramp = np.hypot(x - centre[0], y - centre[1]) * generator.choice([-1, 1])
    return np.asarray(0.5 + ramp * generator.uniform(0.4, 1.2) + generator.normal(0, 0.02, (128, 128)))


def _shapes(generator: np.random.Generator) -> Drawing:
    """A few rectangles and ellipses on a plain ground: drawings, charts, screens."""
    y, x = np.mgrid[0:128, 0:128]
    picture: NDArray[np.float64] = np.full((128, 128), generator.random())
    for _ in range(int(generator.integers(1, 9))):
        cy, cx, ry, rx = *generator.uniform(0, 128, 2), *generator.uniform(4, 50, 2)
        if generator.random() < 0.5:
            inside = (abs(y - cy) < ry) & (abs(x - cx) < rx)
        else:
            inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        picture[inside] = generator.random()
    return picture


def _lines(generator: np.random.Generator) -> Drawing:
    """Rows of dark dashes on a light ground, or the reverse: pages of text and tables."""
    picture = np.ones((128, 128))
    pitch = int(generator.integers(5, 16))
    for top in range(int(generator.integers(2, 20)), 128 - pitch, pitch):
        filled = generator.random(128) < generator.uniform(0.3, 0.8)
        filled[int(generator.integers(40, 128)) :] = False
        filled[: int(generator.integers(0, 16))] = False
        picture[top : top + pitch // 2, filled] = generator.uniform(0.0, 0.3)
    return 1 - picture if generator.random() < 0.4 else picture


def _leaves(generator: np.random.Generator) -> Drawing:
    """Overlapping discs of power-law sizes: the dead-leaves model of natural pictures (Lee et al., IJCV 2001)."""
    y, x = np.mgrid[0:128, 0:128]
    picture = np.full((128, 128), generator.random())
    for _ in range(int(generator.integers(15, 70))):
        radius = 4 / generator.uniform(0.05, 1.0)
        cy, cx = generator.uniform(-10, 138, 2)
        stretch = generator.uniform(0.4, 2.5)
        inside = (y - cy) ** 2 * stretch + (x - cx) ** 2 / stretch < radius**2
        slope = generator.normal(0, 0.3) * (x - cx) / 128 + generator.normal(0, 0.3) * (y - cy) / 128
        picture[inside] = (generator.random() + slope)[inside]
    return np.asarray(ndimage.gaussian_filter(picture, generator.uniform(0.0, 2.0)))


def _cut(film: Films, generator: np.random.Generator) -> Films:
    """A part of a film too small to be a chest, or four films on one sheet."""
    side = film.shape[0]
    if generator.random() < 0.25:
        half = film[::2, ::2]
        return np.block([[half, half[:, ::-1]], [half, half]])
    size = int(side * generator.uniform(0.2, 0.45))
    top, left = generator.integers(0, side - size, 2)
    return resize(film[top : top + size, left : left + size], side)


def _changed(films: Films, generator: np.random.Generator) -> Films:
    return np.stack([augment(film, generator) for film in films])


def _reduced(films: Films) -> Films:
    return np.stack([standardise(resize(film, SIDE)).reshape(-1) for film in films])
