"""Pictures drawn by chance that are no chest film, to teach and to measure the gate: none shows anybody.

All are (128, 128) in 0..1. Some have the coarse make-up of what is uploaded by mistake: slices of a body or a head,
films from the side, one half of a chest, charts, text, photographs (as overlapping leaves).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage, special

from ml.images.preprocessing import Films, resize

Drawing = NDArray[np.float64]
SIDE = 128
_Y, _X = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1.0)
_WORDS = (
    "findings",
    "heart",
    "lungs",
    "normal",
    "no",
    "effusion",
    "report",
    "date",
    "left",
    "12",
    "2026",
    "mg",
)


def draw(kind: str, films: Films, generator: np.random.Generator) -> Films:
    """One picture of a kind of `KINDS`; `films` (n, side, side) are cut up for some of them."""
    return np.clip(KINDS[kind](films, generator), 0.0, 1.0).astype(np.float32)


def _plain(
    maker: Callable[[np.random.Generator], Drawing],
) -> Callable[[Films, np.random.Generator], Drawing]:
    return lambda _, generator: maker(generator)


def _noise(generator: np.random.Generator) -> Drawing:
    grain = generator.standard_normal((SIDE, SIDE))
    soft = ndimage.gaussian_filter(grain, float(np.exp(generator.uniform(-1.0, 3.2))), mode="wrap")
    return np.asarray(0.5 + 0.2 * soft / max(float(soft.std()), 1e-6))


def _gradient(generator: np.random.Generator) -> Drawing:
    angle = generator.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * (_X - 0.5) + np.sin(angle) * (_Y - 0.5)
    if generator.random() < 0.5:
        centre = generator.uniform(0.2, 0.8, 2)
        ramp = np.hypot(_X - centre[0], _Y - centre[1]) * generator.choice([-1, 1])
    return np.asarray(0.5 + ramp * generator.uniform(0.4, 1.2) + generator.normal(0, 0.02, (SIDE, SIDE)))


def _shapes(generator: np.random.Generator) -> Drawing:
    """A few rectangles and ellipses on a plain ground: drawings, screens."""
    picture: Drawing = np.full((SIDE, SIDE), generator.random())
    for _ in range(int(generator.integers(1, 9))):
        cy, cx, ry, rx = *generator.uniform(0, 1, 2), *generator.uniform(0.03, 0.4, 2)
        box = (abs(_Y - cy) < ry) & (abs(_X - cx) < rx)
        inside = box if generator.random() < 0.5 else _ellipse(cy, cx, ry, rx) < 1
        picture[inside] = generator.random()
    return picture


def _chart(generator: np.random.Generator) -> Drawing:
    """Bars, lines or points between axes."""
    ground, ink = (1.0, 0.0) if generator.random() < 0.7 else (0.1, 0.9)
    picture = Image.new("F", (SIDE, SIDE), ground)
    pen = ImageDraw.Draw(picture)
    left, bottom = int(generator.integers(8, 24)), SIDE - int(generator.integers(8, 24))
    pen.line((left, 6, left, bottom, SIDE - 4, bottom), fill=ink)
    values = bottom - generator.random(int(generator.integers(4, 16))) * (bottom - 12)
    places = np.linspace(left + 4, SIDE - 12, len(values))
    style = generator.integers(3)
    for place, value in zip(places.tolist(), values.tolist(), strict=True):
        grey = float(generator.uniform(0.2, 0.8))
        if style == 0:
            pen.rectangle((place, value, place + 70 / len(values), bottom), fill=grey)
        elif style == 1:
            pen.ellipse((place - 2, value - 2, place + 2, value + 2), fill=ink)
    if style == 2:
        pen.line([(float(x), float(y)) for x, y in zip(places, values, strict=True)], fill=ink, width=2)
    return np.asarray(picture, dtype=np.float64)


def _text(generator: np.random.Generator) -> Drawing:
    """A page of words."""
    ground, ink = (255, 20) if generator.random() < 0.7 else (10, 230)
    large = Image.new("L", (4 * SIDE, 4 * SIDE), ground)
    pen = ImageDraw.Draw(large)
    size = int(generator.integers(14, 60))
    for top in range(
        int(generator.integers(5, 60)), 4 * SIDE - size, int(size * generator.uniform(1.2, 2.2))
    ):
        words = generator.choice(_WORDS, int(generator.integers(1, 12)))
        pen.text((int(generator.integers(8, 60)), top), " ".join(words), fill=ink, font_size=size)
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64) / 255


def _lines(generator: np.random.Generator) -> Drawing:
    """Rows of dark dashes on a light ground, or the reverse: tables, forms, text from afar."""
    picture = np.ones((SIDE, SIDE))
    pitch = int(generator.integers(5, 16))
    for top in range(int(generator.integers(2, 20)), SIDE - pitch, pitch):
        filled = generator.random(SIDE) < generator.uniform(0.3, 0.8)
        filled[int(generator.integers(40, SIDE)) :] = False
        filled[: int(generator.integers(0, 16))] = False
        picture[top : top + pitch // 2, filled] = generator.uniform(0.0, 0.3)
    return 1 - picture if generator.random() < 0.4 else picture


def _leaves(generator: np.random.Generator) -> Drawing:
    """Overlapping discs of power-law sizes: the dead-leaves model of natural pictures (Lee et al., IJCV 2001)."""
    picture = np.full((SIDE, SIDE), generator.random())
    for _ in range(int(generator.integers(15, 70))):
        radius = 0.03 / generator.uniform(0.05, 1.0)
        cy, cx = generator.uniform(-0.1, 1.1, 2)
        stretch = generator.uniform(0.4, 2.5)
        inside = (_Y - cy) ** 2 * stretch + (_X - cx) ** 2 / stretch < radius**2
        slope = generator.normal(0, 0.3) * (_X - cx) + generator.normal(0, 0.3) * (_Y - cy)
        picture[inside] = (generator.random() + slope)[inside]
    return np.asarray(ndimage.gaussian_filter(picture, generator.uniform(0.0, 2.0)))


def _trunk_slice(generator: np.random.Generator) -> Drawing:
    """A cross-section of a trunk on black: a bright oval, ribs, a spine behind, lungs or organs inside."""
    picture = generator.uniform(0.0, 0.12) * np.ones((SIDE, SIDE))
    cy, cx = 0.5 + generator.normal(0, 0.03, 2)
    ry, rx = generator.uniform(0.24, 0.55), generator.uniform(0.33, 0.6)
    body = _ellipse(cy, cx, ry, rx, generator.uniform(2.0, 3.0))
    tissue = generator.uniform(0.3, 0.75)
    picture[body < 1] = tissue * generator.uniform(0.4, 1.0)
    wall = generator.uniform(0.7, 0.9)
    picture[body < wall] = tissue
    around = np.arctan2(_Y - cy, _X - cx)
    ribs = (abs(body - wall * 0.93) < 0.05) & (
        np.sin(around * generator.integers(5, 12)) > generator.uniform(0, 0.7)
    )
    picture[ribs] = generator.uniform(0.8, 1.0)
    if generator.random() < 0.65:
        air = generator.uniform(0.0, 0.3)
        for side in (-1, 1):
            middle = cx + side * rx * generator.uniform(0.42, 0.55)
            height, width = ry * generator.uniform(0.5, 0.75), rx * generator.uniform(0.28, 0.42)
            picture[_ellipse(cy + generator.normal(0, 0.02), middle, height, width) < 1] = air
        heart = _ellipse(cy - ry * generator.uniform(-0.1, 0.3), cx + rx * 0.12, ry * 0.45, rx * 0.32)
        picture[heart < 1] = tissue * generator.uniform(1.0, 1.3)
    else:
        for _ in range(int(generator.integers(3, 9))):
            place = cy + ry * generator.uniform(-0.6, 0.6), cx + rx * generator.uniform(-0.6, 0.6)
            organ = _ellipse(*place, *generator.uniform(0.04, 0.16, 2)) < 1
            picture[organ & (body < wall)] = tissue * generator.uniform(0.3, 1.4)
    spine = _ellipse(cy + ry * 0.6, cx, ry * generator.uniform(0.14, 0.22), rx * generator.uniform(0.1, 0.18))
    picture[spine < 1] = generator.uniform(0.85, 1.0)
    if generator.random() < 0.5:
        table = abs(_ellipse(cy - 0.5, cx, ry + 0.53, 0.7) - 1) < 0.02
        picture[table & (cy < _Y)] = generator.uniform(0.3, 0.8)
    return _finished(picture, generator, turns=generator.random() < 0.15)


def _head_slice(generator: np.random.Generator) -> Drawing:
    """A slice of a head: a ring of bone or fat, brain with folds and ventricles."""
    picture = np.zeros((SIDE, SIDE))
    cy, cx = 0.5 + generator.normal(0, 0.04, 2)
    ry, rx = generator.uniform(0.3, 0.47), generator.uniform(0.25, 0.42)
    head = _ellipse(cy, cx, ry, rx)
    picture[head < 1] = generator.uniform(0.3, 0.9)
    picture[head < generator.uniform(0.8, 0.95)] = generator.uniform(0.5, 1.0)
    inner = generator.uniform(0.6, 0.8)
    folds = ndimage.gaussian_filter(generator.standard_normal((SIDE, SIDE)), generator.uniform(1, 4))
    brain = generator.uniform(0.25, 0.6) + generator.uniform(0.05, 0.25) * folds / folds.std()
    picture = np.where(head < inner, brain, picture)
    for side in (-1, 1):
        ventricle = _ellipse(cy, cx + side * rx * generator.uniform(0.08, 0.25), ry * 0.25, rx * 0.1)
        picture[ventricle < 1] = generator.uniform(0.0, 0.3)
    return _finished(picture, generator, turns=generator.random() < 0.3)


def _lateral(generator: np.random.Generator) -> Drawing:
    """A chest from the side: a curved column of vertebrae, the heart before it, lung between, a sloping diaphragm."""
    picture = np.full((SIDE, SIDE), generator.uniform(0.0, 0.25))
    back = generator.uniform(0.68, 0.82) + generator.uniform(-0.12, 0.12) * (_Y - 0.4) ** 2 * 4
    front = generator.uniform(0.08, 0.25) + generator.uniform(0.0, 0.25) * np.abs(
        _Y - generator.uniform(0.5, 0.8)
    )
    trunk = (front < _X) & (back + generator.uniform(0.1, 0.2) > _X)
    soft = generator.uniform(0.45, 0.7)
    picture[trunk] = soft
    lung = trunk & (front + 0.06 < _X) & (back > _X) & (generator.uniform(0.1, 0.22) < _Y)
    picture[lung] = generator.uniform(0.1, 0.4)
    heart = _ellipse(generator.uniform(0.5, 0.68), 0.36, *generator.uniform(0.14, 0.26, 2))
    picture[(heart < 1) & trunk] += generator.uniform(0.15, 0.4)
    slope = generator.uniform(0.05, 0.5)
    picture[trunk & (generator.uniform(0.66, 0.85) + slope * (_X - 0.5) < _Y)] = soft + generator.uniform(
        0.1, 0.3
    )
    pitch = generator.uniform(0.06, 0.1)
    column = np.abs(_X - back) < generator.uniform(0.05, 0.09)
    picture[column] += np.where((_Y % pitch < pitch * 0.75), 0.25, 0.08)[column]
    shoulder = (generator.uniform(0.08, 0.25) > _Y) & (_X > 0.3)
    picture[shoulder] += generator.uniform(0.05, 0.3)
    for _ in range(int(generator.integers(4, 10))):
        offset, tilt = generator.uniform(0.05, 0.8), generator.uniform(-0.7, -0.2)
        rib = np.abs(_Y - offset - tilt * (_X - 0.5)) < 0.012
        picture[rib & lung] += generator.uniform(0.03, 0.15)
    picture = picture[:, ::-1] if generator.random() < 0.5 else picture
    return _finished(picture, generator, turns=False)


def _limb(generator: np.random.Generator) -> Drawing:
    """Bones in soft parts on black: a limb, a hand, a part of a spine."""
    picture = np.zeros((SIDE, SIDE))
    for _ in range(int(generator.integers(1, 6))):
        cx, tilt = generator.uniform(0.15, 0.85), generator.normal(0, 0.25)
        middle = cx + tilt * (_Y - 0.5)
        width = generator.uniform(0.06, 0.2) * (1 + generator.uniform(-0.4, 0.4) * np.cos(_Y * np.pi * 2))
        picture[np.abs(_X - middle) < width] += generator.uniform(0.1, 0.35)
        bone = width * generator.uniform(0.35, 0.6)
        picture[np.abs(_X - middle) < bone] += generator.uniform(0.15, 0.4)
        gap = np.abs((_Y - generator.random()) % generator.uniform(0.15, 0.9)) < 0.015
        picture[gap & (np.abs(_X - middle) < bone)] *= 0.5
    return _finished(picture, generator, turns=generator.random() < 0.5)


def _part(films: Films, generator: np.random.Generator) -> Drawing:
    """A part of a film too small to be a chest."""
    film, side = films[int(generator.integers(len(films)))], films.shape[1]
    size = int(side * generator.uniform(0.2, 0.45))
    top, left = generator.integers(0, side - size, 2)
    return np.asarray(resize(film[top : top + size, left : left + size], SIDE), dtype=np.float64)


def _half(films: Films, generator: np.random.Generator) -> Drawing:
    """One side of a chest alone."""
    film, side = films[int(generator.integers(len(films)))], films.shape[1]
    film = film[:, ::-1] if generator.random() < 0.5 else film
    width = int(side * generator.uniform(0.36, 0.5))
    top, bottom = int(side * generator.uniform(0.0, 0.15)), int(side * generator.uniform(0.8, 1.0))
    return np.asarray(resize(np.ascontiguousarray(film[top:bottom, :width]), SIDE), dtype=np.float64)


def _slice_along(films: Films, generator: np.random.Generator) -> Drawing:
    """A slice from shoulder to shoulder, with the lungs of a film: black holes in a body of nearly one grey."""
    film = resize(films[int(generator.integers(len(films)))], SIDE)
    soft = ndimage.gaussian_filter(film, generator.uniform(0.8, 2.5))
    inside = _ellipse(0.5, 0.5, 0.55, generator.uniform(0.38, 0.6), generator.uniform(2.5, 6)) < 1
    level = np.quantile(soft[inside], generator.uniform(0.3, 0.55))
    lung = special.expit((level - soft) / generator.uniform(0.004, 0.025))
    flesh = generator.uniform(0.4, 0.8)
    body = flesh + generator.uniform(0.0, 0.25) * (soft - soft.mean())
    heart = _ellipse(
        generator.uniform(0.45, 0.65), generator.uniform(0.42, 0.6), *generator.uniform(0.1, 0.25, 2)
    )
    body += generator.uniform(0, 0.3) * (heart < 1)
    # Ribs are cut across: a row of spots around the lungs.
    rim = ndimage.gaussian_gradient_magnitude(ndimage.gaussian_filter(lung, 2), 1.5)
    spots = (_Y % generator.uniform(0.07, 0.12)) < 0.035
    body += generator.uniform(0, 0.4) * spots * rim / max(float(rim.max()), 1e-6)
    air = generator.uniform(0, 0.25) * flesh
    vessels = ndimage.gaussian_filter(generator.standard_normal((SIDE, SIDE)), generator.uniform(0.6, 1.2))
    air = air + generator.uniform(0, 0.3) * np.clip(vessels / vessels.std() - 1.5, 0, None)
    picture = np.where(inside, lung * air + (1 - lung) * body, 0)
    return _finished(picture, generator, turns=False)


def _sheet(films: Films, generator: np.random.Generator) -> Drawing:
    """Several films on one sheet."""
    across, down = ((2, 1), (1, 2), (2, 2), (3, 2))[int(generator.integers(4))]
    rows = [
        np.concatenate([films[int(generator.integers(len(films)))] for _ in range(across)], axis=1)
        for _ in range(down)
    ]
    return np.asarray(resize(np.ascontiguousarray(np.concatenate(rows)), SIDE), dtype=np.float64)


def _ellipse(cy: float, cx: float, ry: float, rx: float, power: float = 2.0) -> Drawing:
    """Below 1 inside."""
    return np.asarray(np.abs((_Y - cy) / ry) ** power + np.abs((_X - cx) / rx) ** power)


def _finished(picture: Drawing, generator: np.random.Generator, turns: bool) -> Drawing:
    """Softened, grainy and shaded like what a machine makes; turned by a quarter where that is wished."""
    picture = ndimage.gaussian_filter(picture, generator.uniform(0.5, 2.5))
    texture = ndimage.gaussian_filter(generator.standard_normal((SIDE, SIDE)), generator.uniform(0.5, 4))
    picture = picture * (1 + generator.uniform(0.0, 0.14) * texture / texture.std())
    shade = generator.normal(0, 0.15, 2)
    picture = picture * (1 + shade[0] * (_X - 0.5) + shade[1] * (_Y - 0.5))
    picture = np.clip(picture, 0, None) ** generator.uniform(0.6, 1.5)
    return np.rot90(picture, int(generator.integers(1, 4))) if turns else picture


KINDS: dict[str, Callable[[Films, np.random.Generator], Drawing]] = {
    "noise": _plain(_noise),
    "gradients": _plain(_gradient),
    "shapes": _plain(_shapes),
    "charts": _plain(_chart),
    "text": _plain(_text),
    "rows of dashes": _plain(_lines),
    "overlapping leaves, as in photographs": _plain(_leaves),
    "slices of a trunk": _plain(_trunk_slice),
    "slices along a trunk": _slice_along,
    "slices of a head": _plain(_head_slice),
    "chests from the side": _plain(_lateral),
    "bones": _plain(_limb),
    "small parts of films": _part,
    "halves of films": _half,
    "several films on a sheet": _sheet,
}
