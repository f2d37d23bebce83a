"""Random changes of films in training."""

import numpy as np
import pytest
from scipy import ndimage

from ml.images import spectrum
from ml.training import augmentation
from tests.support.radiographs import chest, unit

SHARP = unit(chest(1, True))
SOFT = ndimage.gaussian_filter(unit(chest(2, False)), 1.5)
FINE = slice(int(augmentation.FINE) + 1, 40)
COARSE = slice(1, int(augmentation.COARSE))


def apart(one: np.ndarray, other: np.ndarray, part: slice) -> float:
    """Mean difference of two profiles, in logarithms of power."""
    return float(np.abs(spectrum.profile(one) - spectrum.profile(other))[part].mean())


def test_changed_films_stay_films() -> None:
    for other in (None, SOFT):
        for seed in range(60):
            changed = augmentation.augment(SHARP, np.random.default_rng(seed), other)
            assert changed.shape == SHARP.shape
            assert changed.dtype == np.float32
            assert 0 <= changed.min() <= changed.max() <= 1
            assert changed.std() > 0.03


@pytest.mark.parametrize(("film", "other"), [(SHARP, SOFT), (SOFT, SHARP)], ids=["softer", "sharper"])
def test_an_exchanged_film_is_as_sharp_as_the_other(film: np.ndarray, other: np.ndarray) -> None:
    changed = augmentation.exchange(film, spectrum.profile(other), 1.0)
    assert apart(film, other, FINE) > 1
    assert apart(changed, other, FINE) < 0.45 * apart(film, other, FINE)
    assert apart(changed, film, COARSE) < 0.05
    assert np.corrcoef(changed.ravel(), film.ravel())[0, 1] > 0.97


def test_strength_is_the_share_of_the_way() -> None:
    wanted = spectrum.profile(SOFT)
    np.testing.assert_allclose(augmentation.exchange(SHARP, wanted, 0.0), SHARP, atol=1e-5)
    half, whole = (apart(augmentation.exchange(SHARP, wanted, share), SOFT, FINE) for share in (0.5, 1.0))
    assert whole < half < apart(SHARP, SOFT, FINE)


def test_some_variants_are_exchanged_and_some_are_not() -> None:
    fine = [
        [
            spectrum.profile(augmentation.augment(SHARP, np.random.default_rng(seed), one))[FINE].mean()
            for seed in range(120)
        ]
        for one in (None, SOFT)
    ]
    without, beside = np.array(fine)
    assert beside.mean() < without.mean() - 0.3
    assert beside.max() > spectrum.profile(SOFT)[FINE].mean() + 1
