"""Architectures, written against Keras 3 alone so that they train on TensorFlow, JAX or PyTorch.

A builder returns a model that ends in two logits, (normal, pneumonia). `serving_model` turns a trained one into what
is served: logit, map and embedding from one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from ml import lite

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
ARCHITECTURES: dict[str, Builder] = {"sequential": sequential, **lite.BUILDERS}
INPUT_SIDES: dict[str, int] = {"sequential": 62, **dict.fromkeys(lite.SCALES, lite.SIDE)}
MAP_STRIDE = 4
"""Pixels of the input that one cell of the map stands for, on each axis; the last cell may reach beyond the film."""
MAP_STRIDES: dict[str, int] = {"sequential": MAP_STRIDE, **dict.fromkeys(lite.SCALES, lite.MAP_STRIDE)}
MAP_METHODS: dict[str, str] = {
    "sequential": "HiResCAM of the logit",
    **dict.fromkeys(lite.SCALES, "Class activation map of the logit"),
}
VIEWS: dict[str, str] = {"sequential": "", **dict.fromkeys(lite.SCALES, lite.VIEWS)}
"""How new versions look at a film, where not simply once."""
SMOOTHINGS: dict[str, float] = {"sequential": 1.0, **dict.fromkeys(lite.SCALES, 0.5)}
"""Deviation, in cells, of the smoothing of the map before it is shown."""


def serving_model(model: keras.Model) -> keras.Model:
    """One forward pass to `logit` (batch,), `map` (batch, h, w) and `embedding` (batch, features).

    `logit` is pneumonia minus normal. `map` is the evidence for pneumonia by place, in logits, signed. For a
    flattened network with one hidden ReLU layer it is HiResCAM in closed form (Draelos and Carin, arXiv 2011.08891):
    features times the gradient of the logit, summed over channels. Since the network is linear between its ReLUs,
    the map's sum and the terms of the biases are the logit, exactly. For EfficientNet-Lite see `lite.serving_model`.
    """
    if lite.size_of(model):
        return lite.serving_model(model)
    hidden = model.get_layer(HIDDEN)
    evidence = Evidence(hidden, model.get_layer(CLASSES), name="evidence")
    logit, places = evidence([model.get_layer(FEATURES).output, hidden.output])
    outputs = {"logit": logit, "map": places, "embedding": hidden.output}
    return keras.Model(model.inputs[0], outputs, name=f"{model.name}_serving")


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
