"""What a version has learned from stays on record, also in versions that come from it."""

import copy
import shutil
from pathlib import Path

import pytest

from ml import errors
from ml.artifact import folder, lineage, model_card
from ml.artifact.card import Card
from ml.data import dataset
from ml.train import Second, TrainingError, train
from ml.training import loop

OURS = {"hash": "ours", "held_back_hash": "a fifth"}
THEIRS = {"hash": "theirs", "held_back_hash": "a quarter"}
OTHER_SIDES = {"hash": "theirs", "held_back_hash": "another quarter"}


@pytest.fixture
def card() -> Card:
    """One that learned from one population."""
    found = folder.load_card(folder.SHIPPED_BEFORE[0])
    found.data |= {"hash": "ours", "split_hash": "a fifth"}
    return found


def test_a_version_has_learned_what_those_before_it_have(card: Card) -> None:
    parent, site_card = copy.deepcopy(card), copy.deepcopy(card)
    parent.data["second"] = THEIRS
    site_card.data = {"hash": "a site", "split_hash": "a half", "inherited": [OURS, THEIRS]}
    assert lineage.learned(parent) == [OURS, THEIRS]
    site = {"hash": "a site", "held_back_hash": "a half"}
    assert lineage.inherited(card, [parent, site_card]) == [THEIRS, site]
    assert lineage.inherited(card, [card]) == []


def test_what_a_card_does_not_tell_counts_as_learned(card: Card) -> None:
    card.history = [{**row, "also_val_loss": 0.1} for row in card.history]
    assert lineage.learned(card) == [OURS, lineage.NOT_ON_RECORD]
    child = copy.deepcopy(card)
    child.history = []
    child.data["inherited"] = lineage.inherited(child, [card])
    assert "hash of the set: one that no card names." in model_card.describe(child)
    for one in (card, child):
        lineage.refuse_if_learned(one, OURS, None)
        with pytest.raises(TrainingError, match="no card says from which films"):
            lineage.refuse_if_learned(one, OURS, THEIRS)


def test_films_with_other_sides_are_refused(card: Card) -> None:
    card.data["inherited"] = [THEIRS]
    lineage.refuse_if_learned(card, OURS, THEIRS)
    lineage.refuse_if_learned(card, {"hash": "new", "held_back_hash": "films"}, None)
    for data, second in (
        ({**OURS, "held_back_hash": "other"}, None),
        (OURS, OTHER_SIDES),
        (OTHER_SIDES, None),
    ):
        with pytest.raises(TrainingError, match="would now be held back"):
            lineage.refuse_if_learned(card, data, second)


def test_a_second_population_keeps_its_sides(
    films: Path, other_films: Path, drawn_of_both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that learned from some of it neither starts nor teaches one that would be judged by them."""
    monkeypatch.setattr("ml.training.sampler.BATCH", 8)
    shutil.copytree(drawn_of_both, tmp_path / "first")
    first = folder.load_card(tmp_path / "first")
    assert set(first.data["second"]) == {"hash", "held_back_hash"}
    moved = tmp_path / "moved"
    shutil.copytree(other_films, moved)
    read = dataset.read_folder(other_films)
    last = {max(film.patient for film in read if film.label == label) for label in dataset.LABELS}
    rows = [
        f"{film.path.relative_to(other_films)},{film.label},{film.patient},"
        f"{'validation' if film.patient in last else 'train'}"
        for film in read
    ]
    (moved / "labels.csv").write_text("\n".join(["file,label,patient,split", *rows]))
    with pytest.raises(TrainingError, match="first has learned from films that would now be held back"):
        train(films, tmp_path / "x", epochs=1, seed=5, also=Second(moved), init=tmp_path / "first")

    def stop(progress: loop.Progress) -> None:
        if progress.finished_epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(films, tmp_path / "stopped", epochs=2, seed=5, also=Second(other_films), progress=stop)
    with pytest.raises(errors.ResumeError):
        train(films, tmp_path / "stopped", epochs=2, seed=5, also=Second(moved))
    again = train(
        films, tmp_path / "again", epochs=1, seed=5, init=tmp_path / "first", also=Second(other_films)
    )
    assert again.data["second"] == first.data["second"]
    assert "inherited" not in again.data
    child = train(films, tmp_path / "child", epochs=1, seed=5, init=tmp_path / "first", mode="head")
    assert child.data["inherited"] == [first.data["second"]]
    told = (tmp_path / "child" / folder.MODEL_CARD).read_text()
    known = first.data["second"]["hash"][:12]
    assert f"also learned from other films, by the hash of the set: `{known}`." in told
    with pytest.raises(TrainingError, match="child has learned from films that would now be held back"):
        train(films, tmp_path / "x", epochs=1, seed=5, init=tmp_path / "child", also=Second(moved))
    del first.data["second"]
    folder.seal(tmp_path / "first", first)
    with pytest.raises(TrainingError, match="no card says from which films"):
        train(films, tmp_path / "x", epochs=1, seed=5, init=tmp_path / "first", also=Second(other_films))
