"""A model version on disk: a folder of weights, gate and `card.json`, which holds the hash of every other file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from ml.artifact.card import OPTIONAL, Card
from ml.artifact.model_card import describe
from ml.errors import ArtifactError
from ml.files import sha256

MODELS = Path(__file__).resolve().parents[1] / "models"

SHIPPED = MODELS / "lite0-16"

SHIPPED_BEFORE: tuple[Path, ...] = (MODELS / "sequential-2",)
"""Versions that PneumoWeb shipped before `SHIPPED`, oldest first; one can go back to them."""

CARD = "card.json"

KERAS_FILE = "model.keras"

LITERT_FILE = "model.tflite"

GATE_FILE = "gate.npz"

MODEL_CARD = "MODEL_CARD.md"


def load_card(directory: Path) -> Card:
    """Read `card.json`. Raises `ArtifactError` where it is missing or is no card of this version."""
    path = directory / CARD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{directory} is no model folder: it has no {CARD}.") from error
    except ValueError as error:
        raise ArtifactError(f"{path} is not readable JSON.") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} is no model card.")
    known = {item.name for item in fields(Card)}
    missing, unknown = known - content.keys() - OPTIONAL, content.keys() - known
    if missing or unknown:
        raise ArtifactError(f"{path} is no card of this version: {', '.join(sorted(missing | unknown))}.")
    return Card(**content)


def check(directory: Path) -> Card:
    """The card, after the sha256 of every file was compared. Raises `ArtifactError` for a file that differs."""
    card = load_card(directory)
    for name in (KERAS_FILE, GATE_FILE):
        if name not in card.files:
            raise ArtifactError(f"{directory / CARD} gives no hash for {name}.")
    for name, expected in card.files.items():
        path = directory / name
        if Path(name).name != name:
            raise ArtifactError(f"{directory / CARD} names a file outside its folder: {name}.")
        if not path.is_file():
            raise ArtifactError(f"{path} is missing.")
        if sha256(path) != expected:
            raise ArtifactError(f"{path} was changed since the model was made: its hash is not the card's.")
    return card


def artifact_hash(directory: Path) -> str:
    """sha256 of `card.json`, which holds the hashes of the other files and so stands for the whole version."""
    path = directory / CARD
    if not path.is_file():
        raise ArtifactError(f"{directory} is no model folder: it has no {CARD}.")
    return sha256(path)


def seal(directory: Path, card: Card) -> None:
    """Write the model card and `card.json` with the hashes of all files. Call it last, in a folder not yet in use."""
    (directory / MODEL_CARD).write_text(describe(card), encoding="utf-8")
    card.files = {path.name: sha256(path) for path in sorted(directory.iterdir()) if path.name != CARD}
    text = json.dumps(card.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    (directory / CARD).write_text(text + "\n", encoding="utf-8")
