"""Fitting the gate: principal components of training films, and a head taught with films turned, inverted or faked.

Only training films teach it, and films of a second population that trains; the limits come from other films. Pictures
of the kind "other" are drawn by chance (`ml.gate.negatives.drawn`), and where packages that carry pictures
are installed, cut from
those (`ml.gate.negatives.package_pictures`); where one carries the CT of a chest, it is seen from the side and
obliquely
(`ml.gate.negatives.drr`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier

from ml.gate.negatives import drawn as drawn_negatives
from ml.gate.negatives import drr
from ml.gate.negatives.drr import Chest
from ml.gate.negatives.package_pictures import SLICES, Stranger
from ml.images.preprocessing import Films, resize, standardise
from ml.serving.gate import FINE_SIDE, KINDS, GateParameters, Likeness, edges, reduced, tones
from ml.training.augmentation import augment

COMPONENTS = 64
EDGE_COMPONENTS = 96
HIDDEN = 128
HEADS = 4
"""Heads whose log odds are averaged: where films are strange to them, single heads err each in its own way."""
VARIANTS = 2
"""How many changed copies of each film teach the head."""
PASSES = 25
MARGIN = 1.4
"""Limits on what the components say lie this factor beyond the films that set them: films of other hospitals lie
farther out than those, and most of what is no film is far beyond."""
KIND_SHARES = (0.0, 0.1, 0.15, 0.1, 0.15, 0.4, 0.1)
"""How often each of `ml.serving.gate.KINDS` is drawn to teach, beside as many films as they are together."""
STRANGERS = 0.3
"""Share of pictures of packages among the others, where there are any."""
DRAWN_BESIDE = "chests from the side"
SLICED = 0.25
"""Share of slices of the CTs of chests among the others, where there are such CTs."""
PROJECTED = 0.8
"""Share of the films from the side that are taken of a CT and not drawn, where there is one."""
OBLIQUE = 0.3
"""Share of oblique ones among these."""
FRONTS = 0.1
"""How many chests of the same CTs, seen from the front, teach as films, as a share of these."""


def fit_gate(
    films: Films, seed: int, strangers: Sequence[Stranger] = (), chests: Sequence[Chest] = ()
) -> GateParameters:
    """Fit on training films (n, side, side) in 0..1. The limits are open until `with_limits` sets them."""
    generator = np.random.default_rng([seed, 101])
    upright = [_fine(film) for film in films] + [
        _fine(_framed(augment(film, generator), generator)) for film in films for _ in range(VARIANTS)
    ]
    if chests:
        front = drr.films(chests, "front", round(FRONTS * len(films)), generator)
        upright += [_fine(augment(film, generator)) for film in front]
    others, kinds = _others(films, strangers, chests, len(upright), generator)
    coarse = np.stack([reduced(film) for film in upright])
    most = len(upright) - 1
    pca = _fit_components(coarse, min(COMPONENTS, most))
    scale = np.sqrt(np.maximum(pca.explained_variance_, 1e-6))
    scores = pca.transform(np.concatenate([coarse, np.stack([reduced(film) for film in others])])) / scale
    directions = np.stack([edges(film) for film in upright + others])
    edge_pca = _fit_components(directions, min(EDGE_COMPONENTS, most))
    edge_components = edge_pca.components_ / np.sqrt(np.maximum(edge_pca.explained_variance_, 1e-6))[:, None]
    greys = np.stack([tones(film) for film in upright + others])
    tone_mean, tone_scale = (how(greys[: len(upright)], axis=0) for how in (np.mean, np.std))
    tone_scale = np.maximum(tone_scale, 1e-6)
    seen = np.concatenate(
        [scores, (directions - edge_pca.mean_) @ edge_components.T, (greys - tone_mean) / tone_scale], axis=1
    )
    answers = np.concatenate([np.zeros(len(upright), int), kinds])
    heads = [_head(seen, answers, seed + place) for place in range(HEADS)]
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
        edge_mean=_single(edge_pca.mean_),
        edge_components=_single(edge_components),
        tone_mean=_single(tone_mean),
        tone_scale=_single(tone_scale),
    )


def _fit_components(pictures: Films, count: int) -> PCA:
    """Of the rows, exactly, by the way that takes less: few pictures have a small matrix, many a small covariance."""
    few = len(pictures) < pictures.shape[1]
    return PCA(count, svd_solver="full" if few else "covariance_eigh").fit(pictures)


def _head(scores: Films, answers: NDArray[np.int64], seed: int) -> MLPClassifier:
    head = MLPClassifier((HIDDEN,), alpha=1e-3, batch_size=min(256, len(scores)), random_state=seed)
    for _ in range(PASSES):
        head.partial_fit(scores, answers, classes=np.arange(len(KINDS)))
    return head


def _single(values: ArrayLike) -> Films:
    return np.asarray(values, dtype=np.float32)


def with_limits(
    parameters: GateParameters,
    groups: Sequence[Sequence[Likeness]],
    quantile: float = 0.998,
    odds_quantile: float = 0.985,
) -> GateParameters:
    """Set the limits so that in each of `groups` about `quantile` of the films stay far under the limits on what the
    components say, and `odds_quantile` have the odds for a film; that limit is never above even odds.
    """
    rest = max(float(np.quantile([found.rest for found in group], quantile)) for group in groups)
    distance = max(float(np.quantile([found.distance for found in group], quantile)) for group in groups)
    odds = [
        np.quantile(np.stack([found.odds for found in group]), 1 - odds_quantile, axis=0) for group in groups
    ]
    return replace(
        parameters,
        rest_limit=_single(rest * MARGIN),
        distance_limit=_single(distance * MARGIN),
        film_limits=_single(np.minimum(0.0, np.min(odds, axis=0) * MARGIN)),
    )


def turned(film: Films, kind: str) -> Films:
    """The film turned or inverted as `kind` (of `ml.serving.gate.KINDS`) says."""
    turns: dict[str, Callable[[Films], Films]] = {
        "film": lambda f: f,
        "turned left": lambda f: np.rot90(f, 1),
        "upside down": lambda f: np.rot90(f, 2),
        "turned right": lambda f: np.rot90(f, 3),
        "inverted": lambda f: (f.max() + f.min()) - f,
    }
    return np.ascontiguousarray(turns[kind](film))


def cut(stranger: Stranger, generator: np.random.Generator) -> Films:
    """A part of a picture, (128, 128) in 0..1: slices whole or nearly so, others also small parts, mirrored."""
    picture = stranger.picture
    whole = generator.uniform(0.75, 1.0) if stranger.kind == SLICES else generator.uniform(0.3, 1.0)
    height, width = (max(1, int(n * whole * generator.uniform(0.8, 1.0))) for n in picture.shape)
    top = int(generator.integers(0, picture.shape[0] - height + 1))
    left = int(generator.integers(0, picture.shape[1] - width + 1))
    part = picture[top : top + height, left : left + width]
    part = part[:, ::-1] if generator.random() < 0.5 else part
    return resize(np.ascontiguousarray(part), drawn_negatives.SIDE)


def square(picture: Films) -> Films:
    """A whole picture, (128, 128) in 0..1."""
    return resize(picture, drawn_negatives.SIDE)


def _others(
    films: Films,
    strangers: Sequence[Stranger],
    chests: Sequence[Chest],
    wanted: int,
    generator: np.random.Generator,
) -> tuple[list[Films], NDArray[np.int64]]:
    """Pictures that are no upright film, as the gate sees them, and their kinds."""
    pictures, kinds = [], []
    for _ in range(wanted):
        kind = int(generator.choice(len(KINDS), p=KIND_SHARES))
        if KINDS[kind] == "other":
            picture = _other(films, strangers, chests, generator)
        elif KINDS[kind] == "from the side":
            picture = _beside(films, chests, generator)
        else:
            film = augment(films[int(generator.integers(len(films)))], generator)
            picture = turned(film, KINDS[kind])
        pictures.append(_fine(picture))
        kinds.append(kind)
    return pictures, np.array(kinds)


def _beside(films: Films, chests: Sequence[Chest], generator: np.random.Generator) -> Films:
    if chests and generator.random() < PROJECTED:
        view: drr.View = "oblique" if generator.random() < OBLIQUE else "side"
        (found,) = drr.films(chests, view, 1, generator)
        return augment(found, generator)
    return drawn_negatives.draw(DRAWN_BESIDE, films, generator)


def _other(
    films: Films, strangers: Sequence[Stranger], chests: Sequence[Chest], generator: np.random.Generator
) -> Films:
    if chests and generator.random() < SLICED:
        (slice_,) = drr.slices(chests, 1, generator)
        return augment(slice_, generator)
    if strangers and generator.random() < STRANGERS:
        # Each kind as often as any other, however many pictures of it there are.
        kinds = sorted({stranger.kind for stranger in strangers})
        kind = kinds[int(generator.integers(len(kinds)))]
        some = [stranger for stranger in strangers if stranger.kind == kind]
        picture = cut(some[int(generator.integers(len(some)))], generator)
        curved = np.clip(picture, 0, 1) ** np.float32(np.exp(generator.uniform(-0.6, 0.6)))
        return 1 - curved if generator.random() < 0.2 else curved
    names = [name for name in drawn_negatives.KINDS if name != DRAWN_BESIDE]
    return drawn_negatives.draw(names[int(generator.integers(len(names)))], films, generator)


def _framed(film: Films, generator: np.random.Generator) -> Films:
    """By chance, bars beside or around the film, as wide as a fifth, that are black, grey or white."""
    if generator.random() < 0.8:
        return film
    side = film.shape[0]
    across, along = (generator.uniform(0.0, 0.2, 2) * side).astype(int)
    picture = Image.new("F", (side, side), float(generator.choice([0.0, 0.0, 0.2, 1.0])))
    inside = (side - 2 * int(across), side - 2 * int(along))
    picture.paste(Image.fromarray(film).resize(inside, Image.Resampling.BOX), (int(across), int(along)))
    return np.asarray(picture, dtype=np.float32)


def _fine(film: Films) -> Films:
    return standardise(resize(film, FINE_SIDE))
