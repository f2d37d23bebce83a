"""EfficientNet-Lite0 for one-channel films, and how its weights are kept small without losing agreement.

The architecture is that of EfficientNet-B0 (Tan and Le, ICML 2019) in its "lite" form: no squeeze-and-excitation, and
ReLU6.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

NAME = "lite0"
FEATURES = "features"
EMBEDDING = "embedding"
CLASSES = "classes"
SIDE = 160
STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LAST_STRIDE = 5
"""The stage whose stride a dense network leaves out."""
STEM, HEAD = 32, 1280
MAP_STRIDE = 16
TWICE = "_twice"
"""Ends the names of models that look at a film twice; the first versions answer from the whole film alone."""
ZOOM = 1.15
"""How much larger the second look shows the middle of the film. On validation films, changed ones and adults 1.1,
1.15 and 1.2 all did better than the whole film alone; the larger ones more so, but for films cropped already."""
FINEST = 256
VIEWS = (
    f"Each film is looked at twice in one pass: whole, and its middle {ZOOM} times enlarged and mirrored. The "
    "answer is the mean of both logits, the map that of both maps in their places."
)
EPSILON = 1e-3
Array = NDArray[Any]


def build(side: int = SIDE, dense: bool = False, twice: bool = True) -> keras.Model:
    """Input (batch, side, side, 1), standardised films; output (batch, 2) logits; 3.4 million parameters.

    `twice` tells how `serving_model` looks at a film, and ends the model's name; training always looks once.

    `dense` computes the last stages at every place rather than at every second one: the stride is left out and what
    follows is dilated by two (Chen et al., arXiv 1606.00915), with the same weights. A quarter of its features are
    those of the network that was trained, the others lie between them. It costs twice the time and gives a map of
    10 x 10 cells rather than 5 x 5.
    """
    film = keras.Input((side, side, 1), name="film")
    x = _convolution(film, STEM, 3, 2, "stem")
    number, dilation = 0, 1
    for stage, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
        for repeat in range(repeats):
            first = stride if repeat == 0 else 1
            widened = dense and stage == LAST_STRIDE and repeat == 0
            x = _block(
                x,
                kernel,
                1 if widened else first,
                dilation,
                expansion,
                channels,
                f"block{number}",
                first == 1,
            )
            dilation = 2 if widened else dilation
            number += 1
    x = _convolution(x, HEAD, 1, 1, "head", activation_name=FEATURES)
    x = layers.GlobalAveragePooling2D(name=EMBEDDING)(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(film, layers.Dense(2, name=CLASSES)(x), name=NAME + TWICE * twice)


def last_layers() -> tuple[str, ...]:
    """Beginnings of the names of the layers from the stage `LAST_STRIDE` on."""
    repeats = [stage[0] for stage in STAGES]
    blocks = range(sum(repeats[:LAST_STRIDE]), sum(repeats))
    return (*(f"block{number}_" for number in blocks), "head_", CLASSES)


def is_lite(model: keras.Model) -> bool:
    """Whether a model is one of `build`, by its name."""
    return str(model.name).removesuffix(TWICE) == NAME


def serving_model(model: keras.Model) -> keras.Model:
    """`logit`, `map` and `embedding` of the dense network with the weights of `model`.

    `map` (batch, h, w) is the class activation map (Zhou et al., CVPR 2016): the classifier's own weights on the
    features at each place. Its mean and the bias are the logit, exactly; so are the embedding times the weights and
    the bias. A model whose name ends in `TWICE` looks at each film as `VIEWS` says: averaging over sizes near
    those of training makes up for films being shown smaller than it learned them (Touvron et al., NeurIPS 2019).
    """
    side = int(model.input_shape[1])
    dense = build(side, dense=True)
    dense.set_weights(model.get_weights())
    film, features, classes = dense.inputs[0], dense.get_layer(FEATURES).output, dense.get_layer(CLASSES)
    if model.name.endswith(TWICE):
        trunk = keras.Model(film, features, name="trunk")
        film = keras.Input((side, side, 1), name="film")
        logit, places, embedding = Together(classes, name="evidence")(trunk(Looks(name="looks")(film)))
    else:
        logit, places = ClassActivation(classes, name="evidence")(features)
        embedding = dense.get_layer(EMBEDDING).output
    outputs = {"logit": logit, "map": places, "embedding": embedding}
    return keras.Model(film, outputs, name=f"{NAME}_serving")


class ClassActivation(layers.Layer):
    """Logit and map from the last features (batch, h, w, c)."""

    def __init__(self, classes: layers.Dense, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes

    def call(self, features: Any) -> tuple[Any, Any]:
        direction = self.classes.kernel[:, 1] - self.classes.kernel[:, 0]
        offset = self.classes.bias[1] - self.classes.bias[0]
        places = ops.matmul(features, direction[:, None])[..., 0]
        return ops.mean(places, axis=(1, 2)) + offset, places


class Looks(layers.Layer):
    """Both looks at films (batch, side, side, 1), as (2 batch, side, side, 1): the whole films, then their middles."""

    def call(self, film: Any) -> Any:
        enlarge = enlargement(int(film.shape[1]))
        mirror = np.ascontiguousarray(enlarge[::-1].T)
        middle = ops.matmul(enlarge, ops.matmul(film[..., 0], mirror))
        return ops.concatenate([film, middle[..., None]], axis=0)


class Together(layers.Layer):
    """Logit, map and embedding of films from the features (2 batch, h, w, c) of both looks."""

    def __init__(self, classes: layers.Dense, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes

    def compute_output_spec(self, features: Any) -> tuple[Any, Any, Any]:
        """Shapes as `call` gives them. JAX would find them with a batch that cannot be halved."""
        _, high, wide, channels = features.shape
        shapes = ((None,), (None, high, wide), (None, channels))
        logit, places, embedding = (keras.KerasTensor(shape, features.dtype) for shape in shapes)
        return logit, places, embedding

    def call(self, features: Any) -> tuple[Any, Any, Any]:
        direction = self.classes.kernel[:, 1] - self.classes.kernel[:, 0]
        offset = self.classes.bias[1] - self.classes.bias[0]
        _, high, wide, channels = features.shape
        embedding = ops.mean(ops.reshape(ops.mean(features, axis=(1, 2)), (2, -1, channels)), axis=0)
        looks = ops.reshape(ops.matmul(features, direction[:, None])[..., 0], (2, -1, high, wide))
        back = np.ascontiguousarray(placement(wide)[:, ::-1].T)
        middle = ops.matmul(placement(high), ops.matmul(looks[1], back))
        places = (looks[0] + middle) / 2
        return ops.mean(places, axis=(1, 2)) + offset, places, embedding


@cache
def enlargement(side: int) -> NDArray[np.float32]:
    """Matrix (side, side) that enlarges the middle of a row of pixels by `ZOOM`, by linear interpolation.

    Its terms, like those of `placement`, are whole parts of `FINEST`, so that half precision keeps them as they are.
    """
    place = (side - 1) / 2 + (np.arange(side) - (side - 1) / 2) / ZOOM
    near = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(side)))
    return (np.round(near * FINEST) / FINEST).astype(np.float32)


@cache
def placement(cells: int) -> NDArray[np.float32]:
    """Matrix (cells, cells) that lays a row of cells of the middle where it is in the film; sums stay as they are."""
    begin = cells / 2 + (np.arange(cells) - cells / 2) / ZOOM
    passed = np.clip((np.arange(cells + 1)[:, None] - begin) * ZOOM, 0, 1)
    return np.diff(np.round(passed * FINEST) / FINEST, axis=0).astype(np.float32)


def round_to_half(model: keras.Model) -> None:
    """Change the weights so that their half-precision copies, normalisations folded in, are the same numbers.

    Each convolution is scaled, and its normalisation against it, until the two multiply by a power of two; then
    kernel and bias are rounded to half precision. The network computes what it did but for that rounding. So an
    export that folds and halves the weights agrees with the network as it is kept, and the kept one compresses well.
    """
    for layer in model.layers:
        if not isinstance(layer, layers.BatchNormalization):
            continue
        convolution = model.get_layer(layer.name.replace("normalisation", "convolution"))
        (kernel,) = convolution.get_weights()
        gamma, beta, mean, variance = (weights.astype(np.float64) for weights in layer.get_weights())
        slope = gamma / np.sqrt(variance + EPSILON)
        size = np.exp2(np.round(np.log2(np.maximum(np.abs(slope), 2.0**-14))))
        power = np.where(slope < 0, -size, size)
        scale = slope / power
        depthwise = isinstance(convolution, layers.DepthwiseConv2D)
        kernel = kernel * (scale[:, None] if depthwise else scale)
        variance = variance * scale**2
        mean = mean * scale
        # What is left as the bias when the normalisation is folded in is halved as well.
        beta = _half(beta - mean * power) + mean * power
        convolution.set_weights([_half(kernel)])
        layer.set_weights([power * np.sqrt(variance + EPSILON), beta, mean, variance])
    classes = model.get_layer(CLASSES)
    kernel, bias = classes.get_weights()
    direction, offset = _half(kernel[:, 1] - kernel[:, 0]) / 2, _half(bias[1] - bias[0]) / 2
    classes.set_weights([np.stack([-direction, direction], axis=1), np.array([-offset, offset])])


def _half(values: Array) -> Array:
    return values.astype(np.float16).astype(np.float32)


def _block(
    x: Any, kernel: int, stride: int, dilation: int, expansion: int, channels: int, name: str, may_skip: bool
) -> Any:
    """Widen, convolve each channel by itself, narrow; around it a skip where the shape stays."""
    entry, width = x, int(x.shape[-1])
    if expansion > 1:
        x = _convolution(x, width * expansion, 1, 1, f"{name}_expansion")
    x = layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        name=f"{name}_depthwise_convolution",
    )(x)
    x = _normalised(x, f"{name}_depthwise")
    x = _convolution(x, channels, 1, 1, f"{name}_projection", activated=False)
    return layers.Add(name=f"{name}_sum")([entry, x]) if may_skip and width == channels else x


def _convolution(
    x: Any,
    channels: int,
    kernel: int,
    stride: int,
    name: str,
    activated: bool = True,
    activation_name: str | None = None,
) -> Any:
    x = layers.Conv2D(
        channels, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_convolution"
    )(x)
    return _normalised(x, name, activated, activation_name)


def _normalised(x: Any, name: str, activated: bool = True, activation_name: str | None = None) -> Any:
    x = layers.BatchNormalization(momentum=0.98, epsilon=EPSILON, name=f"{name}_normalisation")(x)
    return layers.ReLU(6.0, name=activation_name or f"{name}_relu")(x) if activated else x
