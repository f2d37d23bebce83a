"""The fused normalisation computes what Keras's own does, and stays out of what is kept."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from ml.artifact import folder
from ml.networks import fused_batchnorm, registry
from ml.networks.fused_batchnorm import for_training
from ml.train import train

FILMS = np.random.default_rng(5).standard_normal((6, 62, 62, 1)).astype(np.float32)
TARGETS = np.eye(2, dtype=np.float32)[np.array([0, 1, 0, 1, 1, 0])]
FIRST = "round1"


@pytest.fixture
def plain() -> keras.Model:
    """Not a deep one: there, as small a difference as that of two orders of adding grows from layer to layer."""
    keras.utils.set_random_seed(2)
    return registry.ARCHITECTURES["sequential"](62)


def kinds(model: keras.Model) -> list[type]:
    return [type(layer) for layer in model.layers if isinstance(layer, layers.BatchNormalization)]


def taught(model: keras.Model) -> keras.Model:
    """After two steps along the gradient alone; nothing is dropped, so that nothing is left to chance."""
    model.get_layer("dropout").rate = 0
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss)
    for _ in range(2):
        model.train_on_batch(FILMS, TARGETS)
    return model


@pytest.mark.parametrize("held", [False, True])
def test_two_steps_come_to_the_same_weights(plain: keras.Model, held: bool) -> None:
    quick = for_training(plain)
    assert set(kinds(quick)) == {fused_batchnorm.BatchNormalization}
    before = plain.get_weights()
    for one, other in zip(before, quick.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    if held:
        for model in (plain, quick):
            for layer in model.layers:
                layer.trainable = not layer.name.startswith(FIRST)
    names = [weight.path for weight in plain.weights]
    assert names == [weight.path for weight in quick.weights]
    after = zip(names, before, taught(plain).get_weights(), taught(quick).get_weights(), strict=True)
    for name, start, one, other in after:
        np.testing.assert_allclose(other, one, atol=1e-4 * max(1, np.abs(one).max()), err_msg=name)
        if "moving" in name:
            stays = held and FIRST in name
            assert np.array_equal(other, start) == stays
    np.testing.assert_allclose(quick(FILMS), plain(FILMS), atol=1e-3)


def test_a_deep_network_keeps_the_same_statistics() -> None:
    keras.utils.set_random_seed(3)
    plain = registry.ARCHITECTURES["lite0"](64)
    quick = for_training(plain)
    assert set(kinds(quick)) == {fused_batchnorm.BatchNormalization}
    films = np.random.default_rng(6).standard_normal((6, 64, 64, 1)).astype(np.float32)
    for model in (plain, quick):
        model(films, training=True)
    for weight, one, other in zip(plain.weights, plain.get_weights(), quick.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-3 * max(1, np.abs(one).max()), err_msg=weight.path)


@pytest.mark.parametrize("fused_first", [False, True])
def test_the_weights_of_either_are_those_of_the_other(
    plain: keras.Model, tmp_path: Path, fused_first: bool
) -> None:
    models = [plain, for_training(plain)]
    first, second = reversed(models) if fused_first else models
    first.save_weights(tmp_path / "kept.weights.h5")
    for weight in second.weights:
        weight.assign(keras.ops.ones_like(weight))
    second.load_weights(tmp_path / "kept.weights.h5")
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_normalisations_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = keras.Input((4, 4, 3))
    shown = layers.BatchNormalization(scale=False)(layers.BatchNormalization(axis=1)(entry))
    flat = layers.BatchNormalization()(layers.Flatten()(shown))
    model = keras.Model(entry, flat)
    assert kinds(for_training(model)) == [layers.BatchNormalization] * 3
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert for_training(model) is model


def test_what_is_kept_holds_keras_s_own_layers(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[keras.Model] = []

    def watched(model: keras.Model, make: Callable[[keras.Model], keras.Model] = for_training) -> keras.Model:
        used.append(make(model))
        return used[-1]

    monkeypatch.setattr("ml.train.for_training", watched)
    train(films, tmp_path / "kept", epochs=1, seed=5)
    assert set(kinds(used[0])) == {fused_batchnorm.BatchNormalization}
    with zipfile.ZipFile(tmp_path / "kept" / folder.KERAS_FILE) as kept:
        layout = kept.read("config.json").decode()
    assert "BatchNormalization" in layout
    assert "ml.networks.fused_batchnorm" not in layout
