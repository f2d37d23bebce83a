"""From the network's map of evidence to something that can be laid over the film."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Map = NDArray[np.float32]
PICTURE_SIDE = 128
"""Pixels. The map has at most 16 cells a side and the browser smooths it over the film; more would cost a worker
more time than reading the film."""
SMOOTHING = 1.0
"""Deviation, in cells, of the smoothing: single cells of a flattened network are more jagged than what they saw."""
OPAQUE = 0.75
# Dark violet to pale yellow. Brightness rises all the way, so the order is read without telling hues apart.
_COLOURS = np.array(
    [(62, 18, 110), (140, 40, 120), (205, 70, 85), (245, 130, 40), (252, 195, 60), (254, 245, 170)],
    dtype=np.float32,
)


def beyond_normal(maps: Map, reference: Map, smoothing: float = SMOOTHING) -> Map:
    """Evidence (n, h, w) beyond that of the average normal film, smoothed within each film.

    `reference` (h, w) is the mean map of normal validation films. A flattened network has a bias of its own for
    every place, dark corners among them; the difference leaves what this film adds to it.
    """
    return np.asarray(ndimage.gaussian_filter(maps - reference, (0, smoothing, smoothing), mode="nearest"))


def to_unit(evidence: Map, scale: float, stride: int, side: int) -> Map:
    """Positive evidence of `beyond_normal` maps (n, h, w) as (n, side, side) in 0..1, exactly over the network's input.

    `scale` is what counts as 1, the same for every film: a film with little evidence stays dark. Cells are `stride`
    pixels wide and the last may reach beyond the film; what does is cut off.
    """
    high = max(evidence.shape[1:]) * stride
    enlarged = [
        np.asarray(Image.fromarray(cells).resize((high, high), Image.Resampling.BICUBIC))[:side, :side]
        for cells in np.ascontiguousarray(evidence, dtype=np.float32)
    ]
    return np.clip(np.stack(enlarged) / np.float32(scale), 0.0, 1.0)


def heatmap_png(heatmap: Map) -> bytes:
    """An RGBA PNG, 128 x 128, to be stretched exactly over the film. `heatmap` is (h, w) in 0..1.

    The colour tells the evidence and so does the opacity: where there is none the film stays as it is.
    """
    size = (PICTURE_SIDE, PICTURE_SIDE)
    enlarged = Image.fromarray(np.asarray(heatmap, dtype=np.float32)).resize(size, Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(enlarged), 0.0, 1.0)
    place = share * (len(_COLOURS) - 1)
    low = np.minimum(place.astype(int), len(_COLOURS) - 2)
    part = (place - low)[..., None]
    colour = _COLOURS[low] * (1 - part) + _COLOURS[low + 1] * part
    picture = np.concatenate([colour, (share * OPAQUE * 255)[..., None]], axis=2).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
