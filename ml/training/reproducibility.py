"""Seeds and deterministic operations."""

from __future__ import annotations

import keras


def make_repeatable(seed: int) -> None:
    """The same seed gives the same figures: also where threads share out sums, if TensorFlow does the work."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: TID251 - Keras has no name for this switch

        tf.config.experimental.enable_op_determinism()
