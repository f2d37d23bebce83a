"""Random changes that make training blind to where a film came from.

Normal and ill films of a collection come from different machines: one kind is sharper, has more black border or
more contrast. Every change here touches such a trace and leaves the lungs readable. Films are float32 (H, W) in
0..1.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image
from scipy import ndimage

from ml.images.spectrum import Film, Profile, _rings, _strengths, profile

USUAL_SIDE = 128
"""The size, in pixels, that widths of blur are given for; they grow with larger films."""

LIGHT_SHARE = 0.25
"""Films that are moved and hardly changed otherwise: without them, a film as it comes is a stranger to the network."""


EXCHANGED_SHARE = 0.5
"""Films that get the frequencies of another one, where there are others to choose from."""

COARSE = 6.0

FINE = 14.0
"""Cycles across the film: what is coarser than the first is the anatomy's, what is finer than the second the machine's;
between them the share rises evenly."""

MOST_GAIN = 6.0
"""No frequency is made stronger or weaker than by this: beyond it there is only noise to be raised."""


def exchange(film: Film, other: Profile, strength: float) -> Film:
    """The film as if the machine of another film had made it: its finer frequencies as strong as in that profile.

    Films of one class come from sharper machines; the profile alone tells the classes of a collection apart. Where each
    film may have the profile of any other, it tells less. After Yang and Soatto, "FDA", CVPR 2020, by rings, so that
    the other film's picture does not come along, and by what lies above the coarse frequencies of the lungs.
    `strength` is the share of the way, 0 to 1.
    """
    side = film.shape[0]
    spectrum = np.fft.rfft2(film)
    rings = np.minimum(_rings(side), side // 2)
    share = np.clip((np.arange(side // 2 + 1) - COARSE) / (FINE - COARSE), 0.0, 1.0)
    steps = 0.5 * strength * share * (other - _strengths(spectrum))
    gain = np.exp(np.clip(steps, -math.log(MOST_GAIN), math.log(MOST_GAIN)))
    changed = np.fft.irfft2(spectrum * gain[rings], s=film.shape)
    return np.clip(changed, 0.0, 1.0).astype(np.float32)


def augment(film: Film, generator: np.random.Generator, other: Film | None = None) -> Film:
    """One random variant of `film`, of the same shape. The same generator state gives the same variant.

    With another film, of either class by chance, half of the variants come near to its sharpness and grain.
    """
    if generator.random() < LIGHT_SHARE:
        film = _move(film, generator, 0.5)
        if other is not None and generator.random() < EXCHANGED_SHARE:
            film = exchange(film, profile(other), generator.uniform(0.5, 1.0))
        return np.clip(film ** np.float32(math.exp(generator.uniform(-0.25, 0.25))), 0.0, 1.0)
    film = _move(film, generator, 1.0)
    film = _expose(film, generator)
    exchanged = False
    if other is not None and generator.random() < EXCHANGED_SHARE:
        film = exchange(film, profile(other), generator.uniform(0.5, 1.0))
        exchanged = True
    chance = generator.random(8)
    if chance[6] < 0.6:
        film = _surroundings(film, generator)
    if chance[7] < 0.4:
        film = _shade(film, generator)
    if chance[0] < 0.3:
        film = _flatten_background(film, generator)
    if chance[1] < 0.4 and not exchanged:
        film = ndimage.gaussian_filter(film, generator.uniform(0.4, 1.8) * film.shape[0] / USUAL_SIDE)
    if chance[2] < 0.35 and not exchanged:
        film = _sharpen(film, generator)
    if chance[3] < 0.3:
        film = _letter(film, generator)
    if chance[4] < 0.35:
        film = _border(film, generator)
    if chance[5] < 0.3:
        film = _compress(film, generator)
    noise = generator.standard_normal(film.shape, dtype=np.float32)
    film = film + noise * np.float32(generator.uniform(0.0, 0.04))
    return np.clip(film, 0.0, 1.0).astype(np.float32)


def _move(film: Film, generator: np.random.Generator, strength: float) -> Film:
    """Mirror, rotate up to 8 degrees, crop, stretch and shift, in one resampling. `strength` scales all else."""
    side = film.shape[0]
    angle = math.radians(strength * generator.uniform(-8.0, 8.0))
    scale_y, scale_x = np.exp(strength * generator.uniform(-0.3, 0.14, 2))
    shift_y, shift_x = strength * generator.uniform(-0.07, 0.07, 2) * side
    if generator.random() < 0.5:
        scale_x = -scale_x
    a, b = math.cos(angle) * scale_x, math.sin(angle) * scale_y
    c, d = -math.sin(angle) * scale_x, math.cos(angle) * scale_y
    middle = (side - 1) / 2
    left = middle - (a + b) * middle + shift_x
    top = middle - (c + d) * middle + shift_y
    fill = 0.0 if generator.random() < 0.6 else float(generator.uniform(0.0, 0.35))
    moved = Image.fromarray(film).transform(
        (side, side),
        Image.Transform.AFFINE,
        (a, b, left, c, d, top),
        Image.Resampling.BILINEAR,
        fillcolor=fill,
    )
    return np.asarray(moved, dtype=np.float32)


def _expose(film: Film, generator: np.random.Generator) -> Film:
    """Another exposure and film curve: window, gamma, and an S-shaped or flat mid-range."""
    low, high = generator.uniform(0.0, 0.12), generator.uniform(0.85, 1.1)
    film = np.clip((film - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    film = film ** np.float32(math.exp(generator.uniform(-0.65, 0.65)))
    bend = np.float32(generator.uniform(-0.5, 0.5))
    return (film + bend * film * (1 - film) * (2 * film - 1)).astype(np.float32)


def _flatten_background(film: Film, generator: np.random.Generator) -> Film:
    """What the processing of some machines does: take away part of the slow changes, keep the detail."""
    wide = int(generator.integers(25, 61)) * film.shape[0] // USUAL_SIDE
    slow = ndimage.uniform_filter(film, wide, mode="nearest")
    share = np.float32(generator.uniform(-0.3, 0.6))
    return np.clip(film - share * (slow - slow.mean()), 0.0, 1.0)


def _surroundings(film: Film, generator: np.random.Generator) -> Film:
    """Fade what lies around the chest towards one grey, by chance each side.

    Arms, shoulders and the way a patient was laid down differ between the classes of a collection; without this a
    network answers from them rather than from the lungs.
    """
    side = film.shape[0]
    place = np.linspace(0.0, 1.0, side, dtype=np.float32)
    edges = generator.uniform(0.02, 0.24, 4) * (generator.random(4) < 0.7)
    soft = np.float32(generator.uniform(0.01, 0.1))
    down, across = _inside(place, edges[0], edges[1], soft), _inside(place, edges[2], edges[3], soft)
    keep = np.outer(down, across)
    if generator.random() < 0.5:
        # Only the corners: there the shoulders are, and below them the arms.
        keep = np.maximum(np.maximum(down[:, None], across[None, :]), keep)
    strength = np.float32(generator.uniform(0.4, 1.0))
    grey = np.float32(generator.uniform(0.0, 0.8))
    return (film + strength * (1 - keep) * (grey - film)).astype(np.float32)


def _inside(place: Film, low: float, high: float, soft: np.float32) -> Film:
    """1 between `low` and 1 - `high`, falling to 0 outside within `soft`."""
    rise = np.clip((place - np.float32(low)) / soft + 1, 0, 1)
    fall = np.clip((np.float32(1 - high) - place) / soft + 1, 0, 1)
    return np.asarray(rise * fall, dtype=np.float32)


def _shade(film: Film, generator: np.random.Generator) -> Film:
    """Slow changes of brightness over the film: heel effect, scatter, a grid that is not level."""
    coarse = generator.normal(0.0, generator.uniform(0.03, 0.12), (3, 3)).astype(np.float32)
    field = Image.fromarray(coarse).resize(film.shape[::-1], Image.Resampling.BICUBIC)
    return np.clip(film + np.asarray(field, dtype=np.float32), 0.0, 1.0)


def _sharpen(film: Film, generator: np.random.Generator) -> Film:
    soft = ndimage.gaussian_filter(film, generator.uniform(0.6, 2.5) * film.shape[0] / USUAL_SIDE)
    return np.clip(film + np.float32(generator.uniform(0.3, 2.0)) * (film - soft), 0.0, 1.0)


def _border(film: Film, generator: np.random.Generator) -> Film:
    """Black bars beside, above or below, as collimation and square padding leave them."""
    film = film.copy()
    side = film.shape[0]
    widths = generator.uniform(0.0, 0.12, 4) * (generator.random(4) < 0.6)
    top, bottom, left, right = (widths * side).astype(int)
    film[:top], film[side - bottom :] = 0.0, 0.0
    film[:, :left], film[:, side - right :] = 0.0, 0.0
    return film


def _letter(film: Film, generator: np.random.Generator) -> Film:
    """A bright side marker or lettering near an edge: bars as thick as the strokes of a letter."""
    film = film.copy()
    side = film.shape[0]
    height, width = generator.integers(max(3, side // 32), side // 8, 2)
    y = int(generator.uniform(0.02, 0.25) * side)
    x = int(generator.uniform(0.02, 0.2) * side)
    if generator.random() < 0.5:
        x = side - x - int(width)
    if generator.random() < 0.3:
        y = side - y - int(height)
    strokes = np.repeat(np.repeat(generator.random((4, 4)) < 0.6, height // 4 + 1, 0), width // 4 + 1, 1)
    strokes = strokes[:height, :width]
    film[y : y + height, x : x + width][strokes] = np.float32(generator.uniform(0.8, 1.0))
    return film


def _compress(film: Film, generator: np.random.Generator) -> Film:
    buffer = io.BytesIO()
    eight = Image.fromarray((film * 255).astype(np.uint8))
    eight.save(buffer, format="JPEG", quality=int(generator.integers(20, 80)))
    return np.asarray(Image.open(buffer), dtype=np.float32) / np.float32(255)
