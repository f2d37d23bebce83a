"""Films changed on purpose: does the fixed threshold still hold when a film comes from another machine?

Each change takes and gives a Radiograph-like uint8 (H, W) array at the film's own size. They are written apart from
`ml.training.augmentation`, at other sizes and with fixed strengths, so that the table is not the training's own echo.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from ml.images.radiograph import Radiograph

MILD = (
    "resampled to half",
    "JPEG quality 20",
    "sharpened",
    "harder (window 15 to 85 %)",
    "grainy",
    "lettered",
)


def eight_bits(film: Radiograph) -> Radiograph:
    if film.bits == 8:
        return film
    return Radiograph(
        (film.pixels >> 8).astype(np.uint8), 8, film.source_format, film.notes, film.colourfulness
    )


def stressed(film: Radiograph, stress: str) -> Radiograph:
    if stress == AS_THEY_ARE:
        return film
    film = eight_bits(film)
    return Radiograph(changed(film.pixels.astype(np.uint8), stress), 8, film.source_format)


def mildly_changed(films: Sequence[Radiograph]) -> list[Radiograph]:
    """Each film under one of the mild changes, in turn."""
    return [stressed(film, MILD[place % len(MILD)]) for place, film in enumerate(films)]


def every_second_changed(films: Sequence[Radiograph]) -> list[Radiograph]:
    """Every second film under one of the changes of the stress table, in turn; the others as they are."""
    changes = [stress for stress in STRESSES if stress != AS_THEY_ARE]
    return [
        stressed(film, changes[place // 2 % len(changes)]) if place % 2 else film
        for place, film in enumerate(films)
    ]


Pixels = NDArray[np.uint8]

Change = Callable[[Image.Image], Image.Image]


def _resample(share: float) -> Change:
    def change(film: Image.Image) -> Image.Image:
        small = film.resize(
            (max(1, int(film.width * share)), max(1, int(film.height * share))), Image.Resampling.BICUBIC
        )
        return small.resize(film.size, Image.Resampling.BICUBIC)

    return change


def _jpeg(quality: int) -> Change:
    def change(film: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        film.save(buffer, format="JPEG", quality=quality)
        return Image.open(io.BytesIO(buffer.getvalue())).convert("L")

    return change


def _blur(film: Image.Image) -> Image.Image:
    return film.filter(ImageFilter.GaussianBlur(_share(film, 0.01)))


def _sharpen(film: Image.Image) -> Image.Image:
    return film.filter(ImageFilter.UnsharpMask(radius=_share(film, 0.012), percent=180, threshold=0))


def _curve(gamma: float, low: float = 0.0, high: float = 1.0) -> Change:
    """Grey values through a window (`low`, `high` as shares of white) and a gamma; what is outside is clipped."""
    greys = np.clip((np.arange(256) / 255 - low) / (high - low), 0, 1) ** gamma
    table = [int(grey) for grey in np.round(greys * 255)]
    return lambda film: film.point(table)


def _flat(film: Image.Image) -> Image.Image:
    return film.point([60 + grey * 2 // 5 for grey in range(256)])


def _equalise(film: Image.Image) -> Image.Image:
    return Image.blend(film, ImageOps.equalize(film), 0.7)


def _crop(film: Image.Image) -> Image.Image:
    x, y = film.width * 8 // 100, film.height * 8 // 100
    return film.crop((x, y, film.width - x, film.height - y))


def _border(across: float, along: float) -> Change:
    def change(film: Image.Image) -> Image.Image:
        x, y = int(film.width * across), int(film.height * along)
        return ImageOps.expand(film, (x, y, x, y), fill=0)

    return change


def _letter(film: Image.Image) -> Image.Image:
    film = film.copy()
    draw = ImageDraw.Draw(film)
    draw.text((film.width * 0.04, film.height * 0.05), "R  AP SUPINE", fill=255, font_size=_share(film, 0.06))
    draw.text((film.width * 0.8, film.height * 0.88), "12:40", fill=240, font_size=_share(film, 0.06))
    return film


def _rotate(degrees: float) -> Change:
    return lambda film: film.rotate(degrees, Image.Resampling.BILINEAR)


def _grain(film: Image.Image) -> Image.Image:
    """Quantum noise of a low dose; the same for films of one size, so the table can be made again."""
    noise = np.random.default_rng(7).normal(0, 14, (film.height, film.width))
    return Image.fromarray(np.clip(np.asarray(film) + noise, 0, 255).astype(np.uint8))


def _share(film: Image.Image, share: float) -> float:
    return max(1.0, share * min(film.size))


def _all(*changes: Change) -> Change:
    def change(film: Image.Image) -> Image.Image:
        for step in changes:
            film = step(film)
        return film

    return change


AS_THEY_ARE = "as they are"

STRESSES: dict[str, Change] = {
    AS_THEY_ARE: lambda film: film,
    "resampled to half": _resample(0.5),
    "resampled to a third": _resample(0.33),
    "JPEG quality 20": _jpeg(20),
    "blurred": _blur,
    "sharpened": _sharpen,
    "darker (gamma 1.8)": _curve(1.8),
    "brighter (gamma 0.55)": _curve(0.55),
    "harder (window 15 to 85 %)": _curve(1.0, 0.15, 0.85),
    "softer (40 % of the contrast)": _flat,
    "equalised": _equalise,
    "grainy": _grain,
    "cropped by 8 % a side": _crop,
    "black border at the sides": _border(0.12, 0.0),
    "black border all round": _border(0.08, 0.08),
    "lettered": _letter,
    "rotated 6 degrees left": _rotate(6),
    "rotated 6 degrees right": _rotate(-6),
    "sharpened, darker, bordered": _all(_sharpen, _curve(1.4), _border(0.06, 0.06)),
    "blurred, brighter, cropped": _all(_blur, _curve(0.7), _crop),
}


def changed(pixels: Pixels, stress: str) -> Pixels:
    """The film under the named change of `STRESSES`; its size may change with it."""
    return np.asarray(STRESSES[stress](Image.fromarray(pixels)), dtype=np.uint8)
