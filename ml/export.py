"""From a trained Keras model to the file that is served, and the proof that both answer alike.

Also a command, for a version that was trained where TensorFlow is not: `python -m ml.export MODEL DIR --out DIR`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ml import artifact, dataset, evidence, fitting
from ml.artifact import Card
from ml.failing import FAILURES, told
from ml.images import Preparation
from ml.material import TrainingError, ready
from ml.network import serving_model
from ml.runtime import Keras, LiteRT, Outputs, run_all, thread_count

TOLERANCE = 1e-3


def export_litert(model: keras.Model, path: Path, half: bool = False) -> bool:
    """Write the serving model as LiteRT. False where the backend is not TensorFlow, which alone can convert.

    `half` stores the weights in half precision; sums are still done in single precision.
    """
    return convert(serving_model(model), path, half)


def convert(model: keras.Model, path: Path, half: bool = False) -> bool:
    """`export_litert` for any model of one input, with the outputs that it has."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # noqa: TID251 - the converter is part of TensorFlow

    weights = [(variable, keras.ops.convert_to_numpy(variable)) for variable in model.variables]

    def call(films: Any) -> Any:
        # As variables the converter would lose them, or need a SavedModel, which takes several times as long.
        constants = [(variable, tf.constant(value)) for variable, value in weights]
        with keras.StatelessScope(state_mapping=constants):
            return model(films, training=False)

    films = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    traced = tf.function(call, input_signature=[films]).get_concrete_function()
    # The second is what the function belongs to; without one the file gets no signature.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())
    return True


def compress(path: Path) -> None:
    """Pack a saved Keras model again, deflated; weights rounded to half precision shrink to about half."""
    packed = path.with_name(path.name + ".packed")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            new.writestr(item.filename, old.read(item))
    packed.replace(path)


def agreement(reference: Outputs, served: Outputs) -> dict[str, Any]:
    """Largest differences between two runtimes over the same films, and whether logits agree within `TOLERANCE`."""
    logit = float(np.abs(reference.logits - served.logits).max())
    cells = float(np.abs(reference.maps - served.maps).max())
    films = len(reference.logits)
    agrees = bool(logit <= TOLERANCE)
    return {
        "films": films,
        "largest_logit_difference": logit,
        "largest_map_difference": cells,
        "agrees": agrees,
        "sentence": f"LiteRT and Keras gave logits within {logit:.1g} and maps within {cells:.1g} of each other on "
        f"{films:,} validation films; {'LiteRT' if agrees else 'Keras'} serves.",
    }


def export_version(model: Path, directory: Path, out: Path) -> Card:
    """Write `model` with a LiteRT copy of its weights to `out`; `directory` holds the films that it was trained with.

    The copy serves where it agrees with Keras on every validation film. Raises `TrainingError` where this cannot be
    done, `ArtifactError`, `DatasetError` and `ImageError`.
    """
    if out.exists():
        raise TrainingError(f"{out} is already there; choose another folder or delete it.")
    card = artifact.check(model)
    films = dataset.split(dataset.read_folder(directory), seed=card.seed)
    if films.hash != card.data["split_hash"]:
        raise TrainingError(f"{directory} does not hold the films that {card.name} was trained with.")
    unfinished = out.with_name(out.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(model, unfinished)
    path = unfinished / artifact.LITERT_FILE
    kept = keras.saving.load_model(unfinished / artifact.KERAS_FILE, compile=False, safe_mode=True)
    if not export_litert(kept, path, half=fitting.RECIPES[card.architecture].half_precision):
        shutil.rmtree(unfinished)
        raise TrainingError(
            "Only the TensorFlow backend can convert to LiteRT; run this where it is installed."
        )
    validation = ready(evidence.read(films.validation), Preparation(card.input_size, card.preprocessing))
    found = agreement(
        run_all(Keras(unfinished / artifact.KERAS_FILE), validation),
        run_all(LiteRT(path, thread_count()), validation),
    )
    if not found["agrees"]:
        path.unlink()
    card.agreement = {**card.agreement, "litert": found}
    card.runtime = "litert" if found["agrees"] else "keras"
    card.name = out.name
    artifact.seal(unfinished, card)
    unfinished.rename(out)
    return artifact.load_card(out)


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
