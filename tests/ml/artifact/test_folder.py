"""The model folder: whole, unchanged, and readable by people."""

import json
import shutil
from pathlib import Path

import pytest

from ml.artifact import folder, model_card
from ml.artifact.folder import SHIPPED, SHIPPED_BEFORE
from ml.errors import ArtifactError
from ml.files import sha256
from tests.support.radiographs import FILES, PICTURES


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "model"))


@pytest.mark.parametrize("directory", [*SHIPPED_BEFORE, SHIPPED], ids=lambda d: d.name)
def test_a_shipped_model_is_whole_and_small(directory: Path) -> None:
    card = folder.check(directory)
    assert set(card.files) - PICTURES == set(FILES) - {"card.json"}
    assert sum(path.stat().st_size for path in directory.iterdir()) < 20_000_000
    assert card.name == directory.name
    assert card.labels == ["NORMAL", "PNEUMONIA"]


def test_the_original_idea_is_among_them() -> None:
    card = folder.load_card(SHIPPED_BEFORE[0])
    assert (card.name, card.architecture, card.input_size) == ("sequential-2", "sequential", 62)


@pytest.mark.parametrize("name", [name for name in FILES if name != "card.json"])
def test_a_changed_file_is_found(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=name):
        folder.check(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        folder.check(copy)


def test_the_hash_stands_for_every_file(copy: Path) -> None:
    before = folder.artifact_hash(copy)
    assert before == folder.artifact_hash(SHIPPED)
    card = json.loads((copy / "card.json").read_text())
    card["files"]["model.tflite"] = "0" * 64
    (copy / "card.json").write_text(json.dumps(card))
    assert folder.artifact_hash(copy) != before


@pytest.mark.parametrize("content", ["", "not JSON", "[]", "{}", '{"name": "x"}'])
def test_a_card_that_is_none(copy: Path, content: str) -> None:
    (copy / "card.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"card\.json"):
        folder.load_card(copy)


def test_a_card_cannot_point_outside_its_folder(copy: Path) -> None:
    (copy.parent / "secret").write_text("x")
    card = json.loads((copy / "card.json").read_text())
    card["files"]["../secret"] = sha256(copy.parent / "secret")
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match="outside"):
        folder.check(copy)


def test_a_card_must_hash_what_is_loaded(copy: Path) -> None:
    card = json.loads((copy / "card.json").read_text())
    del card["files"]["gate.npz"]
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match=r"gate\.npz"):
        folder.check(copy)


def test_a_folder_without_a_card_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no model folder"):
        folder.artifact_hash(tmp_path)


@pytest.mark.parametrize("directory", [*SHIPPED_BEFORE, SHIPPED], ids=lambda d: d.name)
def test_the_card_says_what_others_read(directory: Path) -> None:
    card = folder.load_card(directory).as_dict()
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        low, high = card["metrics"][f"{name}_ci"]
        assert 0 <= low <= card["metrics"][name] <= high <= 1
    (tn, fp), (fn, tp) = card["metrics"]["confusion"]
    held = card["data"]["validation"]
    assert (tn + fp, fn + tp) == (held["NORMAL"], held["PNEUMONIA"])
    assert card["metrics"]["sensitivity"] == pytest.approx(tp / (tp + fn), abs=1e-4)
    assert len(card["history"]) == card["training"]["epochs"]
    best = min(card["history"], key=lambda row: row["val_loss"])
    assert best["epoch"] == card["best_epoch"]
    assert len(card["roc"]) <= 200
    assert card["population"].keys() >= {"description", "age_years", "refuse_from_years", "evidence"}
    assert card["agreement"]["litert"]["agrees"]
    assert {row["stress"] for row in card["stress"]} >= {"as they are", "blurred", "sharpened"}


@pytest.mark.parametrize("directory", [*SHIPPED_BEFORE, SHIPPED], ids=lambda d: d.name)
def test_the_model_card_is_made_from_the_card(directory: Path) -> None:
    card = folder.load_card(directory)
    text = model_card.describe(card)
    assert (directory / "MODEL_CARD.md").read_text() == text
    assert f"{card.metrics['auc']:.3f}" in text
    assert "Decision support" in text
