"""How fine a picture's detail is: strength by spatial frequency."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Film = NDArray[np.float32]
Profile = NDArray[np.float32]


def profile(film: Film) -> Profile:
    """How strong each spatial frequency is: (side // 2 + 1,) logarithms of the mean power at 0, 1, 2 … cycles a film.

    `film` is square. Detail, blur, noise and what a machine did to the edges are all in it; where anything lies is not.
    """
    return _strengths(np.fft.rfft2(film))


def _strengths(spectrum: NDArray[np.complex128]) -> Profile:
    """The profile of a square film, from its `rfft2`."""
    rings = _rings(len(spectrum)).ravel()
    power = np.bincount(rings, (np.abs(spectrum) ** 2).ravel()) / np.bincount(rings)
    return np.log(power[: spectrum.shape[1]] + 1e-6).astype(np.float32)


@cache
def _rings(side: int) -> NDArray[np.intp]:
    """The frequency, in whole cycles a film, of each term of `rfft2`."""
    along, across = np.fft.fftfreq(side, 1 / side), np.fft.rfftfreq(side, 1 / side)
    return np.hypot(along[:, None], across[None, :]).round().astype(np.intp)
