"""Pictures that are no films: what is drawn, what packages bring, and how the gate's features see them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.gate import fitting
from ml.gate.negatives import drawn as drawn_negatives
from ml.gate.negatives import package_pictures
from ml.images.preprocessing import fit, resize, standardise
from ml.images.reader import read_radiograph
from ml.serving import gate
from tests.support.radiographs import SAMPLES, chest, unit

FILMS = np.stack([unit(chest(seed, False)) for seed in range(6)])


@pytest.mark.parametrize("kind", drawn_negatives.KINDS)
def test_every_kind_is_drawn_in_range_and_anew(kind: str) -> None:
    first, second = (drawn_negatives.draw(kind, FILMS, np.random.default_rng(seed)) for seed in (1, 2))
    assert first.shape == (drawn_negatives.SIDE, drawn_negatives.SIDE)
    assert first.dtype == np.float32
    assert 0.0 <= first.min() < first.max() <= 1.0
    assert not np.array_equal(first, second)
    assert np.array_equal(first, drawn_negatives.draw(kind, FILMS, np.random.default_rng(1)))


def test_what_teaches_and_what_measures_come_from_different_packages() -> None:
    assert not set(package_pictures.TEACHING) & set(package_pictures.MEASURING)
    assert not set(package_pictures.TEACHING_CHESTS) & set(package_pictures.MEASURING_CHESTS)
    found = package_pictures.measuring()
    assert {stranger.source.split("/")[0] for stranger in found} >= {"pydicom", "sklearn"}
    assert {stranger.kind for stranger in found} >= {package_pictures.SLICES, package_pictures.PHOTOGRAPHS}
    for stranger in found:
        assert stranger.picture.ndim == 2
        assert 0.0 <= float(stranger.picture.min()) <= float(stranger.picture.max()) <= 1.0


def fine(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return standardise(resize(pixels, gate.FINE_SIDE))


def test_edges_do_not_depend_on_exposure_but_on_inversion() -> None:
    film = fit(read_radiograph(sorted(SAMPLES.glob("synthetic-*.png"))[0]), gate.FINE_SIDE)
    plain, faint = gate.edges(standardise(film)), gate.edges(standardise(film * 0.3 + 0.5))
    assert plain == pytest.approx(faint, abs=1e-3)
    inverted = gate.edges(standardise(1 - film)).reshape(-1, gate.DIRECTIONS)
    half = gate.DIRECTIONS // 2
    assert inverted == pytest.approx(np.roll(plain.reshape(-1, gate.DIRECTIONS), half, axis=1), abs=1e-3)


def test_tones_tell_a_picture_of_two_greys_from_a_film_and_not_its_exposure() -> None:
    film = fit(read_radiograph(sorted(SAMPLES.glob("synthetic-*.png"))[0]), gate.FINE_SIDE)
    plain = gate.tones(standardise(film))
    assert plain == pytest.approx(gate.tones(standardise(film * 0.3 + 0.5)), abs=1e-4)
    assert gate.tones(standardise(film[::-1, ::-1])) == pytest.approx(plain, abs=1e-4)
    two = gate.tones(standardise((film > np.quantile(film, 0.4)).astype(np.float32)))
    greys = slice(0, 17)
    assert np.diff(plain[greys]).max() < 1.0 < 1.5 < np.diff(two[greys]).max()
    # Most of it has no slope at all.
    assert two[-4] == 0.0 < plain[-4]


def test_a_flat_picture_has_no_edges() -> None:
    assert np.array_equal(
        gate.edges(np.zeros((64, 64), np.float32)), np.zeros(gate.ZONES**2 * gate.DIRECTIONS)
    )


@pytest.fixture(scope="module")
def taught() -> gate.GateParameters:
    """A gate of drawn chests: few, so only what is plainly otherwise is asked of it."""
    many = np.stack([unit(chest(seed, seed % 2 == 0)) for seed in range(300, 420)])
    parameters = fitting.fit_gate(many, 1)
    other = [unit(chest(seed, seed % 2 == 0)) for seed in range(100, 140)]
    return fitting.with_limits(parameters, [[gate.likeness(fine(film), parameters) for film in other]])


def test_a_gate_that_was_taught_tells_films_from_the_rest(taught: gate.GateParameters) -> None:
    def refused(pictures: list[NDArray[np.float32]]) -> float:
        found = [gate.likeness_refusals(gate.likeness(fine(p), taught), taught) for p in pictures]
        return float(np.mean([bool(reasons) for reasons in found]))

    unseen = [unit(chest(seed, seed % 2 == 0)) for seed in range(200, 240)]
    assert refused(unseen) <= 0.05
    for kind in ("upside down", "turned left", "inverted"):
        assert refused([fitting.turned(film, kind) for film in unseen]) >= 0.9
    generator = np.random.default_rng(3)
    for kind in ("text", "charts", "noise", "slices of a head", "overlapping leaves, as in photographs"):
        assert refused([drawn_negatives.draw(kind, FILMS, generator) for _ in range(20)]) >= 0.9
