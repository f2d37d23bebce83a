"""What a film's making tells of its class, and that drawing and weighing films by it leaves it telling little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from ml.images.preprocessing import AREA_MEANS, Preparation
from ml.metrics import classification
from ml.networks import registry
from ml.training import confounders, loop, recipes
from ml.training.sampler import Draws
from tests.support.radiographs import chest, unit

TARGETS: NDArray[np.int64] = np.array([0, 1] * 60)
ODD = np.arange(120) // 2 % 5 == 0
"""A fifth of each class was made as most of the other class was."""


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    """Normal chests, (120, 128, 128); those that are called pneumonia are softer, but for the odd ones."""
    soft = (TARGETS == 1) != ODD
    pictures = [
        ndimage.gaussian_filter(unit(chest(seed, False)), 1.5 if soft[seed] else 0.5) for seed in range(120)
    ]
    return np.stack(pictures)


@pytest.fixture(scope="module")
def tells(films: np.ndarray) -> np.ndarray:
    found = confounders.traits_of(films)
    return confounders.Origin.fit(found, TARGETS).tells(found)


def test_traits_are_of_the_making_and_not_of_the_depth_in_memory(films: np.ndarray) -> None:
    film = films[0]
    stored = (film * 255).round().astype(np.uint8)
    np.testing.assert_allclose(confounders.traits(stored), confounders.traits(film), atol=1e-6)
    sharp, mean, deviation, black, white, *powers = confounders.traits(film)
    assert np.exp(sharp) == pytest.approx(np.abs(ndimage.laplace(film)).mean(), rel=0.1)
    assert (mean, deviation) == pytest.approx((film.mean(), film.std()), abs=1e-3)
    assert black == (stored / 255 < 0.03).mean()
    assert white == 0
    softer = confounders.traits(ndimage.gaussian_filter(film, 2.0))
    assert softer[0] < sharp
    assert softer[-1] < powers[-1]
    assert len(confounders.traits(film[::4, ::4])) == len(confounders.traits(film))


def test_films_of_the_other_classs_making_are_drawn_more_often(films: np.ndarray, tells: np.ndarray) -> None:
    told = roc_auc_score(TARGETS, tells)
    odds = confounders.odds(films, TARGETS, 4.0)
    np.testing.assert_allclose(odds, confounders.weights(tells, TARGETS, 4.0))
    assert odds.min() >= 1
    assert odds.max() <= 4
    assert odds[ODD].mean() > 2 * odds[~ODD].mean()
    draws = Draws(films, TARGETS, Preparation(62, AREA_MEANS), seed=1, epoch=0, odds=odds)
    drawn = draws.order
    assert TARGETS[drawn].mean() == 0.5
    assert roc_auc_score(TARGETS[drawn], tells[drawn]) < told - 0.05
    for target in (0, 1):
        rows = np.flatnonzero(np.equal(TARGETS, target))
        counts = np.bincount(drawn, minlength=120)[rows]
        wanted = odds[rows] / odds[rows].sum() * len(drawn) / 2
        assert (np.abs(counts - wanted) < 1).all()
    again = Draws(films, TARGETS, Preparation(62, AREA_MEANS), seed=1, epoch=0, odds=odds)
    np.testing.assert_array_equal(again.order, drawn)
    other = Draws(films, TARGETS, Preparation(62, AREA_MEANS), seed=1, epoch=1, odds=odds)
    assert (other.order != drawn).any()


@pytest.mark.parametrize("balance", [1.0, 4.0])
def test_a_training_draws_as_its_recipe_says(
    films: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balance: float
) -> None:
    used: list[np.ndarray | None] = []

    class Watched(Draws):
        def __init__(self, *settings: Any, **named: Any) -> None:
            super().__init__(*settings, **named)
            used.append(named.get("odds"))

    monkeypatch.setattr("ml.training.loop.Draws", Watched)
    prepared = np.stack([Preparation(62, AREA_MEANS).resize(film) for film in films[:8]])[..., None]
    loop.train_epochs(
        registry.ARCHITECTURES["sequential"](62),
        (films, TARGETS),
        (prepared, TARGETS[:8]),
        recipe=replace(recipes.RECIPES["sequential"], balance=balance),
        epochs=1,
        seed=1,
        checkpoints=loop.Checkpoints(tmp_path / "training", {}),
    )
    last = used[-1]
    if balance == 1:
        assert last is None
    else:
        assert last is not None
        np.testing.assert_allclose(last, confounders.odds(films, TARGETS, balance))


def test_the_weighed_figures_show_who_answers_from_the_making(tells: np.ndarray) -> None:
    patients = [str(place // 2) for place in range(120)]
    cheat = confounders.measure(tells, tells, TARGETS, 0.5, patients, seed=1)
    honest = confounders.measure(tells, np.where(TARGETS == 1, 0.8, 0.2), TARGETS, 0.5, patients, seed=1)
    assert cheat["told"] == pytest.approx(roc_auc_score(TARGETS, tells))
    assert cheat["told_weighed"] < cheat["told"]
    assert cheat["auc"] == pytest.approx(cheat["told_weighed"])
    assert cheat["sensitivity"] < 0.75
    low, high = cheat["auc_ci"]
    assert low < cheat["auc"] < high
    assert (honest["auc"], honest["sensitivity"], honest["specificity"]) == (1, 1, 1)
    # Not a single error among 60 films is no proof of none.
    assert honest["sensitivity_ci"][0] < 0.96
    low, high = honest["auc_ci"]
    # 60 patients of each class, of whom some weigh more: less proof than 60 of equal weight.
    assert low < classification.newcombe(1.0, 60, 60)[0] < high == 1
    assert f"AUC {cheat['auc']:.3f}" in cheat["sentence"]
