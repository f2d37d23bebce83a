"""Training on drawings: whole or absent, resumable, the same again from the same seed, and served at the end."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from ml import artifact, fitting, network
from ml.artifact import Card
from ml.fitting import Progress, ResumeError
from ml.images import AREA_MEANS, SMOOTHED, Preparation, read_radiograph, resize, standardise
from ml.predict import Predictor
from ml.train import About, Proof, Second, TrainingError, train
from tests.ml_films import FILES, PICTURES, chest, data_set, unit

EPOCHS = 3


@pytest.fixture(scope="module")
def reports() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def trained(films: Path, reports: list[Progress], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of drawings, trained in this process."""
    out = tmp_path_factory.mktemp("trained") / "drawings-1"
    about = About("Drawings.", "Drawn chests.", (2, 4), 12)
    train(
        films,
        out,
        epochs=EPOCHS,
        seed=5,
        about=about,
        proof=Proof(second_population=films),
        progress=reports.append,
    )
    return out


@pytest.fixture(scope="module")
def card(trained: Path) -> Card:
    return artifact.check(trained)


def test_the_folder_is_whole_and_nothing_else_is_left(trained: Path, card: Card) -> None:
    assert {path.name for path in trained.iterdir()} - PICTURES == set(FILES)
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in trained.parent.iterdir()] == ["drawings-1"]
    assert card.name == "drawings-1"


def test_the_card_tells_of_the_training(card: Card) -> None:
    assert [row["epoch"] for row in card.history] == [1, 2, 3]
    assert set(card.history[0]) == {"epoch", "loss", "val_loss", "auc", "val_auc", "accuracy", "val_accuracy"}
    assert min(card.history, key=lambda row: row["val_loss"])["epoch"] == card.best_epoch
    assert card.data["films"] == {"NORMAL": 16, "PNEUMONIA": 16}
    assert card.data["patients"] == 24
    assert sum(sum(row) for row in card.metrics["confusion"]) == card.metrics["n"]
    assert card.population["age_years"] == [2, 4]
    assert "32 labelled films of a second population (16 of them pneumonia)" in card.population["evidence"]
    assert "not measured" in card.reproducibility
    assert card.agreement["litert"]["largest_logit_difference"] <= 1e-3
    assert card.runtime == "litert"


def test_progress_was_reported_to_the_end(reports: list[Progress]) -> None:
    finished = [report for report in reports if report.finished_epoch]
    assert [report.epoch for report in finished] == [1, 2, 3]
    assert all(report.steps >= report.step >= 1 for report in reports)
    assert all(math.isfinite(report.loss) and 0 <= report.auc <= 1 for report in reports)
    assert finished[-1].seconds_left == 0


def test_the_model_is_served(trained: Path) -> None:
    predictor = Predictor(trained)
    answers = predictor.predict([read_radiograph(path) for path in sorted(trained.parent.glob("*.png"))])
    assert answers == []
    drawing = artifact.load_card(trained)
    assert predictor.name == drawing.name
    assert predictor._runtime.name.startswith("litert")


def test_an_interrupted_training_goes_on_and_gives_the_same_model(
    films: Path, card: Card, tmp_path: Path
) -> None:
    """Killed after an epoch, by the signal that cannot be caught; the same command then ends with the same figures."""
    out = tmp_path / "again"
    settings = ["--out", str(out), "--epochs", str(EPOCHS), "--seed", "5", "--json"]
    command = [sys.executable, "-m", "ml.train", str(films), *settings]
    record = tmp_path / "again.unfinished" / "state.json"
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not record.is_file() and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert 1 <= json.loads(record.read_text())["epoch"] < EPOCHS
    assert not out.exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "epoch 1:" not in done.stderr
    assert "epoch 3:" in done.stderr
    assert found["history"] == card.history
    assert found["metrics"] == card.metrics
    assert found["data"]["split_hash"] == card.data["split_hash"]
    assert [path.name for path in tmp_path.iterdir()] == ["again"]
    artifact.check(out)


def test_what_is_there_is_never_overwritten(films: Path, trained: Path) -> None:
    before = artifact.artifact_hash(trained)
    with pytest.raises(TrainingError, match="already there"):
        train(films, trained, epochs=1)
    with pytest.raises(TrainingError, match="keeps its rule"):
        train(films, trained.with_name("x"), epochs=1, init=trained, preprocessing=SMOOTHED)
    with pytest.raises(TrainingError, match="held back; take its seed, 5"):
        train(films, trained.with_name("x"), epochs=1, init=trained, seed=6)
    assert artifact.artifact_hash(trained) == before


