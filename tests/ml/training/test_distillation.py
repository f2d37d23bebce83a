"""A network that learns what versions say."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ml import errors
from ml.artifact import folder as artifact_folder
from ml.data import dataset
from ml.images.preprocessing import AREA_MEANS, Preparation
from ml.metrics import classification
from ml.serving.runtime import runtime_of
from ml.train import TrainingError, train
from ml.training import loop, recipes
from ml.training.distillation import Teachers
from ml.training.sampler import Draws, Films

PREPARATION = Preparation(62, AREA_MEANS)


@pytest.fixture(scope="module")
def versions(drawn: Path, drawn_of_both: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two that learned from these films, one of others too; the first counts as twice as sure as it says it is."""
    folder = tmp_path_factory.mktemp("teachers")
    shutil.copytree(drawn, folder / "drawings-1")
    card = artifact_folder.load_card(drawn)
    card.calibration["temperature"] = 0.5
    artifact_folder.seal(folder / "drawings-1", card)
    return [folder / "drawings-1", drawn_of_both]


@pytest.fixture(scope="module")
def shown() -> Films:
    return np.random.default_rng(3).standard_normal((20, 62, 62, 1)).astype(np.float32)


def test_teachers_answer_with_the_mean_of_their_calibrated_logits(versions: list[Path], shown: Films) -> None:
    temperatures = [artifact_folder.load_card(version).calibration["temperature"] for version in versions]
    logits = [
        runtime_of(version).run(shown).logits / temperature
        for version, temperature in zip(versions, temperatures, strict=True)
    ]
    assert np.abs(logits[0] - logits[1]).max() > 0.01
    found = Teachers(versions, PREPARATION)(shown)
    np.testing.assert_allclose(found, classification.sigmoid(np.mean(logits, axis=0)), atol=1e-6)


def test_what_they_say_of_a_changed_film_is_its_label(films: Path) -> None:
    read = dataset.read_folder(films)
    stored = loop.load_films(read, recipes.RECIPES["sequential"])
    targets = np.array([film.target for film in read])

    def brightness(some: Films) -> np.ndarray:
        return classification.sigmoid(10 * some[:, 31, 31, 0])

    draws = Draws(stored, targets, PREPARATION, 1, 0, mixing=0.5, teachers=brightness)
    plain = Draws(stored, targets, PREPARATION, 1, 0, mixing=0.5)
    shown, said = draws[0]
    np.testing.assert_array_equal(shown, plain[0][0])
    np.testing.assert_allclose(said[:, 1], brightness(shown), atol=1e-6)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-6)
    assert np.abs(said - plain[0][1]).max() > 0.1


def test_a_network_learns_what_its_teachers_say_and_not_the_labels(
    films: Path, versions: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teachers that give each film 0.9: then the lowest loss is the entropy of that, and right are the ill."""
    monkeypatch.setattr("ml.training.sampler.BATCH", 8)
    monkeypatch.setattr(Teachers, "__call__", lambda _, some: np.full(len(some), 0.9))
    out = tmp_path / "pupil"
    card = train(films, out, epochs=12, seed=5, teachers=versions)
    assert card.training["teachers"] == [
        {"name": artifact_folder.load_card(version).name, "hash": artifact_folder.artifact_hash(version)}
        for version in versions
    ]
    assert "what `drawn` and `first` say together" in (out / "MODEL_CARD.md").read_text()
    assert card.history[-1]["loss"] == pytest.approx(-0.9 * np.log(0.9) - 0.1 * np.log(0.1), abs=0.1)
    judged = card.data["validation"]
    ill = judged["PNEUMONIA"] / (judged["PNEUMONIA"] + judged["NORMAL"])
    assert card.history[-1]["val_accuracy"] == pytest.approx(ill, abs=1e-5)


def test_teachers_that_would_give_the_answers_away_are_refused(
    films: Path, versions: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="held back; take its seed, 5"):
        train(films, tmp_path / "x", epochs=1, seed=6, teachers=versions)
    with pytest.raises(TrainingError, match="takes films of 62 pixels"):
        train(films, tmp_path / "x", epochs=1, seed=5, architecture="lite0", side=96, teachers=versions)
    with pytest.raises(TrainingError, match="takes no teachers"):
        train(films, tmp_path / "x", epochs=1, seed=5, init=versions[0], mode="head", teachers=versions)
    with pytest.raises(errors.ArtifactError):
        train(films, tmp_path / "x", epochs=1, seed=5, teachers=[tmp_path])
    assert list(tmp_path.iterdir()) == []
