"""A training, judged on all films: `python -m ml.research.folds DIR --out DIR [--folds N] [--architecture A]
[--epochs N] […]`.

Each fold of the patients is held back once, from a training of its own: nothing of it chooses weights, epoch,
temperature or threshold, so the figures do not flatter as those of a validation set do that chose them. What is
finished is kept: the same command goes on after a crash, epoch by epoch.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.cli import FAILURES, Bar, told
from ml.data import dataset
from ml.data.dataset import LabelledFilm
from ml.errors import ResumeError, TrainingError
from ml.evaluation import cross_fitting, robustness
from ml.evaluation.cross_fitting import Part
from ml.images.perturbations import STRESSES
from ml.images.preprocessing import Preparation, ready
from ml.metrics import classification
from ml.metrics.classification import THRESHOLD, rounded
from ml.networks import imagenet as networks_imagenet
from ml.networks import registry
from ml.networks.fused_batchnorm import for_training
from ml.research.fold_report import RATES, RESULT, describe
from ml.serving.runtime import Keras, run_all
from ml.training import confounders, loop, recipes
from ml.training.cohorts import Prepared, Second, prepare, subgroups
from ml.training.loop import Progress
from ml.training.reproducibility import make_repeatable
from ml.training.sampler import Also

CHOOSING_SHARE = 0.125
"""Share of the films that are not held back which choose the epoch, of patients who teach nothing."""
CHANGED = 200
"""Films of each fold, at most, that are also read under every change of the stress table."""


@dataclass(frozen=True)
class Plan:
    """What is trained in each fold. `also` is a second population, divided into as many folds of its own."""

    architecture: str = "sequential"
    folds: int = 4
    epochs: int = 20
    seed: int = 1
    imagenet: Path | None = None
    also: Second | None = None


@dataclass(frozen=True)
class Population:
    """Films of which nobody learns from a fold that is held back, and those folds."""

    films: list[LabelledFilm]
    folds: list[tuple[LabelledFilm, ...]]

    @classmethod
    def read(cls, directory: Path, plan: Plan) -> Population:
        films = [replace(film, side=None) for film in dataset.read_folder(directory) if film.label]
        return cls(films, dataset.folds(films, plan.folds, plan.seed))

    def split(self, number: int, seed: int) -> dataset.Split:
        """The films outside a fold: those that teach, and those that choose the epoch."""
        rest = [film for place, fold in enumerate(self.folds) if place != number for film in fold]
        return dataset.split(rest, CHOOSING_SHARE, seed)


def judge(
    directory: Path,
    out: Path,
    plan: Plan,
    progress: Callable[[int, Progress], None] | None = None,
) -> dict[str, Any]:
    """Train in every fold, and leave `folds.json`, `FOLDS.md` and `answers.csv` in `out`.

    Raises `DatasetError`, `ImageError`, `TrainingError`, `WeightsError` and `ResumeError`, each with a sentence.
    """
    if plan.architecture not in registry.ARCHITECTURES:
        raise TrainingError(
            f"There is no architecture {plan.architecture}; {', '.join(registry.ARCHITECTURES)} are."
        )
    if plan.folds < 2 or plan.epochs < 1:
        raise TrainingError("At least two folds and one epoch are needed.")
    if (out / RESULT).exists():
        raise TrainingError(f"{out} holds folds already; choose another folder or delete it.")
    first = Population.read(directory, plan)
    second = Population.read(plan.also.directory, plan) if plan.also else None
    out.mkdir(parents=True, exist_ok=True)
    parts: list[Part] = []
    rows: list[dict[str, Any]] = []
    tells: list[NDArray[np.float64]] = []
    for number in range(plan.folds):
        report = (lambda found, number=number: progress(number, found)) if progress else None
        part, given, epoch = _fold(number, out, first, second, plan, report)
        parts.append(part)
        tells.append(given)
        rows.append({"fold": number + 1, "epoch": epoch})
    crossed = cross_fitting.judge(parts, plan.also.share if plan.also else 0.0)
    found = {
        "protocol": _protocol(first, second, plan),
        "folds": [
            {**row, **_figures(part, fold, plan.seed)}
            for row, part, fold in zip(rows, parts, first.folds, strict=True)
        ],
        "together": _together(first, second, parts, np.concatenate(tells), plan),
        "crossfit": crossed,
    }
    _write_answers(out / "answers.csv", first, second, parts, crossed["temperatures"])
    (out / "FOLDS.md").write_text(describe(found), encoding="utf-8")
    (out / RESULT).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return found


def _fold(
    number: int,
    out: Path,
    first: Population,
    second: Population | None,
    plan: Plan,
    progress: Callable[[Progress], None] | None,
) -> tuple[Part, NDArray[np.float64], int]:
    """What a network that learned from the others says of a fold, what the films' making tells of them, and the best
    epoch: kept from before, or found now."""
    recipe = recipes.recipe_of(plan.architecture)
    side = registry.INPUT_SIDES[plan.architecture]
    preparation = Preparation(side, recipe.preprocessing)
    split = first.split(number, plan.seed)
    theirs = second.split(number, plan.seed) if second else None
    task = {
        "architecture": plan.architecture,
        "folds": plan.folds,
        "fold": number,
        "epochs": plan.epochs,
        "seed": plan.seed,
        "data": dataset.data_hash(first.films),
        "split": split.hash,
        "imagenet": networks_imagenet.describe(plan.imagenet) if plan.imagenet else None,
        "also": [theirs.hash, plan.also.share] if theirs and plan.also else None,
    }
    kept = out / f"fold-{number + 1}.npz"
    if kept.is_file():
        return _read(kept, task)
    checkpoints = loop.Checkpoints(out / f"fold-{number + 1}.unfinished", task)
    keras.backend.clear_session()
    make_repeatable(plan.seed)
    model = registry.ARCHITECTURES[plan.architecture](side)
    if plan.imagenet:
        networks_imagenet.start_from_imagenet(model, plan.imagenet)
    learner = for_training(model)
    prepared = prepare(first.films, split, side, recipe)
    state = loop.train_epochs(
        learner,
        (prepared.train, prepared.train_targets),
        (prepared.judged, prepared.validation_targets),
        recipe=recipe,
        also=_also(theirs, plan.also, recipe, preparation) if theirs and plan.also else None,
        epochs=plan.epochs,
        seed=plan.seed,
        checkpoints=checkpoints,
        progress=progress,
    )
    model.set_weights(learner.get_weights())
    runtime = Keras(model)
    held = first.folds[number]
    pictures = dataset.read(held)
    some = list(range(0, len(held), max(1, -(-len(held) // CHANGED))))
    others = second.folds[number] if second else ()
    part = Part(
        targets=_targets(held),
        logits=run_all(runtime, ready(pictures, preparation)).logits.astype(np.float64),
        changed=robustness.stress_logits([pictures[place] for place in some], runtime, preparation),
        changed_targets=_targets([held[place] for place in some]),
        second_targets=_targets(others),
        second_logits=run_all(runtime, ready(dataset.read(others), preparation)).logits.astype(np.float64)
        if others
        else np.zeros(0),
    )
    tells = _tells(prepared, held, recipe)
    _write(kept, task, part, tells, state.best_epoch)
    checkpoints.delete()
    return part, tells, state.best_epoch


def _targets(films: Sequence[LabelledFilm]) -> NDArray[np.int64]:
    return np.array([film.target for film in films], dtype=np.int64)


def _also(split: dataset.Split, also: Second, recipe: recipes.Recipe, preparation: Preparation) -> Also:
    return Also(
        loop.load_films(split.train, recipe),
        _targets(split.train),
        also.share,
        ready(dataset.read(split.validation), preparation),
        _targets(split.validation),
    )


def _tells(prepared: Prepared, held: Sequence[LabelledFilm], recipe: recipes.Recipe) -> NDArray[np.float64]:
    known = confounders.Origin.fit(confounders.traits_of(prepared.train), prepared.train_targets)
    return known.tells(confounders.traits_of(loop.load_films(held, recipe)))


def _write(kept: Path, task: dict[str, Any], part: Part, tells: NDArray[np.float64], epoch: int) -> None:
    unfinished = kept.with_name("unfinished.npz")
    np.savez_compressed(
        unfinished,
        task=np.array(json.dumps(task)),
        targets=part.targets,
        logits=part.logits,
        changed=np.stack([part.changed[stress] for stress in STRESSES]),
        changed_targets=part.changed_targets,
        second_targets=part.second_targets,
        second_logits=part.second_logits,
        tells=tells,
        epoch=np.array(epoch),
    )
    unfinished.replace(kept)


def _read(kept: Path, task: dict[str, Any]) -> tuple[Part, NDArray[np.float64], int]:
    with np.load(kept, allow_pickle=False) as found:
        if json.loads(str(found["task"])) != task:
            raise ResumeError(f"{kept} is of other films or settings; choose another folder or delete it.")
        part = Part(
            targets=found["targets"],
            logits=found["logits"],
            changed=dict(zip(STRESSES, found["changed"], strict=True)),
            changed_targets=found["changed_targets"],
            second_targets=found["second_targets"],
            second_logits=found["second_logits"],
        )
        return part, found["tells"], int(found["epoch"])


def _figures(part: Part, fold: Sequence[LabelledFilm], seed: int) -> dict[str, Any]:
    """Of one fold, at the threshold 0.5, which no temperature moves."""
    measured = classification.measure(
        part.targets, classification.sigmoid(part.logits), THRESHOLD, [film.patient for film in fold], seed
    )
    found = {"films": measured.n, **{rate: getattr(measured, rate) for rate in RATES}}
    stress = robustness.stress_table(part.changed_targets, part.changed, 0.0)
    for rate in ("sensitivity", "specificity"):
        worst = min(stress, key=lambda row: float(row[rate]))
        found[f"worst_{rate}"] = [worst[rate], worst["stress"]]
    if len(part.second_targets):
        found["second_auc"] = classification.auc(part.second_targets, part.second_logits)
    return dict(rounded(found))


def _together(
    first: Population,
    second: Population | None,
    parts: Sequence[Part],
    tells: NDArray[np.float64],
    plan: Plan,
) -> dict[str, Any]:
    """Of all films, each read by the network that had not seen it; AUCs mix the networks' scales."""
    targets = np.concatenate([part.targets for part in parts])
    probabilities = classification.sigmoid(np.concatenate([part.logits for part in parts]))
    patients = [film.patient for fold in first.folds for film in fold]
    figures = classification.measure(targets, probabilities, THRESHOLD, patients, plan.seed).as_dict()
    kept = [name for rate in RATES for name in (rate, f"{rate}_ci")]
    found: dict[str, Any] = {
        "n": figures["n"],
        **{name: figures[name] for name in kept},
        "confusion": figures["confusion"],
        "origin": confounders.measure(tells, probabilities, targets, THRESHOLD, patients, plan.seed),
        "stress": robustness.stress_table(
            np.concatenate([part.changed_targets for part in parts]),
            {stress: np.concatenate([part.changed[stress] for part in parts]) for stress in STRESSES},
            0.0,
        ),
    }
    if second and plan.also:
        films = [film for fold in second.folds for film in fold]
        said = classification.sigmoid(np.concatenate([part.second_logits for part in parts]))
        found["second"] = subgroups(plan.also.name, films, said, plan.seed)
    return dict(rounded(found))


