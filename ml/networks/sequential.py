"""Architectures, written against Keras 3 alone so that they train on TensorFlow, JAX or PyTorch.

A builder returns a model that ends in two logits, (normal, pneumonia). `serving_model` turns a trained one into what
is served: logit, map and embedding from one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

HIDDEN = "hidden"

CLASSES = "classes"

FEATURES = "features"

ROUNDS = (24, 48)
"""Channels of the two rounds that halve the picture. The last convolution stays at a quarter of the resolution, so
that the map has 16 x 16 cells and can tell one zone of a lung from the next."""


def sequential(side: int = 62) -> keras.Sequential:
    """The original idea: rounds of convolution and max pooling, flatten, two dense layers, two classes.

    Input (batch, side, side, 1), standardised films; output (batch, 2) logits. About a million parameters.
    """
    model = keras.Sequential([keras.Input((side, side, 1), name="film")], name="sequential")
    for number, channels in enumerate(ROUNDS, start=1):
        _convolution(model, channels, f"round{number}")
        model.add(layers.MaxPooling2D(2, padding="same", name=f"round{number}_pooling"))
    _convolution(model, 64, "last", activation_name=FEATURES)
    model.add(layers.Flatten(name="flatten"))
    model.add(layers.Dropout(0.5, name="dropout"))
    model.add(
        layers.Dense(64, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4), name=HIDDEN)
    )
    model.add(layers.Dense(2, name=CLASSES))
    return model


Builder = Callable[..., keras.Model]

MAP_STRIDE = 4
"""Pixels of the input that one cell of the map stands for, on each axis; the last cell may reach beyond the film."""


class Evidence(layers.Layer):
    """Logit and map from the last features (batch, h, w, c) and the output (batch, d) of the hidden layer."""

    def __init__(self, hidden: layers.Dense, classes: layers.Dense, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden, self.classes = hidden, classes

    def call(self, inputs: list[Any]) -> tuple[Any, Any]:
        features, hidden = inputs
        direction = self.classes.kernel[:, 1] - self.classes.kernel[:, 0]
        offset = self.classes.bias[1] - self.classes.bias[0]
        logit = ops.matmul(hidden, direction[:, None])[:, 0] + offset
        active = ops.cast(hidden > 0, features.dtype)
        gradient = ops.matmul(active * direction, ops.transpose(self.hidden.kernel))
        gradient = ops.reshape(gradient, (-1, *features.shape[1:]))
        return logit, ops.sum(features * gradient, axis=-1)


def _convolution(
    model: keras.Sequential, channels: int, name: str, activation_name: str | None = None
) -> None:
    model.add(layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_convolution"))
    model.add(layers.BatchNormalization(name=f"{name}_normalisation"))
    model.add(layers.ReLU(name=activation_name or f"{name}_relu"))
