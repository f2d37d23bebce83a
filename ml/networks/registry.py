"""The architectures that can be trained, by name."""

from __future__ import annotations

import keras

from ml.networks import efficientnet_lite
from ml.networks.sequential import CLASSES, FEATURES, HIDDEN, MAP_STRIDE, Builder, Evidence, sequential

ARCHITECTURES: dict[str, Builder] = {
    "sequential": sequential,
    efficientnet_lite.NAME: efficientnet_lite.build,
}

INPUT_SIDES: dict[str, int] = {
    "sequential": 62,
    efficientnet_lite.NAME: efficientnet_lite.SIDE,
}

MAP_STRIDES: dict[str, int] = {
    "sequential": MAP_STRIDE,
    efficientnet_lite.NAME: efficientnet_lite.MAP_STRIDE,
}

MAP_METHODS: dict[str, str] = {
    "sequential": "HiResCAM of the logit",
    efficientnet_lite.NAME: "Class activation map of the logit",
}

VIEWS: dict[str, str] = {"sequential": "", efficientnet_lite.NAME: efficientnet_lite.VIEWS}
"""How new versions look at a film, where not simply once."""

SMOOTHINGS: dict[str, float] = {"sequential": 1.0, efficientnet_lite.NAME: 0.5}
"""Deviation, in cells, of the smoothing of the map before it is shown."""


def serving_model(model: keras.Model) -> keras.Model:
    """One forward pass to `logit` (batch,), `map` (batch, h, w) and `embedding` (batch, features).

    `logit` is pneumonia minus normal. `map` is the evidence for pneumonia by place, in logits, signed. For a
    flattened network with one hidden ReLU layer it is HiResCAM in closed form (Draelos and Carin, arXiv 2011.08891):
    features times the gradient of the logit, summed over channels. Since the network is linear between its ReLUs,
    the map's sum and the terms of the biases are the logit, exactly. For lite0 see
    `efficientnet_lite.serving_model`.
    """
    if efficientnet_lite.is_lite(model):
        return efficientnet_lite.serving_model(model)
    hidden = model.get_layer(HIDDEN)
    evidence = Evidence(hidden, model.get_layer(CLASSES), name="evidence")
    logit, places = evidence([model.get_layer(FEATURES).output, hidden.output])
    outputs = {"logit": logit, "map": places, "embedding": hidden.output}
    return keras.Model(model.inputs[0], outputs, name=f"{model.name}_serving")
