"""Gate, map limits and evidence of a trained model version made anew: `python -m ml.research.refit MODEL DIR
--out DIR`.

For when the gate or what a card tells has become better since the version was trained, or, with `--preprocessing`,
when its weights do better on films that are resized by another rule; then everything is measured anew. The films must
be those that it was trained with: their hash and that of their split are compared with the card's.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ml.artifact import folder as artifact_folder
from ml.artifact.card import Card
from ml.cli import FAILURES, told
from ml.data import dataset
from ml.errors import TrainingError
from ml.evaluation import calibration, failure_cases, plots, robustness
from ml.evaluation.card_builder import (
    CURVES,
    METRICS_METHOD,
    prove_full_size,
    prove_maps,
    prove_origin,
    prove_subgroups,
    write,
)
from ml.gate import report
from ml.images.perturbations import AS_THEY_ARE
from ml.images.preprocessing import PREPROCESSINGS
from ml.metrics import classification
from ml.research import fold_report
from ml.serving.runtime import serving
from ml.training import loop, recipes
from ml.training.cohorts import About, Prepared, Proof, Second, SecondPopulation, prepare


def refit(
    model: Path,
    directory: Path,
    out: Path,
    *,
    also: Second | None = None,
    proof: Proof | None = None,
    about: About | None = None,
    preprocessing: str | None = None,
    folds: Path | None = None,
) -> Card:
    """Write `model` with a gate, map limits, stress table, subgroups and failures made by this release to `out`.

    `also` or the second population of `proof`, and `about`, are what the training was given; `about` is needed with
    `preprocessing` alone, the rule by which films are resized for these weights from now on. `folds` is a folder that
    `ml.research.folds` made of the same films, for the card to tell of. Raises `TrainingError` where the films
    are not the
    model's, and what `ml.train.train` raises.
    """
    if out.exists():
        raise TrainingError(f"{out} is already there; choose another folder or delete it.")
    card = artifact_folder.check(model)
    films = dataset.read_folder(directory)
    divided = dataset.split(films, seed=card.seed)
    if (dataset.data_hash(films), divided.hash) != (card.data["hash"], card.data["split_hash"]):
        raise TrainingError(f"{directory} does not hold the films that {card.name} was trained with.")
    judged = {"folds": fold_report.for_card(folds, card.data["hash"])} if folds else {}
    side, seed = card.input_size, card.seed
    second = SecondPopulation(proof or Proof(), also, seed)
    known = card.data.get("second")
    if known and known != (second.hashes if also else None):
        raise TrainingError(
            f"{card.name} was trained with films of a second population, others of them held back; "
            "name that folder with --also."
        )
    if preprocessing and not about:
        raise TrainingError("With another rule of resizing, say with --about what the films are.")
    rule = preprocessing or card.preprocessing
    recipe = recipes.recipe_of(card.architecture, rule)
    prepared = prepare(films, divided, side, recipe)
    unfinished = out.with_name(out.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    if preprocessing and about:
        card = _measured_anew(card, model, unfinished, out.name, prepared, second, about, proof or Proof())
        card.data |= judged
        artifact_folder.seal(unfinished, card)
        unfinished.rename(out)
        return artifact_folder.load_card(out)
    for name in card.files:
        if name not in (artifact_folder.MODEL_CARD, artifact_folder.GATE_FILE, failure_cases.PICTURE, CURVES):
            shutil.copy2(model / name, unfinished / name)
    plots.curves(card.history, card.best_epoch, unfinished / CURVES)
    runtime = serving(unfinished, card.runtime)
    parameters, card.gate = report.teach(prepared, second, seed)
    card.gate["description"] += f" It was made anew for the weights of {card.name}."
    np.savez_compressed(unfinished / artifact_folder.GATE_FILE, **asdict(parameters))
    temperature = float(card.calibration["temperature"])
    cut = temperature * math.log(card.threshold / (1 - card.threshold))
    card.heatmap = prove_maps(card.heatmap, runtime, cut, prepared, second)
    stress = robustness.stress_logits(prepared.validation, runtime, prepared.preparation)
    targets = prepared.validation_targets
    card.stress = robustness.stress_table(targets, stress, cut)
    seconds = second.logits(runtime, prepared.preparation)
    card.calibration.pop("folds", None)
    if checked := calibration.check(calibration.Read(prepared, stress, second, seconds), seed):
        card.calibration["folds"] = checked
    card.operating_points = robustness.operating_points(targets, stress, temperature)
    answers = classification.sigmoid(stress[AS_THEY_ARE] / temperature)
    card.subgroups = prove_subgroups(prepared, second, answers, seconds, temperature, seed)
    card.metrics_method = METRICS_METHOD
    card.origin = prove_origin(prepared, answers, card.threshold, seed)
    card.failures = failure_cases.find(
        runtime, parameters, prepared.preparation, temperature, card.threshold, unfinished
    )
    if proof and proof.full_size:
        card.agreement["full_size"] = prove_full_size(proof.full_size, prepared, runtime, cut)
    card.data |= judged
    card.name = out.name
    artifact_folder.seal(unfinished, card)
    unfinished.rename(out)
    return artifact_folder.load_card(out)


def _measured_anew(
    card: Card,
    model: Path,
    folder: Path,
    name: str,
    prepared: Prepared,
    second: SecondPopulation,
    about: About,
    proof: Proof,
) -> Card:
    """The card of the same weights, with films as `prepared` has them."""
    weights = keras.saving.load_model(model / artifact_folder.KERAS_FILE, compile=False, safe_mode=True)
    state = loop.State(
        {"seed": card.seed, "init": card.training["init"], "imagenet": card.initialisation},
        best_epoch=card.best_epoch,
        seconds=card.training["seconds"],
        history=card.history,
    )
    found = write(folder, name, card.architecture, weights, state, prepared, second, card.seed, about, proof)
    found.training = {**card.training, "weights_of": card.name, "resized_by": card.preprocessing}
    found.reproducibility = card.reproducibility
    if "second" not in card.data:
        # What it learned from is not on record, and these films do not show it.
        found.data.pop("second", None)
    found.data |= {name: card.data[name] for name in ("inherited", "folds") if name in card.data}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with a model version, 1 where a film cannot be read, 2 where the command or a folder is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.research.refit",
        description="Fit gate and evidence of a trained model version anew.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of the model version")
    parser.add_argument("directory", type=Path, metavar="DIR", help="the films that it was trained with")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--also", type=Path, metavar="DIR", help="the second population that trained it")
    parser.add_argument("--also-share", type=float, default=0.25, metavar="S", help="its share of each batch")
    parser.add_argument("--second-population", type=Path, metavar="DIR", help="the one that only measured it")
    parser.add_argument("--second-name", default=Proof.second_name, metavar="TEXT")
    parser.add_argument(
        "--full-size", type=Path, metavar="DIR", help="originals of training films, same names"
    )
    parser.add_argument(
        "--preprocessing", choices=PREPROCESSINGS, help="resize films by this rule from now on"
    )
    parser.add_argument(
        "--folds",
        type=Path,
        metavar="DIR",
        help="what ml.research.folds made of the same films, for the card to tell",
    )
    parser.add_argument("--about", type=Path, metavar="FILE", help="JSON that describes films and population")
    parser.add_argument("--json", action="store_true", help="print the card as JSON")
    options = parser.parse_args(arguments)
    try:
        card = refit(
            options.model,
            options.directory,
            options.out,
            also=Second(options.also, options.also_share, options.second_name) if options.also else None,
            proof=Proof(options.second_population, options.second_name, options.full_size),
            about=About.read(options.about) if options.about else None,
            preprocessing=options.preprocessing,
            folds=options.folds,
        )
    except FAILURES as error:
        return told(parser.prog, error)
    print(json.dumps(card.as_dict(), ensure_ascii=False) if options.json else _in_words(card))
    return 0


def _in_words(card: Card) -> str:
    rows: list[dict[str, Any]] = card.gate["measured"]
    return "\n".join(
        [
            f"{card.name}: refused",
            *(f"  {row['refused']:5} of {row['n']:5}  {row['pictures']}" for row in rows),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
