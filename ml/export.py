"""Add the LiteRT file to a model version: `python -m ml.export DIR FILMS --out DIR`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import keras

from ml.artifact import folder
from ml.artifact.card import Card
from ml.cli import FAILURES, told
from ml.data import dataset
from ml.errors import TrainingError
from ml.images.preprocessing import Preparation, ready
from ml.serving.export import agreement, export_litert
from ml.serving.runtime import Keras, LiteRT, run_all, thread_count
from ml.training import recipes


def export_version(model: Path, directory: Path, out: Path) -> Card:
    """Write `model` with a LiteRT copy of its weights to `out`; `directory` holds the films that it was trained with.

    The copy serves where it agrees with Keras on every validation film. Raises `TrainingError` where this cannot be
    done, `ArtifactError`, `DatasetError` and `ImageError`.
    """
    if out.exists():
        raise TrainingError(f"{out} is already there; choose another folder or delete it.")
    card = folder.check(model)
    films = dataset.split(dataset.read_folder(directory), seed=card.seed)
    if films.hash != card.data["split_hash"]:
        raise TrainingError(f"{directory} does not hold the films that {card.name} was trained with.")
    unfinished = out.with_name(out.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(model, unfinished)
    path = unfinished / folder.LITERT_FILE
    kept = keras.saving.load_model(unfinished / folder.KERAS_FILE, compile=False, safe_mode=True)
    if not export_litert(kept, path, half=recipes.RECIPES[card.architecture].half_precision):
        shutil.rmtree(unfinished)
        raise TrainingError(
            "Only the TensorFlow backend can convert to LiteRT; run this where it is installed."
        )
    validation = ready(dataset.read(films.validation), Preparation(card.input_size, card.preprocessing))
    found = agreement(
        run_all(Keras(unfinished / folder.KERAS_FILE), validation),
        run_all(LiteRT(path, thread_count()), validation),
    )
    if not found["agrees"]:
        path.unlink()
    card.agreement = {**card.agreement, "litert": found}
    card.runtime = "litert" if found["agrees"] else "keras"
    card.name = out.name
    folder.seal(unfinished, card)
    unfinished.rename(out)
    return folder.load_card(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with a model version, 1 where a film cannot be read, 2 where the command or a folder is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.export", description="Give a trained model version the file that is served."
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of the model version")
    parser.add_argument("directory", type=Path, metavar="DIR", help="the films that it was trained with")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--json", action="store_true", help="print the card as JSON")
    options = parser.parse_args(arguments)
    try:
        card = export_version(options.model, options.directory, options.out)
    except FAILURES as error:
        return told(parser.prog, error)
    print(
        json.dumps(card.as_dict(), ensure_ascii=False)
        if options.json
        else card.agreement["litert"]["sentence"]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
