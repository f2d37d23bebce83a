"""Batch normalisation in one kernel while a network learns on TensorFlow.

Keras 3 composes it of mean, variance and half a dozen element-wise steps, each a pass through memory there and back;
TensorFlow has a kernel for the whole and one for its gradient. A step of EfficientNet-Lite0 on a processor takes about
two thirds of the time with it; `tests/bench` measures it.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


class BatchNormalization(layers.BatchNormalization):
    """Computes what its base does; only what it computes while it learns goes through the kernel.

    It has the name of its base because Keras keeps weights under it: so an unfinished training goes on with either.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not (training and self.trainable) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf  # noqa: TID251 - Keras has no name for this kernel

        found, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        # The kernel's variance is that of a sample; Keras keeps that of the batch itself.
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        variance *= (count - 1) / count
        for kept, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign(kept * self.momentum + now * (1 - self.momentum))
        return found


def for_training(model: keras.Model) -> keras.Model:
    """A model of the same layers, names and weights that learns faster, where the backend allows; else `model`.

    Normalisations of films (batch, h, w, channels) alone are fused. It is for learning: save the weights in a model of
    Keras's own layers.
    """
    if keras.backend.backend() != "tensorflow":
        return model

    def fused(layer: keras.Layer) -> keras.Layer:
        fits = (
            type(layer) is layers.BatchNormalization
            and (layer.axis in (-1, 3) and len(layer.input.shape) == 4)
            and (layer.scale and layer.center and not layer.renorm)
            and layer.compute_dtype == "float32"
        )
        kind = BatchNormalization if fits else type(layer)
        return kind.from_config(layer.get_config())

    found = keras.models.clone_model(model, clone_function=fused)
    found.set_weights(model.get_weights())
    return found
