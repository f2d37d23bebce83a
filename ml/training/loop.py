"""The training loop: films in memory -> the weights of the lowest validation loss, resumable after every epoch."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.data.dataset import LabelledFilm
from ml.errors import ResumeError
from ml.images.preprocessing import Preparation
from ml.images.reader import read_radiograph
from ml.metrics.classification import losses
from ml.training import confounders
from ml.training.ema import Average
from ml.training.recipes import RECIPES, Recipe
from ml.training.sampler import Also, Draws, Films, Stored

LABEL_SMOOTHING = 0.05


AT_ONCE = 16
"""Films that are judged together. Uncompiled, a network keeps what every layer made until its answer is there."""


@dataclass(frozen=True)
class Progress:
    """How far training is; `epoch` counts from 1, `loss` and `auc` are those so far in it. Seconds are estimates."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    auc: float
    seconds_left: float | None
    finished_epoch: dict[str, float] | None = None


@dataclass
class State:
    """What is kept between epochs beside the weights.

    `variants` are figures of trainings that were averaged, `shares` those at shares of the way from start to end.
    """

    task: dict[str, Any]
    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = float("inf")
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    variants: list[dict[str, Any]] = field(default_factory=list)
    shares: list[dict[str, Any]] = field(default_factory=list)


class Checkpoints:
    """The unfinished training of one task, in a folder; every file is whole or absent."""

    def __init__(self, folder: Path, task: dict[str, Any]) -> None:
        """Raises `ResumeError` where the folder belongs to a training with other films or settings."""
        self.folder = folder
        self.state = State(task)
        folder.mkdir(parents=True, exist_ok=True)
        record = folder / "state.json"
        if record.is_file():
            self.state = State(**json.loads(record.read_text()))
            if self.state.task != task:
                raise ResumeError(
                    f"{folder} holds an unfinished training with other films or settings; "
                    "finish it with its own command, or delete the folder."
                )

    def weights(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:03d}.weights.h5"

    def average(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:03d}.average.npz"

    def save(self, model: keras.Model, state: State, average: Average | None = None) -> None:
        """Weights first, then the record that names them; weights that it no longer names go last."""
        unfinished = self.folder / "unfinished.weights.h5"
        model.save_weights(unfinished, overwrite=True)
        if average:
            average.save(self.average(state.epoch))
        unfinished.replace(self.weights(state.epoch))
        record = self.folder / "state.json.unfinished"
        record.write_text(json.dumps(asdict(state)))
        record.replace(self.folder / "state.json")
        for path in self.folder.glob("epoch-*"):
            if path.name[6:9] not in (f"{state.epoch:03d}", f"{state.best_epoch:03d}"):
                path.unlink()

    def of_variant(self, number: int) -> Checkpoints:
        """Those of one of several trainings, within the same folder."""
        return Checkpoints(self.folder / f"variant-{number}", {**self.state.task, "variant": number})

    def delete(self) -> None:
        shutil.rmtree(self.folder)


