"""How long a film takes: LiteRT, Keras compiled, and the original's way, which loads the model for every film."""

import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ml.artifact.folder import KERAS_FILE, LITERT_FILE, SHIPPED, load_card
from ml.images.preprocessing import Preparation
from ml.images.reader import read_radiograph
from ml.serving.predictor import Predictor
from ml.serving.runtime import Keras, LiteRT
from tests.support.radiographs import SAMPLES

BATCHES = (1, 8, 32)
FULL_SIZE = (2000, 1660)
REPEATS = 7


def rows() -> list[dict[str, Any]]:
    """Medians, in milliseconds a film; `ratio` is the original's way divided by this way."""
    found = _network_rows()
    original = next(
        row["ms_a_film"] for row in found if row["what"] == "original: load_model and predict, each film"
    )
    for row in found:
        row["ratio"] = round(original / row["ms_a_film"], 1)
    return found + _share_rows() + _training_rows() + _export_rows() + _ready_rows()


def _ready_rows() -> list[dict[str, Any]]:
    """A process of its own: from the start of Python to the first answer, and the most memory that it had by then.

    VmHWM, as ru_maxrss would begin with the most that the parent took before it started this process.
    """
    script = (
        "import pathlib, re, sys\n"
        "from ml.images.reader import read_radiograph\n"
        "from ml.serving.predictor import Predictor\n"
        "Predictor().predict([read_radiograph(pathlib.Path(sys.argv[1]))])\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])\n"
    )
    spent, memory = [], []
    for _ in range(3):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", script, str(sorted(SAMPLES.glob("synthetic-*.png"))[0])],
            capture_output=True,
            text=True,
            check=True,
        )
        spent.append(time.perf_counter() - begun)
        memory.append(int(done.stdout) / 1024)
    return [
        {
            "what": "a fresh process: ready, with its first answer",
            "figure": statistics.median(spent),
            "unit": "s",
        },
        {
            "what": "a fresh process: most memory until then",
            "figure": statistics.median(memory),
            "unit": "MB",
        },
    ]


def _training_rows() -> list[dict[str, Any]]:
    """A step of training, 32 films; `ratio` is Keras's own normalisations divided by this way."""
    import keras

    from ml.networks.fused_batchnorm import for_training
    from ml.networks.registry import ARCHITECTURES, INPUT_SIDES
    from ml.training.sampler import BATCH

    side = INPUT_SIDES["lite0"]
    films = np.random.default_rng(1).standard_normal((BATCH, side, side, 1)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(BATCH) % 2]
    own = ARCHITECTURES["lite0"](side)
    ways = {"as Keras composes it": own, "fused": for_training(own)}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for model in ways.values():
        model.compile(optimizer="adamw", loss=keras.losses.CategoricalCrossentropy(from_logits=True))
        model.train_on_batch(films, targets)
    for _ in range(2 * REPEATS):
        for name, model in ways.items():
            begun = time.perf_counter()
            model.train_on_batch(films, targets)
            spent[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(times) for name, times in spent.items()}
    slowest = next(iter(medians.values()))
    return [
        {
            "what": f"training lite0, a step of {BATCH} films: normalisation {name}",
            "figure": median * 1000,
            "unit": "ms",
            "ratio": round(slowest / median, 2),
        }
        for name, median in medians.items()
    ]


def _export_rows() -> list[dict[str, Any]]:
    """The network written as LiteRT; `ratio` is the way of the handbooks, over a SavedModel, divided by this way."""
    import keras
    import tensorflow as tf  # noqa: TID251 - the converter is part of TensorFlow

    from ml.networks.registry import serving_model
    from ml.serving.export import convert

    model = serving_model(keras.saving.load_model(SHIPPED / KERAS_FILE, compile=False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / LITERT_FILE

        def over_a_saved_model() -> None:
            model.export(folder + "/saved", format="tf_saved_model", verbose=False)
            path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder + "/saved").convert())

        plain = _median(over_a_saved_model, 3)
        ours = _median(lambda: convert(model, path), 3)
    return [
        {"what": f"export of lite0 {name}", "figure": spent, "unit": "ms", "ratio": round(plain / spent, 1)}
        for name, spent in (("over a SavedModel", plain), ("with constants", ours))
    ]


def _network_rows() -> list[dict[str, Any]]:
    import keras

    side = load_card(SHIPPED).input_size
    films = np.random.default_rng(1).standard_normal((max(BATCHES), side, side, 1)).astype(np.float32)
    litert, compiled = LiteRT(SHIPPED / LITERT_FILE), Keras(SHIPPED / KERAS_FILE)
    found = []
    for name, runtime in (("LiteRT, one thread", litert), ("Keras, compiled", compiled)):
        for batch in BATCHES:
            spent = _median(lambda runtime=runtime, batch=batch: runtime.run(films[:batch]))  # type: ignore[misc]
            found.append({"what": f"network: {name}", "batch": batch, "ms_a_film": round(spent / batch, 3)})

    def original() -> None:
        model = keras.saving.load_model(SHIPPED / KERAS_FILE, compile=False)
        model.predict(films[:1], verbose=0)

    spent = _median(original, 3)
    found.append(
        {"what": "original: load_model and predict, each film", "batch": 1, "ms_a_film": round(spent, 3)}
    )
    return found


def _share_rows() -> list[dict[str, Any]]:
    """Where the time goes for a film of full size, as JPEG, made from a synthetic one."""
    buffer = io.BytesIO()
    sample = Image.open(sorted(SAMPLES.glob("synthetic-*.png"))[0])
    sample.resize(FULL_SIZE, Image.Resampling.BICUBIC).save(buffer, format="JPEG", quality=92)
    content = buffer.getvalue()
    film = read_radiograph(content)
    predictor, runtime = Predictor(), LiteRT(SHIPPED / LITERT_FILE)
    preparation = Preparation(predictor.card.input_size, predictor.card.preprocessing)
    ready = preparation(film)[None, ..., None]
    steps = {
        "decode": _median(lambda: read_radiograph(content)),
        "resize": _median(lambda: preparation(film)),
        "network": _median(lambda: runtime.run(ready)),
        "whole answer: decode, gate, resize, network, heatmap, receipt": _median(
            lambda: predictor.predict([read_radiograph(content)])
        ),
    }
    *_, whole = steps.values()
    return [
        {
            "what": f"film of 2,000 pixels: {step}",
            "batch": 1,
            "ms_a_film": round(spent, 3),
            "share": round(spent / whole, 3),
        }
        for step, spent in steps.items()
    ]


def _median(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Milliseconds; the first run, which compiles or fills caches, is not counted."""
    work()
    spent = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        spent.append((time.perf_counter() - begun) * 1000)
    return statistics.median(spent)
