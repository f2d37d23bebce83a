"""Training a part of a network: its last stages, or only its classifier on embeddings that are computed once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.artifact import folder
from ml.images.preprocessing import Preparation, standardise
from ml.metrics import classification
from ml.networks import efficientnet_lite, registry, sequential
from ml.serving.runtime import Keras, Runtime, runtime_of
from ml.training.augmentation import augment
from ml.training.cohorts import Prepared
from ml.training.loop import LABEL_SMOOTHING, Checkpoints, Progress, State
from ml.training.sampler import Films, Stored, evenly

LAST_LAYERS: dict[str, tuple[str, ...]] = {
    "sequential": ("last_", sequential.HIDDEN, sequential.CLASSES),
    efficientnet_lite.NAME: efficientnet_lite.last_layers(),
}
"""Beginnings of the names of the layers that mode `last` trains: about the last quarter of the computation."""

COPIES = 3
"""Embeddings of each training film: as it is, and changed at random as in whole training."""

HEAD_BATCH = 32

HEAD_RATE = 1e-3

HEAD_PULL = 1e-2
"""Decoupled decay (Loshchilov and Hutter, ICLR 2019), not to nothing but to the weights that it started from."""

FOLDS = 5

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """A linear classifier on embeddings (n, d): logit = embeddings @ direction + offset."""

    direction: Array
    offset: float

    def logits(self, embeddings: NDArray[Any]) -> Array:
        return np.asarray(embeddings @ self.direction + self.offset, dtype=np.float64)


def hold_first_stages(model: keras.Model) -> None:
    """Leave only the last stages trainable; the normalisations of the others keep their statistics."""
    names = LAST_LAYERS[efficientnet_lite.NAME if efficientnet_lite.is_lite(model) else model.name]
    for layer in model.layers:
        layer.trainable = layer.name.startswith(names)


def train_head(
    model: keras.Model,
    init: Path,
    prepared: Prepared,
    *,
    epochs: int,
    seed: int,
    checkpoints: Checkpoints,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[State, Array]:
    """Train the classifier of `model`, which has the weights of the version in `init`; the best is in it after.

    Returns the state, and logits (n,) of the training films, each from a classifier that did not learn from films of
    its patient (five folds). The embeddings are the checkpoint: the rest takes a second, and is the same each time.
    """
    at_work = time.monotonic()
    runtime = _runtime_for(model, init)
    embeddings = _kept(
        checkpoints.folder / "embeddings.npy", lambda: _embed_training(runtime, prepared, seed)
    )
    judged = _kept(checkpoints.folder / "judged.npy", lambda: _embed(runtime, prepared.judged))
    begun = _head_of(model)
    state, best = checkpoints.state, begun
    targets = prepared.train_targets
    for epoch, (head, row) in enumerate(_epochs(begun, embeddings, targets, epochs, seed), start=1):
        row |= classification.losses(head.logits(judged), prepared.validation_targets)
        state.epoch = epoch
        state.history.append({"epoch": epoch, **row})
        if row["val_loss"] < state.best_loss:
            state.best_loss, state.best_epoch, best = row["val_loss"], epoch, head
        if progress:
            progress(Progress(epoch, epochs, 1, 1, row["loss"], row["auc"], None, row))
    _set_head(model, best)
    state.seconds = time.monotonic() - at_work
    patients = [film.patient for film in prepared.split.train]
    return state, crossfitted(begun, embeddings, targets, patients, max(1, state.best_epoch), seed)


def crossfitted(
    begun: Head,
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    patients: Sequence[str],
    epochs: int,
    seed: int,
) -> Array:
    """Logits (n,) of films (copies, n, d), each by a classifier taught without any film of its patient.

    A label that such a classifier contradicts may be wrong (Northcutt et al., "Confident learning", JAIR 2021).
    """
    names = sorted(set(patients))
    order = np.random.default_rng([seed, 404]).permutation(len(names))
    fold_of = {names[place]: number % FOLDS for number, place in enumerate(order)}
    folds = np.array([fold_of[patient] for patient in patients])
    found = np.zeros(len(targets))
    for fold in range(FOLDS):
        out = folds == fold
        taught = begun
        if len(set(targets[~out].tolist())) == 2:
            *_, (taught, _) = _epochs(begun, embeddings[:, ~out], targets[~out], epochs, seed)
        found[out] = taught.logits(embeddings[0, out])
    return found


def _epochs(
    begun: Head, embeddings: NDArray[np.float32], targets: NDArray[np.int64], epochs: int, seed: int
) -> Any:
    """Yield (classifier, figures) after each epoch: Adam on batches drawn evenly from both classes."""
    copies, films, width = embeddings.shape
    start = np.append(begun.direction, begun.offset)
    weights, first, second = start.copy(), np.zeros(width + 1), np.zeros(width + 1)
    batches = max(1, -(-films // HEAD_BATCH))
    step, steps = 0, epochs * batches
    wanted = np.where(targets == 1, 1 - LABEL_SMOOTHING / 2, LABEL_SMOOTHING / 2)
    for epoch in range(epochs):
        generator = np.random.default_rng([seed, epoch])
        rows = evenly(targets, batches, HEAD_BATCH, generator)
        versions = generator.integers(copies, size=rows.shape)
        losses, said = [], []
        for batch, version in zip(rows, versions, strict=True):
            step += 1
            inputs = np.column_stack([embeddings[version, batch], np.ones(len(batch))]).astype(np.float64)
            logits = inputs @ weights
            losses.append(np.mean(np.logaddexp(0.0, logits) - wanted[batch] * logits))
            said.append(logits)
            gradient = inputs.T @ (classification.sigmoid(logits) - wanted[batch]) / len(batch)
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            rate = HEAD_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            move = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            weights = weights - rate * (move + HEAD_PULL * (weights - start))
        logits, truth = np.concatenate(said), targets[rows.reshape(-1)]
        yield (
            Head(weights[:-1].copy(), float(weights[-1])),
            {
                "loss": round(float(np.mean(losses)), 6),
                "auc": round(classification.auc(truth, logits), 6),
                "accuracy": round(float(((logits >= 0) == (truth == 1)).mean()), 6),
            },
        )


def _head_of(model: keras.Model) -> Head:
    kernel, bias = model.get_layer(sequential.CLASSES).get_weights()
    return Head((kernel[:, 1] - kernel[:, 0]).astype(np.float64), float(bias[1] - bias[0]))


def _set_head(model: keras.Model, head: Head) -> None:
    half, offset = head.direction / 2, head.offset / 2
    model.get_layer(sequential.CLASSES).set_weights(
        [np.stack([-half, half], axis=1), np.array([-offset, offset])]
    )


def _runtime_for(model: keras.Model, init: Path) -> Runtime:
    """What gives the embeddings that the classifier of `model` will meet: what serves `init`, if it looks alike."""
    card = folder.load_card(init)
    if card.views == registry.VIEWS[card.architecture]:
        return runtime_of(init)
    return Keras(model)


def _embed(runtime: Runtime, films: Films) -> NDArray[np.float32]:
    return np.concatenate([runtime.run(films[i : i + 32]).embeddings for i in range(0, len(films), 32)])


def _embed_training(runtime: Runtime, prepared: Prepared, seed: int) -> NDArray[np.float32]:
    """Embeddings (copies, n, d) of the training films."""
    found = []
    for copy in range(COPIES):
        parts = []
        for start in range(0, len(prepared.train), 32):
            films = [
                _changed(
                    prepared.train[row],
                    np.random.default_rng([seed, copy, row]) if copy else None,
                    prepared.preparation,
                )
                for row in range(start, min(start + 32, len(prepared.train)))
            ]
            parts.append(runtime.run(np.stack(films)[..., None]).embeddings)
        found.append(np.concatenate(parts))
    return np.stack(found)


def _changed(stored: Stored, generator: np.random.Generator | None, preparation: Preparation) -> Films:
    film = np.asarray(stored, dtype=np.float32)
    if stored.dtype == np.uint8:
        film = film / np.float32(255)
    return standardise(preparation.resize(augment(film, generator) if generator else film))


def _kept(path: Path, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """The array in the file, which is made where it is not there yet; the file is whole or absent."""
    if not path.is_file():
        unfinished = path.with_suffix(".unfinished.npy")
        np.save(unfinished, make())
        unfinished.replace(path)
    return np.asarray(np.load(path))