@keras.saving.register_keras_serializable("pneumoweb")
class PneumoniaAUC(keras.metrics.AUC):
    """AUC of the logit of pneumonia minus that of normal."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(
            # Blended films count as what they are mostly of.
            keras.ops.cast(y_true[:, 1] > 0.5, "float32"),
            keras.ops.sigmoid(y_pred[:, 1] - y_pred[:, 0]),
            sample_weight=sample_weight,
        )


def load_films(films: Sequence[LabelledFilm], recipe: Recipe) -> Stored:
    """Decode all films once, as (n, side, side) of the working side: float32 in 0..1, or uint8 of a quarter of it.

    Raises `ImageError` for a film that is none.
    """

    working = Preparation(recipe.working_side, recipe.preprocessing)

    def load(film: LabelledFilm) -> Stored:
        found = working.fit(read_radiograph(film.path))
        return (found * 255).round().astype(np.uint8) if recipe.bytes else found

    with ThreadPoolExecutor(max_workers=2) as pool:
        found: list[Any] = list(pool.map(load, films))
    return np.stack(found)


def train_epochs(
    model: keras.Model,
    train: tuple[Stored, NDArray[np.int64]],
    validation: tuple[Films, NDArray[np.int64]],
    *,
    recipe: Recipe = RECIPES["sequential"],
    also: Also | None = None,
    epochs: int,
    seed: int,
    checkpoints: Checkpoints,
    progress: Callable[[Progress], None] | None = None,
    patience: int | None = None,
) -> State:
    """Train until `epochs` are done, going on where `checkpoints` left off; the best weights are in `model` after.

    With `patience`, it ends when so many epochs in a row were no better than the best before them.

    `train` are films as `load_films` gives them, `validation` prepared ones (n, side, side, 1), each with targets.
    Best is the epoch of the lowest validation loss, in which both classes weigh the same, and a second population
    as much as its share.
    """
    preparation = Preparation(int(model.input_shape[1]), recipe.preprocessing)
    steps = len(Draws(*train, preparation, seed, 0, also))
    model.compile(
        optimizer=keras.optimizers.AdamW(_schedule(recipe, epochs * steps), weight_decay=recipe.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy", PneumoniaAUC(name="auc")],
    )
    model.optimizer.build(model.trainable_variables)
    average = Average(model, recipe.averaging) if recipe.averaging else None
    odds = None
    if recipe.balance > 1:
        odds = confounders.odds(train[0], train[1], recipe.balance)
    state = checkpoints.state
    if state.epoch:
        model.load_weights(checkpoints.weights(state.epoch))
        if average:
            average.load(checkpoints.average(state.epoch))
    while state.epoch < epochs and (patience is None or state.epoch - state.best_epoch < patience):
        begun = time.monotonic()
        _reseed(model, seed, state.epoch)
        reporter = _Reporter(state, epochs, steps, progress)
        draws = Draws(
            *train,
            preparation,
            seed,
            state.epoch,
            also,
            mixing=recipe.mixing,
            exchange=recipe.exchange,
            odds=odds,
        )
        watching = [reporter, average] if average else [reporter]
        fitted = model.fit(draws, epochs=1, verbose=0, shuffle=False, callbacks=watching).history
        row = {name: round(float(fitted[name][-1]), 6) for name in ("loss", "auc", "accuracy")}
        with average.in_place() if average else nullcontext():
            row |= judge(partial(logits, model), validation, also)
        state.epoch += 1
        state.seconds += time.monotonic() - begun
        state.history.append({"epoch": state.epoch, **row})
        if row["val_loss"] < state.best_loss:
            state.best_loss, state.best_epoch = row["val_loss"], state.epoch
        checkpoints.save(model, state, average)
        reporter.finish(row)
    if average:
        average.load(checkpoints.average(state.best_epoch))
        model.set_weights(average.weights)
    else:
        model.load_weights(checkpoints.weights(state.best_epoch))
    return state


def _schedule(recipe: Recipe, steps: int) -> Any:
    """Up to the learning rate of the recipe, then down to nothing along a cosine."""
    warm_up = round(recipe.warm_up * steps)
    if not warm_up:
        return keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    return keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 20, steps - warm_up, warmup_target=recipe.learning_rate, warmup_steps=warm_up
    )


def judge(
    answers: Callable[[Films], NDArray[Any]], validation: tuple[Films, NDArray[np.int64]], also: Also | None
) -> dict[str, float]:
    """What an epoch is judged by: `val_loss`, `val_auc` and `val_accuracy`, and those of a second population.

    `answers` gives logits (n,), pneumonia minus normal, of standardised films (n, side, side, 1).
    """
    row = losses(answers(validation[0]), validation[1])
    if not also:
        return row
    other = losses(answers(also.judged), also.judged_targets)
    loss = (1 - also.share) * row["val_loss"] + also.share * other["val_loss"]
    return {
        **row,
        "val_loss": round(loss, 6),
        "also_val_loss": other["val_loss"],
        "also_val_auc": other["val_auc"],
    }


def logits(model: keras.Model, films: Films) -> NDArray[np.float64]:
    """Pneumonia minus normal, (n,), of standardised films (n, side, side, 1)."""
    found = [model(films[i : i + AT_ONCE], training=False) for i in range(0, len(films), AT_ONCE)]
    out = np.concatenate([keras.ops.convert_to_numpy(one) for one in found]).astype(np.float64)
    return np.asarray(out[:, 1] - out[:, 0])


def _reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Give each dropout layer its state by epoch: a resumed training draws what an unbroken one would have drawn."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.seed_generator is not None:
            layer.seed_generator.state.assign(np.array([seed, epoch], dtype="uint32"))


class _Reporter(keras.callbacks.Callback):
    """Passes on how far an epoch is."""

    def __init__(
        self, state: State, epochs: int, steps: int, listener: Callable[[Progress], None] | None
    ) -> None:
        super().__init__()
        self.state, self.epochs, self.steps, self.listener = state, epochs, steps, listener
        self.begun = time.monotonic()
        self.last = (0, 0.0, 0.5)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        figures = logs or {}
        self.last = (batch + 1, float(figures["loss"]), float(figures["auc"]))
        self._report(None)

    def finish(self, row: dict[str, float]) -> None:
        self._report(row)

    def _report(self, row: dict[str, float] | None) -> None:
        if self.listener is None:
            return
        step, loss, area = self.last
        epoch = self.state.epoch if row else self.state.epoch + 1
        done = (epoch - 1) * self.steps + step
        here = max(1, step)
        pace = (time.monotonic() - self.begun) / here
        self.listener(
            Progress(
                epoch,
                self.epochs,
                step,
                self.steps,
                loss,
                area,
                pace * (self.epochs * self.steps - done),
                row,
            )
        )
