"""What a training is shown: classes evenly, films as often as each other, and the same again from the same seed."""

import numpy as np
import pytest

from ml.images.preprocessing import AREA_MEANS, Preparation
from ml.training.sampler import BATCH, Also, Draws
from tests.support.radiographs import chest, unit


def test_classes_are_drawn_evenly_and_films_as_often_as_each_other() -> None:
    pictures = np.stack([unit(chest(seed, False)) for seed in range(40)])
    targets = np.array([0] * 8 + [1] * 32)
    draws = Draws(pictures, targets, Preparation(62, AREA_MEANS), seed=1, epoch=0)
    assert all(draws[i][1].mean(axis=0).tolist() == [0.5, 0.5] for i in range(len(draws)))
    times = np.bincount(draws.order, minlength=40)
    assert np.ptp(times[:8]) <= 1
    assert np.ptp(times[8:]) <= 1


def test_a_draw_depends_on_seed_and_epoch_alone() -> None:
    pictures = np.stack([unit(chest(seed, False)) for seed in range(8)])
    targets = np.array([0, 1] * 4)

    def first(seed: int, epoch: int) -> np.ndarray:
        return Draws(pictures, targets, Preparation(62, AREA_MEANS), seed, epoch)[0][0]

    np.testing.assert_array_equal(first(1, 0), first(1, 0))
    assert not np.array_equal(first(1, 0), first(1, 1))
    assert not np.array_equal(first(1, 0), first(2, 0))


def test_blended_films_have_blended_labels() -> None:
    pictures = np.stack([unit(chest(seed, False)) for seed in range(40)])
    targets = np.array([0, 1] * 20)
    plain = Draws(pictures, targets, Preparation(62, AREA_MEANS), seed=1, epoch=0)[0]
    films, labels = Draws(pictures, targets, Preparation(62, AREA_MEANS), seed=1, epoch=0, mixing=0.5)[0]
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(films.std(axis=(1, 2, 3)), 1, atol=1e-4)
    same = np.isclose(films, plain[0], atol=1e-5).all(axis=(1, 2, 3))
    assert 0 < same.sum() < BATCH
    assert (labels[same] == plain[1][same]).all()
    # A film stays mostly itself, so that its label is still the larger one.
    assert (labels.argmax(axis=1) == plain[1].argmax(axis=1)).all()
    assert ((labels > 0) & (labels < 1)).any()


def test_films_are_exchanged_with_others_of_both_classes_in_their_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = np.stack([unit(chest(seed, seed % 2 == 1)) for seed in range(40)])
    targets = np.array([0, 1] * 20)
    places = {film.tobytes(): place for place, film in enumerate(pictures)}
    draws = Draws(pictures, targets, Preparation(62, AREA_MEANS), seed=1, epoch=0, exchange=True)
    films, _ = draws[0]
    np.testing.assert_array_equal(films, draws[0][0])
    assert (films == Draws(pictures, targets, Preparation(62, AREA_MEANS), 1, 0)[0][0]).mean() < 0.5
    partners: list[int] = []

    def augment(film: np.ndarray, _: np.random.Generator, other: np.ndarray) -> np.ndarray:
        partners.append(places[other.tobytes()])
        return film

    monkeypatch.setattr("ml.training.sampler.augment", augment)
    draws[0]
    assert set(partners) <= set(draws.order[:BATCH].tolist())
    assert len(set(partners)) > 8
    assert 0.2 < targets[partners].mean() < 0.8


def test_a_second_population_trains_with_classes_drawn_evenly() -> None:
    pictures = (np.random.default_rng(1).random((60, 32, 32)) * 255).astype(np.uint8)
    targets = np.array([0] * 10 + [1] * 30)
    others = np.array([0] * 15 + [1] * 5)
    also = Also(pictures[40:], others, 0.25, np.zeros((1, 32, 32, 1), np.float32), np.array([1]))
    draws = Draws(pictures[:40], targets, Preparation(32, AREA_MEANS), seed=1, epoch=0, also=also)
    theirs = draws.order.reshape(len(draws), BATCH) >= 40
    assert (theirs.sum(axis=1) == BATCH // 4).all()
    for rows in (theirs.reshape(-1), ~theirs.reshape(-1)):
        assert draws.targets[rows].mean(axis=0).tolist() == [0.5, 0.5]
    films, classes = draws[0]
    assert films.shape == (BATCH, 32, 32, 1)
    assert classes.shape == (BATCH, 2)