def test_wrong_wishes_are_told(films: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no architecture lenet"):
        train(films, tmp_path / "x", architecture="lenet")
    with pytest.raises(TrainingError, match="another size: one of 96"):
        train(films, tmp_path / "x", side=96)
    with pytest.raises(TrainingError, match="another size"):
        train(films, tmp_path / "x", architecture="lite0", side=100)
    with pytest.raises(TrainingError, match="one epoch"):
        train(films, tmp_path / "x", epochs=0)
    with pytest.raises(TrainingError, match="does not describe"):
        About.read(tmp_path / "missing.json")
    assert list(tmp_path.iterdir()) == []


def test_unfinished_work_of_another_training_is_not_continued(tmp_path: Path) -> None:
    fitting.Checkpoints(tmp_path, {"seed": 1})
    (tmp_path / "state.json").write_text(json.dumps({"task": {"seed": 1}, "epoch": 0, "history": []}))
    assert fitting.Checkpoints(tmp_path, {"seed": 1}).state.epoch == 0
    with pytest.raises(ResumeError, match="other films or settings"):
        fitting.Checkpoints(tmp_path, {"seed": 2})


def test_the_command_without_films(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ml.train", tmp_path, "--out", tmp_path / "x", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "neither labels.csv" in done.stderr


def test_classes_are_drawn_evenly_and_films_as_often_as_each_other() -> None:
    pictures = np.stack([unit(chest(seed, False)) for seed in range(40)])
    targets = np.array([0] * 8 + [1] * 32)
    draws = fitting.Draws(pictures, targets, Preparation(62, AREA_MEANS), seed=1, epoch=0)
    assert all(draws[i][1].mean(axis=0).tolist() == [0.5, 0.5] for i in range(len(draws)))
    times = np.bincount(draws.order, minlength=40)
    assert np.ptp(times[:8]) <= 1
    assert np.ptp(times[8:]) <= 1


def test_a_draw_depends_on_seed_and_epoch_alone() -> None:
    pictures = np.stack([unit(chest(seed, False)) for seed in range(8)])
    targets = np.array([0, 1] * 4)

    def first(seed: int, epoch: int) -> np.ndarray:
        return fitting.Draws(pictures, targets, Preparation(62, AREA_MEANS), seed, epoch)[0][0]

    np.testing.assert_array_equal(first(1, 0), first(1, 0))
    assert not np.array_equal(first(1, 0), first(1, 1))
    assert not np.array_equal(first(1, 0), first(2, 0))


def test_blended_films_have_blended_labels() -> None:
    pictures = np.stack([unit(chest(seed, False)) for seed in range(40)])
    targets = np.array([0, 1] * 20)
    plain = fitting.Draws(pictures, targets, Preparation(62, AREA_MEANS), seed=1, epoch=0)[0]
    films, labels = fitting.Draws(
        pictures, targets, Preparation(62, AREA_MEANS), seed=1, epoch=0, mixing=0.5
    )[0]
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(films.std(axis=(1, 2, 3)), 1, atol=1e-4)
    same = np.isclose(films, plain[0], atol=1e-5).all(axis=(1, 2, 3))
    assert 0 < same.sum() < fitting.BATCH
    assert (labels[same] == plain[1][same]).all()
    # A film stays mostly itself, so that its label is still the larger one.
    assert (labels.argmax(axis=1) == plain[1].argmax(axis=1)).all()
    assert ((labels > 0) & (labels < 1)).any()


def test_the_average_is_what_is_kept_also_after_an_interruption(tmp_path: Path) -> None:
    recipe = fitting.Recipe(averaging=0.9, mixing=0.5)
    pictures = np.stack([unit(chest(seed, seed % 2 == 1)) for seed in range(32)])
    targets = np.array([0, 1] * 16)
    judged = np.stack([standardise(resize(film, 62)) for film in pictures])[..., None]

    def fitted(folder: Path, stop_after: int | None = None) -> list[np.ndarray]:
        keras.utils.set_random_seed(3)
        model = network.ARCHITECTURES["sequential"](62)

        def stop(progress: Progress) -> None:
            if progress.finished_epoch and progress.epoch == stop_after:
                raise KeyboardInterrupt

        fitting.train_epochs(
            model,
            (pictures, targets),
            (judged, targets),
            recipe=recipe,
            epochs=3,
            seed=3,
            checkpoints=fitting.Checkpoints(folder, {"seed": 3}),
            progress=stop,
        )
        return model.get_weights()

    whole = fitted(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "broken", stop_after=1)
    again = fitted(tmp_path / "broken")
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    last = network.ARCHITECTURES["sequential"](62)
    state = fitting.Checkpoints(tmp_path / "whole", {"seed": 3}).state
    last.load_weights(tmp_path / "whole" / f"epoch-{state.best_epoch:03d}.weights.h5", skip_mismatch=True)
    apart = [
        np.abs(one - other).max() for one, other in zip(whole, last.get_weights(), strict=True) if one.size
    ]
    assert max(apart) > 1e-3


def test_films_are_exchanged_with_others_of_both_classes_in_their_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = np.stack([unit(chest(seed, seed % 2 == 1)) for seed in range(40)])
    targets = np.array([0, 1] * 20)
    places = {film.tobytes(): place for place, film in enumerate(pictures)}
    draws = fitting.Draws(pictures, targets, Preparation(62, AREA_MEANS), seed=1, epoch=0, exchange=True)
    films, _ = draws[0]
    np.testing.assert_array_equal(films, draws[0][0])
    assert (films == fitting.Draws(pictures, targets, Preparation(62, AREA_MEANS), 1, 0)[0][0]).mean() < 0.5
    partners: list[int] = []

    def augment(film: np.ndarray, _: np.random.Generator, other: np.ndarray) -> np.ndarray:
        partners.append(places[other.tobytes()])
        return film

    monkeypatch.setattr(fitting, "augment", augment)
    draws[0]
    assert set(partners) <= set(draws.order[: fitting.BATCH].tolist())
    assert len(set(partners)) > 8
    assert 0.2 < targets[partners].mean() < 0.8


def test_a_second_population_trains_with_classes_drawn_evenly() -> None:
    pictures = (np.random.default_rng(1).random((60, 32, 32)) * 255).astype(np.uint8)
    targets = np.array([0] * 10 + [1] * 30)
    others = np.array([0] * 15 + [1] * 5)
    also = fitting.Also(pictures[40:], others, 0.25, np.zeros((1, 32, 32, 1), np.float32), np.array([1]))
    draws = fitting.Draws(pictures[:40], targets, Preparation(32, AREA_MEANS), seed=1, epoch=0, also=also)
    theirs = draws.order.reshape(len(draws), fitting.BATCH) >= 40
    assert (theirs.sum(axis=1) == fitting.BATCH // 4).all()
    for rows in (theirs.reshape(-1), ~theirs.reshape(-1)):
        assert draws.targets[rows].mean(axis=0).tolist() == [0.5, 0.5]
    films, classes = draws[0]
    assert films.shape == (fitting.BATCH, 32, 32, 1)
    assert classes.shape == (fitting.BATCH, 2)


def test_lite_trains_with_a_second_population(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "BATCH", 8)
    films, others = data_set(tmp_path / "films", 5), data_set(tmp_path / "others", 6)
    about = About("Drawings.", "Drawn chests.", (2, 4), 12)
    out = tmp_path / "lite"
    card = train(
        films,
        out,
        architecture="lite0",
        epochs=1,
        seed=5,
        side=96,
        about=about,
        also=Second(others, 0.25, "drawn adults"),
    )
    assert (card.input_size, card.heatmap["stride"], np.shape(card.heatmap["reference"])) == (96, 16, (6, 6))
    assert card.training["exchange"]
    assert card.training["balance"] == fitting.RECIPES["lite0"].balance > 1
    assert card.origin["sentence"] in (out / "MODEL_CARD.md").read_text()
    assert {"also_val_loss", "also_val_auc"} < set(card.history[0])
    assert "learned from" in card.population["evidence"]
    assert "drawn adults" in {row["group"] for row in card.subgroups}
    assert "bacterial" not in json.dumps(card.subgroups)
    assert "## By kind of film" in (out / "MODEL_CARD.md").read_text()
    assert card.runtime == "litert"
    assert sum(path.stat().st_size for path in out.iterdir()) < 20e6
    with pytest.raises(TrainingError, match="not both"):
        train(films, tmp_path / "x", also=Second(others), proof=Proof(second_population=others))
    for wrong in (0.5, math.nan, math.inf):
        with pytest.raises(TrainingError, match="1 or more"):
            train(films, tmp_path / "x", balance=wrong)
    with pytest.raises(TrainingError, match="takes no balance"):
        train(films, tmp_path / "x", architecture="lite0", init=out, mode="head", balance=2.0)
    with pytest.raises(TrainingError, match="lite0"):
        train(films, tmp_path / "x", imagenet=tmp_path / "lite0.pth")
    assert card.views
    card.initialisation = {"weights": "weights of others", "licence": "Apache-2.0", "sha256": "0" * 64}
    artifact.seal(out, card)
    following = train(
        films,
        tmp_path / "next",
        architecture="lite0",
        epochs=1,
        seed=5,
        init=out,
        mode="head",
        proof=Proof(gate_of=out),
    )
    assert (following.input_size, following.preprocessing) == (96, card.preprocessing)
    assert following.initialisation == card.initialisation
    assert (following.training["exchange"], following.training["balance"]) == (False, 1)
    assert "weights of others (licence Apache-2.0" in (tmp_path / "next" / "MODEL_CARD.md").read_text()


def test_training_stops_early_when_it_gets_no_better(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = iter([0.5, 0.6, 0.7, 0.1])
    monkeypatch.setattr(
        fitting,
        "_judge",
        lambda *_: {"val_loss": next(judged), "val_auc": 0.5, "val_accuracy": 0.5},
    )
    card = train(films, tmp_path / "early", epochs=4, seed=5, patience=2)
    assert [row["epoch"] for row in card.history] == [1, 2, 3]
    assert card.best_epoch == 1