def _protocol(first: Population, second: Population | None, plan: Plan) -> dict[str, Any]:
    start = "ImageNet weights" if plan.imagenet else "random weights"
    sentence = (
        f"{plan.architecture} from {start}, {plan.epochs} epochs, in {plan.folds} folds of {len(first.films):,} films, "
        f"whole patients at a time, seed {plan.seed}. Each fold was read by a network that learned from the others, "
        f"less {CHOOSING_SHARE:.1%} of their films, which chose its epoch. Threshold {THRESHOLD:g}."
    )
    if second and plan.also:
        sentence += (
            f" {len(second.films):,} {plan.also.name}, in as many folds, filled {plan.also.share:.0%} of each "
            "batch."
        )
    return {
        "architecture": plan.architecture,
        "folds": plan.folds,
        "epochs": plan.epochs,
        "seed": plan.seed,
        "data_hash": dataset.data_hash(first.films),
        "second_hash": dataset.data_hash(second.films) if second else None,
        "second_name": plan.also.name if plan.also else "",
        "sentence": sentence,
    }


def _write_answers(
    file: Path, first: Population, second: Population | None, parts: Sequence[Part], warmths: Sequence[float]
) -> None:
    """A row for each film, with the probability that the other folds' temperature gives it."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle)
        rows.writerow(["population", "file", "label", "fold", "logit", "probability"])
        for number, (part, warmth) in enumerate(zip(parts, warmths, strict=True)):
            for name, population, logits in (
                ("first", first, part.logits),
                ("second", second, part.second_logits),
            ):
                if not population:
                    continue
                for film, logit in zip(population.folds[number], logits, strict=True):
                    said = round(float(classification.sigmoid(logit / warmth)), 5)
                    rows.writerow(
                        [name, film.path.name, film.label, number + 1, round(float(logit), 5), said]
                    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with tables, 1 where a file cannot be read or written, 2 where the command or a folder is wrong."""
    usual = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m ml.research.folds",
        description="Judge a training on all films, a fold of the patients at a time.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="NORMAL/ and PNEUMONIA/, or labels.csv")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for tables and answers"
    )
    parser.add_argument("--folds", type=int, default=usual.folds, metavar="N")
    parser.add_argument("--architecture", choices=sorted(registry.ARCHITECTURES), default=usual.architecture)
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument(
        "--imagenet", metavar="FILE", help="start from this PyTorch checkpoint, or `package` (see ml.train)"
    )
    parser.add_argument("--also", type=Path, metavar="DIR", help="a second population to train with")
    parser.add_argument("--also-share", type=float, default=0.25, metavar="S", help="its share of each batch")
    parser.add_argument("--second-name", default=Second.name, metavar="TEXT", help="what those films are")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    bars: dict[int, Bar] = {}

    def progress(number: int, found: Progress) -> None:
        if number not in bars:
            bars[number] = Bar(f"fold {number + 1} of {options.folds}")
        bars[number](found)
        if found.finished_epoch and found.epoch == found.epochs:
            print("Reading the films that were held back.", file=sys.stderr)

    try:
        found = judge(
            options.directory,
            options.out,
            Plan(
                options.architecture,
                options.folds,
                options.epochs,
                options.seed,
                networks_imagenet.find(options.imagenet) if options.imagenet else None,
                Second(options.also, options.also_share, options.second_name) if options.also else None,
            ),
            progress,
        )
    except FAILURES as error:
        return told(parser.prog, error)
    print(json.dumps(found, ensure_ascii=False) if options.json else describe(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
