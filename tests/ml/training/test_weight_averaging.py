"""Several trainings that become one, and how much of the way from a start is kept."""

import shutil
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.artifact import folder
from ml.data.dataset import read_folder, split
from ml.images import perturbations
from ml.images.perturbations import STRESSES
from ml.images.preprocessing import AREA_MEANS, Preparation, ready
from ml.images.reader import read_radiograph
from ml.metrics import classification
from ml.networks import registry
from ml.train import Proof, train
from ml.training import loop
from ml.training.cohorts import Second, SecondPopulation
from ml.training.loop import Progress


def test_a_model_can_be_the_start_of_the_next(films: Path, drawn: Path, tmp_path: Path) -> None:
    card = folder.load_card(drawn)
    proof, stages = Proof(repeats=drawn), list[str]()
    following = train(
        films, tmp_path / "next", epochs=1, seed=5, init=drawn, proof=proof, stage=stages.append
    )
    said = [f"{number} of 4 were judged" for number in range(1, 5)]
    assert [words.rpartition(": ")[2] for words in stages[3:-1]] == said
    assert [*stages[:2], stages[-1]] == ["Reading the films", "Training", "Exporting and measuring"]
    assert following.training["init"] == folder.artifact_hash(drawn)
    assert following.training["learning_rate"] == pytest.approx(0.3 * card.training["learning_rate"])
    assert following.history[0]["val_loss"] != card.history[0]["val_loss"]
    shares = following.training["shares"]
    assert [row["share"] for row in shares] == [0.25, 0.5, 0.75, 1.0]
    assert shares[-1]["val_loss"] == pytest.approx(following.history[0]["val_loss"], abs=1e-5)
    assert len({row["val_loss"] for row in shares}) == 4
    kept_row = min(shares, key=lambda row: row["worst_loss"])
    assert "of the way" in (tmp_path / "next" / "MODEL_CARD.md").read_text()
    kept = keras.saving.load_model(tmp_path / "next" / "model.keras", compile=False)
    validation = split(read_folder(films), seed=5).validation
    prepare = Preparation(62, AREA_MEANS)
    judged = np.stack([prepare(read_radiograph(film.path)) for film in validation])[..., None]
    answers = partial(loop.logits, kept)
    found = loop.judge(answers, (judged, np.array([film.target for film in validation])), None)
    assert found["val_loss"] == pytest.approx(kept_row["val_loss"], abs=1e-4)
    targets = np.array([film.target for film in validation])
    losses = {}
    for stress in STRESSES:
        changed = [perturbations.stressed(read_radiograph(film.path), stress) for film in validation]
        films_so = np.stack([prepare(film) for film in changed])[..., None]
        losses[stress] = loop.judge(answers, (films_so, targets), None)["val_loss"]
    assert {row["worst"] for row in shares} <= set(losses)
    assert kept_row["worst"] == max(losses, key=lambda stress: losses[stress])
    assert kept_row["worst_loss"] == pytest.approx(max(losses.values()), abs=1e-4)
    assert "trained twice" in following.reproducibility
    assert "no logit differed" in following.reproducibility


def test_variants_are_averaged_also_after_an_interruption(films: Path, tmp_path: Path) -> None:
    out, kept = tmp_path / "mean", tmp_path / "kept"
    reports: list[Progress] = []

    def watch(progress: Progress) -> None:
        reports.append(progress)
        if progress.finished_epoch and progress.epoch == 1 and not kept.exists():
            shutil.copytree(out.with_name("mean.unfinished"), kept)
            raise KeyboardInterrupt
        if progress.finished_epoch and progress.epoch == 2:
            shutil.copytree(out.with_name("mean.unfinished"), kept, dirs_exist_ok=True)

    with pytest.raises(KeyboardInterrupt):
        train(films, out, epochs=1, variants=2, seed=5, progress=watch)
    found = train(films, out, epochs=1, variants=2, seed=5, progress=watch)
    assert [report.epoch for report in reports if report.finished_epoch] == [1, 2]
    assert {report.epochs for report in reports} == {2}
    rows = found.training["variants"]
    assert [row["weights"] for row in rows] == ["variant 1, epoch 1", "variant 2, epoch 1", "their mean"]
    assert "| their mean |" in (out / "MODEL_CARD.md").read_text()
    networks = [registry.ARCHITECTURES["sequential"](62) for _ in range(2)]
    for number, one in enumerate(networks):
        one.load_weights(kept / f"variant-{number}" / "epoch-001.weights.h5")
    mean = keras.saving.load_model(out / folder.KERAS_FILE, compile=False)
    for whole, first, second in zip(
        mean.get_weights(), networks[0].get_weights(), networks[1].get_weights(), strict=True
    ):
        np.testing.assert_allclose(whole, (first + second) / 2, atol=1e-6)
    assert any(
        np.abs(one - other).max() > 1e-4
        for one, other in zip(*(model.get_weights() for model in networks), strict=True)
    )


def test_what_a_second_population_loses_counts_where_a_way_is_chosen(
    films: Path, other_films: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml.training.sampler.BATCH", 8)
    also = Second(other_films, 0.5, "drawn adults")
    found = train(films, tmp_path / "next", epochs=1, seed=5, init=drawn, also=also)
    rows = found.training["shares"]
    for row in rows:
        assert row["weighed_loss"] == pytest.approx((row["worst_loss"] + row["also_val_loss"]) / 2, abs=1e-5)
    best = min(rows, key=lambda row: row["weighed_loss"])
    second = SecondPopulation(Proof(), also, 5)
    inputs = ready(second.pictures_of(second.measured), Preparation(62, AREA_MEANS))
    kept = keras.saving.load_model(tmp_path / "next" / folder.KERAS_FILE, compile=False)
    losses = classification.losses(loop.logits(kept, inputs), second.targets(second.measured))
    assert losses["val_loss"] == pytest.approx(best["also_val_loss"], abs=1e-4)
    assert len({row["also_val_loss"] for row in rows}) == 4
    told = (tmp_path / "next" / folder.MODEL_CARD).read_text()
    assert f"lie at {best['share']:.0%} of the way" in told
    assert "that on the second population counting beside it with its share:" in told
    assert f"with the second population {best['weighed_loss']:.4f}" in told
