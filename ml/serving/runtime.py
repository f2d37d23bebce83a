"""The two ways to run a model version. Each loads only its own library, when it is made."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ml.artifact import folder
from ml.artifact.folder import KERAS_FILE, LITERT_FILE
from ml.images.preprocessing import Films

if TYPE_CHECKING:
    import keras


AT_ONCE = 8
"""Films in one call of LiteRT: more are no faster, and it keeps their features in memory (8 films of lite0 need 90 MB,
32 four times as much)."""


@dataclass(frozen=True)
class Outputs:
    """For n films: `logits` (n,) pneumonia minus normal, `maps` (n, h, w) in logits, `embeddings` (n, d)."""

    logits: Films
    maps: Films
    embeddings: Films


class Runtime(Protocol):
    name: str

    def run(self, films: Films) -> Outputs:
        """What the network says of standardised films (n, side, side, 1), n at least 1."""
        ...


def thread_count() -> int:
    """For commands that read many films: as many threads as the sums of Keras and NumPy take, which go by
    OMP_NUM_THREADS; without it, one for each processor."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(said) if said.isdecimal() and int(said) else os.cpu_count() or 1


class LiteRT:
    """The exported network on XNNPACK. Not for several threads at once: give each its own."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.name = f"litert {importlib.metadata.version('ai-edge-litert')}"
        self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        runner: Any = self._interpreter.get_signature_runner("serving_default")
        (self._input,) = runner.get_input_details()
        self._runner = runner

    def run(self, films: Films) -> Outputs:
        return _joined([self._call(films[i : i + AT_ONCE]) for i in range(0, len(films), AT_ONCE)])

    def _call(self, films: Films) -> Outputs:
        found = self._runner(**{self._input: np.ascontiguousarray(films, dtype=np.float32)})
        return Outputs(found["logit"].reshape(-1), found["map"], found["embedding"])


class Keras:
    """The network as it was trained, compiled by Keras on whatever backend is set."""

    def __init__(self, model: Path | keras.Model) -> None:
        import keras

        from ml.networks.registry import serving_model

        self.name = f"keras {keras.version()} {keras.backend.backend()}"
        if isinstance(model, Path):
            model = keras.saving.load_model(model, compile=False, safe_mode=True)
        self._model = serving_model(model)

    def run(self, films: Films) -> Outputs:
        found = self._model.predict_on_batch(films)
        return Outputs(found["logit"].reshape(-1), found["map"], found["embedding"])


def serving(folder: Path, runtime: str) -> Runtime:
    """What serves the version in this folder, whose card names this `runtime`."""
    if runtime == "litert":
        return LiteRT(folder / LITERT_FILE, thread_count())
    return Keras(folder / KERAS_FILE)


def run_all(runtime: Runtime, films: Films, batch: int = 64) -> Outputs:
    """`run` in batches, for more films than belong in memory at once."""
    return _joined([runtime.run(films[i : i + batch]) for i in range(0, len(films), batch)])


def _joined(parts: Sequence[Outputs]) -> Outputs:
    if len(parts) == 1:
        return parts[0]
    return Outputs(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("logits", "maps", "embeddings"))
    )


def runtime_of(version: Path) -> Runtime:
    """What serves the version in this folder."""
    return serving(version, folder.load_card(version).runtime)
