"""Several trainings from one start, averaged, and how much of the way from that start is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.artifact.folder import LITERT_FILE
from ml.images import perturbations
from ml.images.perturbations import STRESSES
from ml.images.preprocessing import ready
from ml.serving import export
from ml.serving.runtime import Keras, LiteRT, Runtime, run_all, thread_count
from ml.training import loop, recipes
from ml.training.cohorts import Prepared
from ml.training.loop import Progress
from ml.training.sampler import Also, Films

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the way from the version that a training started from to what it came to: the best of these is kept."""
CHANGED_OF_CLASS = 64
"""Validation films of each class, at most, under whose changes the shares are compared."""
APART = 1000
"""How far apart the seeds of variants are, for the order of films and for their changes."""


def train_variants(
    model: keras.Model,
    prepared: Prepared,
    also: Also | None,
    recipe: recipes.Recipe,
    seeds: Sequence[int],
    epochs: int,
    patience: int | None,
    checkpoints: loop.Checkpoints,
    progress: Callable[[Progress], None] | None,
    shares: Sequence[float],
    stage: Callable[[str], None],
) -> loop.State:
    """One training for each seed, all from the weights that `model` has; it has the mean of their best weights after.

    With several `shares`, it has those between its start and the mean that lose least under the change of the stress
    table that is hardest for them: so it keeps what the start knew of films unlike these (Wortsman et al., "Robust
    fine-tuning of zero-shot models", CVPR 2022). The mean loss would not tell: it differs little from share to share
    where one kind of film is read twice as well by one of them. What is lost on a second population counts beside it.

    Trainings from one start that differ in order and changes end in one valley, and its middle holds better on films
    of another kind than any point of its sides (Wortsman et al., "Model soups", ICML 2022; Ramé et al., "Diverse
    weight averaging", NeurIPS 2022). Returns the state of the first, with `variants`, a row for each, and `shares`.
    """
    start = model.get_weights()
    found, states = [np.zeros_like(one, dtype=np.float64) for one in start], []
    for number, seed in enumerate(seeds):
        model.set_weights(start)
        states.append(
            loop.train_epochs(
                model,
                (prepared.train, prepared.train_targets),
                (prepared.judged, prepared.validation_targets),
                recipe=recipe,
                also=also,
                epochs=epochs,
                seed=seed,
                checkpoints=checkpoints.of_variant(number) if len(seeds) > 1 else checkpoints,
                progress=_shifted(progress, number, len(seeds)),
                patience=patience,
            )
        )
        for total, one in zip(found, model.get_weights(), strict=True):
            total += one / len(seeds)
    judged = (prepared.judged, prepared.validation_targets)
    if len(seeds) > 1:
        model.set_weights([total.astype(one.dtype) for total, one in zip(found, start, strict=True)])
        together = loop.judge(partial(loop.logits, model), judged, also)
        states[0].seconds = sum(state.seconds for state in states)
        states[0].variants = [
            *(
                {
                    "weights": f"variant {number}, epoch {state.best_epoch}",
                    **state.history[state.best_epoch - 1],
                }
                for number, state in enumerate(states, start=1)
            ),
            {"weights": "their mean", **together},
        ]
    if len(shares) > 1:
        ways = [_between(start, found, share) for share in shares]
        rows, choosing = [], "Choosing how much of the way from the start is kept"
        stage(f"{choosing}: reading films under {len(STRESSES)} changes")
        for row in _judge_ways(model, ways, prepared, judged, also, seeds[0]):
            rows.append(row)
            stage(f"{choosing}: {len(rows)} of {len(ways)} were judged")
        best = min(range(len(rows)), key=lambda place: rows[place]["weighed_loss"])
        model.set_weights(ways[best])
        states[0].shares = [{"share": share, **row} for share, row in zip(shares, rows, strict=True)]
    return states[0]


def _judge_ways(
    model: keras.Model,
    ways: Sequence[list[NDArray[np.float32]]],
    prepared: Prepared,
    judged: tuple[Films, NDArray[np.int64]],
    also: Also | None,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """For each set of weights what an epoch is judged by, and besides `worst`, the change of the stress table under
    which it loses most, `worst_loss`, what it loses there, and `weighed_loss`: that and the loss on a second
    population, which counts with its share, as it does for an epoch. All of it is as the version will serve them.

    The same validation films are judged under every change, both classes alike.
    """
    generator = np.random.default_rng([seed, 404])
    chosen = np.concatenate(
        [
            generator.permutation(np.flatnonzero(prepared.validation_targets == target))[:CHANGED_OF_CLASS]
            for target in (0, 1)
        ]
    )
    targets = prepared.validation_targets[chosen]
    films = {
        stress: ready(
            [perturbations.stressed(prepared.validation[place], stress) for place in chosen],
            prepared.preparation,
        )
        for stress in STRESSES
    }
    for way in ways:
        model.set_weights(way)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / LITERT_FILE
            # It reads twice as fast as Keras, and an export takes no longer than Keras needs for some dozens of films.
            exported = export.export_litert(model, path, prepared.recipe.half_precision)
            answers = partial(_served, LiteRT(path, thread_count()) if exported else Keras(model))
            losses = {
                stress: loop.judge(answers, (some, targets), None)["val_loss"]
                for stress, some in films.items()
            }
            row = loop.judge(answers, judged, also)
        worst = max(losses, key=lambda stress: losses[stress])
        weighed = losses[worst]
        if also:
            weighed = (1 - also.share) * weighed + also.share * row["also_val_loss"]
        yield row | {"worst": worst, "worst_loss": losses[worst], "weighed_loss": round(weighed, 6)}


def _served(runtime: Runtime, films: Films) -> NDArray[np.float32]:
    return run_all(runtime, films, loop.AT_ONCE).logits


def _between(
    start: Sequence[NDArray[np.float32]], end: Sequence[NDArray[np.float64]], share: float
) -> list[NDArray[np.float32]]:
    """The weights at `share` of the way from start to end."""
    return [
        ((1 - share) * one + share * other).astype(one.dtype) for one, other in zip(start, end, strict=True)
    ]


def _shifted(
    progress: Callable[[Progress], None] | None, number: int, variants: int
) -> Callable[[Progress], None] | None:
    """Progress of one of several trainings as that of all."""
    if progress is None or variants == 1:
        return progress

    def report(found: Progress) -> None:
        whole = found.epochs * found.steps
        rest = whole - (found.epoch - 1) * found.steps - found.step
        left = found.seconds_left
        if left and rest:
            left += left / rest * whole * (variants - number - 1)
        epoch, epochs = number * found.epochs + found.epoch, variants * found.epochs
        progress(replace(found, epoch=epoch, epochs=epochs, seconds_left=left))

    return report
