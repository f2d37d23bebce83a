"""From a trained Keras model to the file that is served, and the proof that both answer alike.

Also a command, for a version that was trained where TensorFlow is not: `python -m ml.export MODEL DIR --out DIR`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ml.networks.registry import serving_model
from ml.serving.runtime import Outputs

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
