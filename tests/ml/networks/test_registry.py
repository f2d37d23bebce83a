"""The network: the original's shape, and a map that adds up to the answer."""

from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import ndimage

from ml.artifact.folder import KERAS_FILE, SHIPPED, load_card
from ml.images.preprocessing import standardise
from ml.networks import efficientnet_lite, registry, sequential
from ml.serving.export import agreement, compress, export_litert
from ml.serving.runtime import AT_ONCE, Keras, LiteRT, Outputs, run_all
from tests.support.radiographs import chest, unit


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """The architecture with random weights; biases and normalisations too, so that none of them is left out."""
    keras.utils.set_random_seed(3)
    built = sequential.sequential()
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
    served = registry.serving_model(model)(films, training=False)
    np.testing.assert_allclose(served["logit"], classes[:, 1] - classes[:, 0], rtol=1e-4, atol=1e-4)


def test_the_map_and_the_biases_add_up_to_the_logit(model: keras.Model, films: np.ndarray) -> None:
    served = registry.serving_model(model)(films, training=False)
    outputs = {name: keras.ops.convert_to_numpy(value) for name, value in served.items()}
    hidden, classes = model.get_layer(sequential.HIDDEN), model.get_layer(sequential.CLASSES)
    kernel, bias = (keras.ops.convert_to_numpy(weights) for weights in (classes.kernel, classes.bias))
    direction = (kernel[:, 1] - kernel[:, 0]) * (outputs["embedding"] > 0)
    biases = direction @ keras.ops.convert_to_numpy(hidden.bias) + bias[1] - bias[0]
    assert np.abs(outputs["map"]).sum() > 1
    np.testing.assert_allclose(
        outputs["map"].sum(axis=(1, 2)) + biases, outputs["logit"], rtol=1e-4, atol=1e-4
    )


def test_the_map_is_fine_enough_and_lies_over_the_film(model: keras.Model) -> None:
    cells = registry.serving_model(model).output["map"].shape[1]
    assert cells >= 12
    assert (cells - 1) * sequential.MAP_STRIDE < 62 <= cells * sequential.MAP_STRIDE


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


SIZE = load_card(SHIPPED).architecture
ONCE, TWICE = SIZE, f"{SIZE}_twice"


@pytest.fixture(scope="module")
def small_lite() -> keras.Model:
    """EfficientNet-Lite0 for small films, with random weights that keep every layer alive."""
    keras.utils.set_random_seed(4)
    built = efficientnet_lite.build(64)
    generator = np.random.default_rng(4)
    for layer in built.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            gamma, variance = generator.uniform(0.5, 2, (2, channels)) * [[generator.choice([-1, 1])], [1]]
            layer.set_weights([gamma, *generator.normal(0, 0.3, (2, channels)), variance])
    return built


@pytest.fixture(scope="module")
def small_films() -> np.ndarray:
    return np.random.default_rng(6).standard_normal((5, 64, 64, 1)).astype(np.float32)


def features(model: keras.Model, films: np.ndarray) -> np.ndarray:
    inner = keras.Model(model.inputs[0], model.get_layer(efficientnet_lite.FEATURES).output)
    return np.asarray(keras.ops.convert_to_numpy(inner(films, training=False)))


