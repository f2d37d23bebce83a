"""The running average of weights, on TensorFlow and, in a process of its own, on JAX."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.networks import efficientnet_lite
from ml.serving.runtime import Keras
from ml.training.ema import Average
from tests.support.processes import ROOT

ON_JAX = """
import sys
from dataclasses import asdict, replace
from pathlib import Path
import numpy as np
from ml.data import dataset
from ml.networks import efficientnet_lite, registry
from ml.training import loop, recipes
from ml.training.cohorts import prepare
from ml.serving.runtime import Keras

folder, out = map(Path, sys.argv[1:])
# One block a stage: compiling all of them takes minutes.
efficientnet_lite.STAGES = [(1, *stage[1:]) for stage in efficientnet_lite.STAGES]
films = dataset.read_folder(folder)
recipe = replace(recipes.LITE, working_side=96, half_precision=False)
prepared = prepare(films, dataset.split(films), 62, recipe)
model = registry.ARCHITECTURES["sequential"](62)
before = model.get_weights()
state = loop.train_epochs(
    model,
    (prepared.train, prepared.train_targets),
    (prepared.judged, prepared.validation_targets),
    recipe=recipe,
    epochs=2,
    seed=3,
    checkpoints=loop.Checkpoints(out / "unfinished", {}),
)
assert len(state.history) == 2
assert any(np.abs(one - other).max() > 0 for one, other in zip(before, model.get_weights()))
large = prepare(films, dataset.split(films), 96, recipe)
for name, network_, seen in (
    ("sequential", model, prepared.validation_films),
    ("lite0", registry.ARCHITECTURES["lite0"](96), large.validation_films),
):
    network_.save(out / f"{name}.keras")
    np.savez(out / f"{name}.npz", films=seen, **asdict(Keras(network_).run(seen)))
"""


def test_it_follows_the_weights_and_forgets_its_start() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    average = Average(model, 0.5)
    average.set_model(model)
    start = [np.array(one) for one in model.get_weights()]
    model.set_weights([one * 0 + 4 for one in start])
    average.on_train_batch_end(0)
    # In the first step it keeps 2 / 11 of what it had.
    for found, one in zip(average.weights, start, strict=True):
        np.testing.assert_allclose(found, one * 2 / 11 + 4 * 9 / 11, rtol=1e-5)
    with average.in_place():
        np.testing.assert_allclose(model.get_weights()[0], average.weights[0])
    np.testing.assert_allclose(model.get_weights()[0], 4)


@pytest.fixture(scope="module")
def on_jax(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a process has left that trained and answered on JAX."""
    out = tmp_path_factory.mktemp("jax")
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(films), str(out)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("name", ["sequential", "lite0"])
def test_what_was_trained_on_jax_answers_the_same_on_tensorflow(
    on_jax: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ml.networks.efficientnet_lite.STAGES", [(1, *stage[1:]) for stage in efficientnet_lite.STAGES]
    )
    assert keras.backend.backend() == "tensorflow"
    said = np.load(on_jax / f"{name}.npz")
    found = Keras(on_jax / f"{name}.keras").run(said["films"])
    assert np.ptp(said["logits"]) > 0
    np.testing.assert_allclose(found.logits, said["logits"], atol=1e-3)
    np.testing.assert_allclose(found.maps, said["maps"], atol=1e-3)
