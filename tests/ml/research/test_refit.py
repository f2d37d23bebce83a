"""A trained version's gate and evidence are made anew, or exported anew, and its weights stay."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ml import export
from ml.artifact import folder as artifact_folder
from ml.errors import TrainingError
from ml.images.preprocessing import AREA_MEANS, SMOOTHED
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph
from ml.research import folds, refit
from ml.research.folds import Plan
from ml.serving import export as serving_export
from ml.serving.predictor import Predictor
from ml.train import train
from ml.training.cohorts import About, Proof, Second
from tests.support.radiographs import data_set


def test_a_refit_keeps_the_weights_and_says_the_same_of_the_same_films(
    films: Path, drawn: Path, tmp_path: Path
) -> None:
    before = artifact_folder.check(drawn)
    folds.judge(films, tmp_path / "folds", Plan(folds=2, epochs=1))
    earlier = tmp_path / "of an earlier release"
    shutil.copytree(drawn, earlier)
    artifact_folder.seal(earlier, replace(before, subgroups=[], metrics_method="As it was said then."))
    after = refit.refit(
        earlier, films, tmp_path / "drawings-2", proof=Proof(full_size=films), folds=tmp_path / "folds"
    )
    told = after.data["folds"]["sentence"]
    assert told.startswith(
        "Folds of all films, 2 of them, each read by a network that had learned from the others"
    )
    assert told in (tmp_path / "drawings-2" / artifact_folder.MODEL_CARD).read_text()
    assert after.agreement["full_size"]["same_label"] == after.agreement["full_size"]["films"] > 0
    assert artifact_folder.check(tmp_path / "drawings-2").name == "drawings-2"
    for name in (artifact_folder.KERAS_FILE, artifact_folder.LITERT_FILE):
        assert after.files[name] == before.files[name]
    assert after.stress == before.stress
    assert after.operating_points == before.operating_points
    assert after.subgroups == before.subgroups != []
    assert after.metrics_method == before.metrics_method
    assert after.origin == before.origin
    assert 0 <= after.origin["auc"] <= 1
    assert after.heatmap["sanity"] == before.heatmap["sanity"]
    assert after.gate["measured"] == before.gate["measured"]
    assert after.gate["description"] == (
        f"{before.gate['description']} It was made anew for the weights of {before.name}."
    )


def test_the_same_weights_are_measured_with_films_resized_by_another_rule(
    films: Path, drawn: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="--about"):
        refit.refit(drawn, films, tmp_path / "x", preprocessing=SMOOTHED)
    out = tmp_path / "drawings-3"
    before = artifact_folder.check(drawn)
    after = refit.refit(drawn, films, out, preprocessing=SMOOTHED, about=About("Drawings."))
    assert (before.preprocessing, after.preprocessing) == (AREA_MEANS, SMOOTHED)
    assert (after.history, after.best_epoch, after.data) == (
        before.history,
        before.best_epoch,
        before.data | {"description": "Drawings."},
    )
    first, second = (
        keras.saving.load_model(folder / artifact_folder.KERAS_FILE, compile=False) for folder in (drawn, out)
    )
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert f"The weights are those of `{before.name}`" in (out / artifact_folder.MODEL_CARD).read_text()
    answers = [Predictor(folder).predict([film])[0] for folder in (drawn, out) for film in [drawing(films)]]
    assert answers[0].probability != answers[1].probability
    assert answers[1].receipt["preprocessing"] == SMOOTHED


def drawing(films: Path) -> Radiograph:
    return read_radiograph(min(films.rglob("*.png")))


def test_the_card_tells_of_maps_operating_points_and_failures(drawn: Path) -> None:
    card = artifact_folder.load_card(drawn)
    text = (drawn / artifact_folder.MODEL_CARD).read_text()
    assert {row["films"] for row in card.heatmap["sanity"]["measured"]} <= {
        "validation films",
        "validation films, every second changed",
    }
    assert all(0 < limit <= 1.2 for limit in card.heatmap["sanity"]["limits"].values())
    plain, strict = card.operating_points
    assert strict["threshold"] <= plain["threshold"]
    assert card.failures["tried"] == 20 * card.failures["films"]
    assert card.failures["wrong"] >= len(card.failures["shown"])
    assert (drawn / "failures.jpg").is_file() == bool(card.failures["shown"])
    for heading in ("## Where its maps point", "## Known failures", "To find 95% of the pneumonias"):
        assert heading in text
    assert f"Judged on patients who did not choose: {card.calibration['folds']['sentence']}" in text


def test_films_of_another_training_are_refused(drawn: Path, tmp_path: Path) -> None:
    other = data_set(tmp_path / "other", 8)
    with pytest.raises(TrainingError, match="does not hold the films"):
        refit.refit(drawn, other, tmp_path / "x")
    assert refit.main([str(drawn), str(other), "--out", str(drawn)]) == 2
    assert not (tmp_path / "x").exists()


def test_a_second_population_is_that_of_the_training(
    films: Path, other_films: Path, drawn_of_both: Path, tmp_path: Path
) -> None:
    for wrong in (None, Second(data_set(tmp_path / "fewer", 5))):
        with pytest.raises(TrainingError, match="name that folder with --also"):
            refit.refit(drawn_of_both, films, tmp_path / "x", also=wrong)
    assert not (tmp_path / "x").exists()
    card = artifact_folder.load_card(drawn_of_both)
    again = refit.refit(drawn_of_both, films, tmp_path / "again", also=Second(other_films))
    assert again.data == card.data
    shutil.copytree(drawn_of_both, tmp_path / "first")
    del card.data["second"]
    card.data["inherited"] = [{"hash": "films of a version before", "held_back_hash": "some of them"}]
    artifact_folder.seal(tmp_path / "first", card)
    anew = refit.refit(
        tmp_path / "first",
        films,
        tmp_path / "anew",
        also=Second(other_films),
        about=About(),
        preprocessing=SMOOTHED,
    )
    assert "second" not in anew.data
    assert anew.data["inherited"] == card.data["inherited"]


def test_a_version_without_a_served_file_is_exported_later(
    films: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_export, "convert", lambda *_: False)
    bare = train(films, tmp_path / "bare", epochs=1, seed=5)
    assert bare.runtime == "keras"
    monkeypatch.undo()
    card = export.export_version(tmp_path / "bare", films, tmp_path / "served")
    assert card.runtime == "litert"
    assert card.agreement["litert"]["largest_logit_difference"] <= 1e-3
    assert json.loads((tmp_path / "served" / "card.json").read_text())["files"]["model.tflite"]