def test_lite_has_the_layers_of_its_kind() -> None:
    model = efficientnet_lite.build()
    assert model.input_shape == (None, 160, 160, 1)
    assert model.output_shape == (None, 2)
    assert 3.3e6 < model.count_params() < 3.5e6
    depthwise = [layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert [layer.kernel_size[0] for layer in depthwise] == [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
    assert sum(isinstance(layer, keras.layers.Add) for layer in model.layers) == 9


def test_lite0_has_the_published_size() -> None:
    """The published count, 4.7 million, less the 1.28 million of ImageNet's classes; ours has the running means and
    variances too."""
    model = registry.ARCHITECTURES["lite0"](64)
    assert model.count_params() / 1e6 == pytest.approx(3.42, abs=0.08)
    assert model.get_layer("block15_projection_convolution").filters == 320
    assert efficientnet_lite.is_lite(model)
    assert not efficientnet_lite.is_lite(registry.ARCHITECTURES["sequential"](62))
    blocks = [f"block{number}_" for number in range(11, 16)]
    assert efficientnet_lite.last_layers() == (*blocks, "head_", "classes")


def test_the_dense_network_holds_the_trained_one(small_lite: keras.Model, small_films: np.ndarray) -> None:
    dense = efficientnet_lite.build(64, dense=True)
    dense.set_weights(small_lite.get_weights())
    coarse, fine = features(small_lite, small_films), features(dense, small_films)
    assert (coarse.shape[1:3], fine.shape[1:3]) == ((2, 2), (4, 4))
    assert coarse.std() > 0.1
    np.testing.assert_allclose(fine[:, 1::2, 1::2], coarse, atol=1e-4)


def test_the_mean_of_the_activation_map_and_the_bias_are_the_logit(
    small_lite: keras.Model, small_films: np.ndarray
) -> None:
    outputs = outputs_of(small_lite, small_films)
    kernel, bias = small_lite.get_layer(efficientnet_lite.CLASSES).get_weights()
    assert outputs["map"].shape == (5, 64 // efficientnet_lite.MAP_STRIDE, 64 // efficientnet_lite.MAP_STRIDE)
    np.testing.assert_allclose(
        outputs["map"].mean(axis=(1, 2)) + bias[1] - bias[0], outputs["logit"], atol=1e-4
    )
    classes = outputs["embedding"] @ kernel + bias
    np.testing.assert_allclose(classes[:, 1] - classes[:, 0], outputs["logit"], atol=1e-4)


def outputs_of(model: keras.Model, films: np.ndarray) -> dict[str, np.ndarray]:
    served = registry.serving_model(model)(films, training=False)
    return {name: keras.ops.convert_to_numpy(value) for name, value in served.items()}


@pytest.fixture(scope="module")
def taught() -> dict[str, keras.Model]:
    """The shipped weights in a network that looks twice, and in one that looks once as the first versions do."""
    weights = keras.saving.load_model(SHIPPED / KERAS_FILE, compile=False, safe_mode=True).get_weights()
    models = {name: efficientnet_lite.build(twice=name == TWICE) for name in (ONCE, TWICE)}
    for model in models.values():
        model.set_weights(weights)
    return models


def test_the_answer_is_the_mean_of_two_looks(taught: dict[str, keras.Model]) -> None:
    drawings = [chest(seed, seed % 2 == 0, 160) for seed in range(4)]
    films = np.stack([standardise(unit(drawing)) for drawing in drawings])[..., None]
    middle = (159 / 2) * (1 - 1 / efficientnet_lite.ZOOM)
    enlarged = [
        ndimage.affine_transform(film[..., 0], [1 / efficientnet_lite.ZOOM] * 2, [middle] * 2, order=1)[
            :, ::-1
        ]
        for film in films
    ]
    whole = outputs_of(taught[ONCE], films)
    second = outputs_of(taught[ONCE], np.stack(enlarged)[..., None])
    both = outputs_of(taught[TWICE], films)
    assert np.abs(whole["logit"] - second["logit"]).max() > 0.1
    np.testing.assert_allclose(both["logit"], (whole["logit"] + second["logit"]) / 2, atol=0.02)
    np.testing.assert_allclose(both["embedding"], (whole["embedding"] + second["embedding"]) / 2, atol=0.02)


def test_what_the_second_look_sees_is_mapped_to_its_place() -> None:
    film = np.zeros((60, 60), np.float32)
    film[18:22, 38:42] = 1
    enlarge, place = efficientnet_lite.enlargement(60), efficientnet_lite.placement(60)
    seen = enlarge @ film @ enlarge[::-1].T
    assert ndimage.center_of_mass(seen)[0] == pytest.approx(29.5 - 10 * efficientnet_lite.ZOOM, abs=0.1)
    assert ndimage.center_of_mass(seen)[1] == pytest.approx(29.5 - 10 * efficientnet_lite.ZOOM, abs=0.1)
    put_back = place @ seen @ place[:, ::-1].T
    assert ndimage.center_of_mass(put_back) == pytest.approx((19.5, 39.5), abs=0.1)
    for matrix in (enlarge, efficientnet_lite.placement(10), place):
        assert (matrix == matrix.astype(np.float16)).all()
    assert (efficientnet_lite.placement(10).sum(axis=0) == 1).all()
    assert efficientnet_lite.placement(10).sum() == 10


def test_the_first_versions_still_look_once(taught: dict[str, keras.Model]) -> None:
    films = np.random.default_rng(8).standard_normal((3, 160, 160, 1)).astype(np.float32)
    dense = efficientnet_lite.build(dense=True)
    dense.set_weights(taught[ONCE].get_weights())
    classes = keras.ops.convert_to_numpy(dense(films, training=False))
    once = outputs_of(taught[ONCE], films)["logit"]
    np.testing.assert_allclose(once, classes[:, 1] - classes[:, 0], atol=1e-4)


def test_half_precision_changes_little_and_exports_alike(
    small_lite: keras.Model, small_films: np.ndarray, tmp_path: Path
) -> None:
    rounded = efficientnet_lite.build(64)
    rounded.set_weights(small_lite.get_weights())
    efficientnet_lite.round_to_half(rounded)
    before, after = (
        registry.serving_model(model)(small_films, training=False) for model in (small_lite, rounded)
    )
    spread = float(np.std(before["map"]))
    np.testing.assert_allclose(after["map"], before["map"], atol=0.05 * spread)
    rounded.save(tmp_path / "model.keras")
    large = (tmp_path / "model.keras").stat().st_size
    compress(tmp_path / "model.keras")
    assert (tmp_path / "model.keras").stat().st_size < 0.7 * large
    assert export_litert(rounded, tmp_path / "model.tflite", half=True)
    assert (tmp_path / "model.tflite").stat().st_size < 8e6
    kept, served = Keras(tmp_path / "model.keras"), LiteRT(tmp_path / "model.tflite")
    for batch in (1, 5):
        found = agreement(run_all(kept, small_films, batch), run_all(served, small_films, batch))
        assert found["agrees"], found
        assert found["largest_map_difference"] < 1e-4 * spread
    many = np.concatenate([small_films] * AT_ONCE)[: AT_ONCE + 3]
    together, single = served.run(many), run_all(served, many, 1)
    for name in ("logits", "maps", "embeddings"):
        assert len(getattr(together, name)) == AT_ONCE + 3
        np.testing.assert_allclose(getattr(together, name), getattr(single, name), atol=1e-4 * spread)
