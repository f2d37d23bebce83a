"""Networks that others built, for one-channel films, to be compared with ours: none of them is served.

Each builder takes the side of the film in pixels and returns a model that ends in two logits, (normal, pneumonia),
from random weights. All but the VGG-like one are those of `keras.applications`, with global average pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from ml.networks import efficientnet_lite, sequential

NORMALISATION_MOMENTUM = 0.9
"""Of every batch normalisation. The architectures' own, up to 0.999, are made for a hundred times as many steps: their
running means would still be those of the random start."""
VGG_ROUNDS = ((1, 32), (1, 64), (2, 128), (2, 256), (2, 256))


@dataclass(frozen=True)
class Peer:
    """`title` for people; `imagenet` where the network starts from ImageNet weights of a checkpoint."""

    title: str
    build: Callable[[int], keras.Model]
    imagenet: bool = False


def vgg(side: int) -> keras.Model:
    """The VGG idea (Simonyan and Zisserman, ICLR 2015): 3 x 3 convolutions between poolings, eight of them, a quarter
    to half of the channels, normalised, and pooled globally rather than flattened."""
    film = keras.Input((side, side, 1), name="film")
    x = film
    for repeats, channels in VGG_ROUNDS:
        for _ in range(repeats):
            x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(2, padding="same")(x)
    return _headed(film, layers.GlobalAveragePooling2D()(x), "vgg")


def _application(name: str, builder: Callable[..., keras.Model], scale: float = 1.0) -> Any:
    """`scale` undoes what the network divides its input by: films are standardised already."""

    def build(side: int) -> keras.Model:
        film = keras.Input((side, side, 1), name="film")
        scaled = layers.Rescaling(scale, name="scale")(film) if scale != 1.0 else film
        body = builder(include_top=False, weights=None, input_tensor=scaled, pooling="avg")
        return _headed(film, body.output, name)

    return build


def _headed(film: Any, features: Any, name: str) -> keras.Model:
    x = layers.Dropout(0.2, name="dropout")(features)
    return keras.Model(film, layers.Dense(2, name=sequential.CLASSES)(x), name=name)


PEERS: dict[str, Peer] = {
    "sequential": Peer("Sequential (the original)", sequential.sequential),
    "vgg": Peer("VGG-like", vgg),
    "resnet50": Peer("ResNet50", _application("resnet50", keras.applications.ResNet50)),
    "densenet121": Peer("DenseNet121", _application("densenet121", keras.applications.DenseNet121)),
    "mobilenetv2": Peer("MobileNetV2", _application("mobilenetv2", keras.applications.MobileNetV2)),
    "efficientnetb0": Peer(
        "EfficientNetB0", _application("efficientnetb0", keras.applications.EfficientNetB0, 255.0)
    ),
    "lite0": Peer("EfficientNet-Lite0 (ours)", efficientnet_lite.build),
    "lite0-imagenet": Peer(
        "EfficientNet-Lite0 (ours) from ImageNet weights", efficientnet_lite.build, imagenet=True
    ),
}


def build(name: str, side: int) -> keras.Model:
    model = PEERS[name].build(side)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = NORMALISATION_MOMENTUM
    return model
