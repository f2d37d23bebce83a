"""The network: the original's shape, and a map that adds up to the answer."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ml import network
from ml.export import agreement, export_litert
from ml.runtime import Keras, LiteRT, Outputs, run_all


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """The architecture with random weights; biases and normalisations too, so that none of them is left out."""
    keras.utils.set_random_seed(3)
    built = network.sequential()
    generator = np.random.default_rng(3)
    for weights in built.weights:
        if len(weights.shape) == 1 and "seed" not in weights.path:
            weights.assign(weights + generator.uniform(0.05, 0.5, weights.shape))
    return built


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((9, 62, 62, 1)).astype(np.float32)


def test_it_is_the_original_s_kind_of_network(model: keras.Model) -> None:
    assert isinstance(model, keras.Sequential)
    assert model.input_shape == (None, 62, 62, 1)
    assert model.output_shape == (None, 2)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("MaxPooling2D") >= 2
    assert kinds.count("Conv2D") >= 3
    assert kinds[kinds.index("Flatten") :].count("Dense") == 2


def test_the_logit_is_pneumonia_less_normal(model: keras.Model, films: np.ndarray) -> None:
    classes = keras.ops.convert_to_numpy(model(films, training=False))
    served = network.serving_model(model)(films, training=False)
    np.testing.assert_allclose(served["logit"], classes[:, 1] - classes[:, 0], rtol=1e-4, atol=1e-4)


def test_the_map_and_the_biases_add_up_to_the_logit(model: keras.Model, films: np.ndarray) -> None:
    served = network.serving_model(model)(films, training=False)
    outputs = {name: keras.ops.convert_to_numpy(value) for name, value in served.items()}
    hidden, classes = model.get_layer(network.HIDDEN), model.get_layer(network.CLASSES)
    kernel, bias = (keras.ops.convert_to_numpy(weights) for weights in (classes.kernel, classes.bias))
    direction = (kernel[:, 1] - kernel[:, 0]) * (outputs["embedding"] > 0)
    biases = direction @ keras.ops.convert_to_numpy(hidden.bias) + bias[1] - bias[0]
    assert np.abs(outputs["map"]).sum() > 1
    np.testing.assert_allclose(
        outputs["map"].sum(axis=(1, 2)) + biases, outputs["logit"], rtol=1e-4, atol=1e-4
    )


def test_the_map_is_fine_enough_and_lies_over_the_film(model: keras.Model) -> None:
    cells = network.serving_model(model).output["map"].shape[1]
    assert cells >= 12
    assert (cells - 1) * network.MAP_STRIDE < 62 <= cells * network.MAP_STRIDE


def test_litert_answers_like_keras_for_any_batch(
    model: keras.Model, films: np.ndarray, tmp_path: Path
) -> None:
    model.save(tmp_path / "model.keras")
    assert export_litert(model, tmp_path / "model.tflite")
    litert = LiteRT(tmp_path / "model.tflite")
    expected = run_all(Keras(tmp_path / "model.keras"), films)
    for batch in (1, 4, 9):
        found = agreement(expected, run_all(litert, films, batch))
        assert found["agrees"], found
    served = run_all(litert, films, 4)
    np.testing.assert_allclose(served.maps, expected.maps, atol=1e-4)
    np.testing.assert_allclose(served.embeddings, expected.embeddings, atol=1e-4)


def test_runtimes_that_differ_do_not_agree() -> None:
    zeros = Outputs(np.zeros(3, np.float32), np.zeros((3, 2, 2), np.float32), np.zeros((3, 4), np.float32))
    other = Outputs(np.array([0, 0, 0.002], np.float32), zeros.maps, zeros.embeddings)
    found = agreement(zeros, other)
    assert not found["agrees"]
    assert "Keras serves" in found["sentence"]
