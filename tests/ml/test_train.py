"""Training on drawings: whole or absent, resumable, the same again from the same seed, and served at the end."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ml.artifact import folder as artifact_folder
from ml.artifact.card import Card
from ml.errors import ResumeError
from ml.images.preprocessing import SMOOTHED, resize, standardise
from ml.images.reader import read_radiograph
from ml.networks import efficientnet_lite, registry
from ml.serving.predictor import Predictor
from ml.train import About, Proof, Second, TrainingError, main, train
from ml.training import loop, recipes
from ml.training.loop import Progress
from ml.training.reproducibility import make_repeatable
from tests.support.radiographs import FILES, PICTURES, chest, data_set, unit

EPOCHS = 3


@pytest.fixture(scope="module")
def reports() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def trained(films: Path, reports: list[Progress], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of drawings, trained in this process."""
    out = tmp_path_factory.mktemp("trained") / "drawings-1"
    about = About("Drawings.", "Drawn chests.", (2, 4), 12, flattered="All were seen before.")
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
    return artifact_folder.check(trained)


def test_the_folder_is_whole_and_nothing_else_is_left(trained: Path, card: Card) -> None:
    assert {path.name for path in trained.iterdir()} - PICTURES == set(FILES)
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in trained.parent.iterdir()] == ["drawings-1"]
    assert card.name == "drawings-1"


def test_the_card_tells_of_the_training(trained: Path, card: Card) -> None:
    assert [row["epoch"] for row in card.history] == [1, 2, 3]
    assert set(card.history[0]) == {"epoch", "loss", "val_loss", "auc", "val_auc", "accuracy", "val_accuracy"}
    assert min(card.history, key=lambda row: row["val_loss"])["epoch"] == card.best_epoch
    assert card.data["films"] == {"NORMAL": 16, "PNEUMONIA": 16}
    assert card.data["patients"] == 24
    assert card.data["flattered"] == "All were seen before."
    told = (trained / artifact_folder.MODEL_CARD).read_text()
    assert "## Figures on the validation films\n\nAll were seen before.\n" in told
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
    drawing = artifact_folder.load_card(trained)
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
    artifact_folder.check(out)


def test_what_is_there_is_never_overwritten(films: Path, trained: Path) -> None:
    before = artifact_folder.artifact_hash(trained)
    with pytest.raises(TrainingError, match="already there"):
        train(films, trained, epochs=1)
    with pytest.raises(TrainingError, match="keeps its rule"):
        train(films, trained.with_name("x"), epochs=1, init=trained, preprocessing=SMOOTHED)
    with pytest.raises(TrainingError, match="held back; take its seed, 5"):
        train(films, trained.with_name("x"), epochs=1, init=trained, seed=6)
    assert artifact_folder.artifact_hash(trained) == before


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
    loop.Checkpoints(tmp_path, {"seed": 1})
    (tmp_path / "state.json").write_text(json.dumps({"task": {"seed": 1}, "epoch": 0, "history": []}))
    assert loop.Checkpoints(tmp_path, {"seed": 1}).state.epoch == 0
    with pytest.raises(ResumeError, match="other films or settings"):
        loop.Checkpoints(tmp_path, {"seed": 2})


def test_the_command_without_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "x"), "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "neither labels.csv" in said.err


def test_the_average_is_what_is_kept_also_after_an_interruption(tmp_path: Path) -> None:
    recipe = recipes.Recipe(averaging=0.9, mixing=0.5)
    pictures = np.stack([unit(chest(seed, seed % 2 == 1)) for seed in range(32)])
    targets = np.array([0, 1] * 16)
    judged = np.stack([standardise(resize(film, 62)) for film in pictures])[..., None]

    def fitted(folder: Path, stop_after: int | None = None) -> list[np.ndarray]:
        make_repeatable(3)
        model = registry.ARCHITECTURES["sequential"](62)

        def stop(progress: Progress) -> None:
            if progress.finished_epoch and progress.epoch == stop_after:
                raise KeyboardInterrupt

        loop.train_epochs(
            model,
            (pictures, targets),
            (judged, targets),
            recipe=recipe,
            epochs=3,
            seed=3,
            checkpoints=loop.Checkpoints(folder, {"seed": 3}),
            progress=stop,
        )
        return model.get_weights()

    whole = fitted(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "broken", stop_after=1)
    again = fitted(tmp_path / "broken")
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    last = registry.ARCHITECTURES["sequential"](62)
    state = loop.Checkpoints(tmp_path / "whole", {"seed": 3}).state
    last.load_weights(tmp_path / "whole" / f"epoch-{state.best_epoch:03d}.weights.h5", skip_mismatch=True)
    apart = [
        np.abs(one - other).max() for one, other in zip(whole, last.get_weights(), strict=True) if one.size
    ]
    assert max(apart) > 1e-3


def test_lite_trains_with_a_second_population(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.training.sampler.BATCH", 8)
    # One block a stage: building and exporting its graph takes nearly all of the time.
    monkeypatch.setattr(
        "ml.networks.efficientnet_lite.STAGES", [(1, *stage[1:]) for stage in efficientnet_lite.STAGES]
    )
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
    assert card.training["balance"] == recipes.RECIPES["lite0"].balance > 1
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
    artifact_folder.seal(out, card)
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
        loop,
        "losses",
        lambda *_: {"val_loss": next(judged), "val_auc": 0.5, "val_accuracy": 0.5},
    )

    def stop(words: str) -> None:
        if words.startswith("Exporting"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(films, tmp_path / "early", epochs=4, seed=5, patience=2, stage=stop)
    state = json.loads((tmp_path / "early.unfinished" / "state.json").read_text())
    assert [row["epoch"] for row in state["history"]] == [1, 2, 3]
    assert state["best_epoch"] == 1
