"""What a new model version is worth: its weights and gate are written and measured, and its card is filled in."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.artifact import folder as artifact_folder
from ml.artifact.card import Card
from ml.data import dataset
from ml.errors import TrainingError
from ml.evaluation import calibration, failure_cases, plots, reference_histograms, robustness, saliency
from ml.gate import report
from ml.images import statistics
from ml.images.preprocessing import ready
from ml.metrics import classification
from ml.metrics.classification import THRESHOLD, rounded, rows_of, subgroup
from ml.networks import efficientnet_lite, registry
from ml.serving import export, heatmap
from ml.serving.runtime import Keras, LiteRT, Outputs, Runtime, run_all, serving, thread_count
from ml.training import confounders, loop
from ml.training.cohorts import About, Prepared, Proof, SecondPopulation
from ml.training.sampler import BATCH

CURVES = "curves.png"
SECOND_AUC = 0.8
"""From this AUC on the held-back part, a second population that trained is one that the model may answer."""
THRESHOLD_METHOD = (
    "Fixed beforehand at 0.5 of a network trained on as many normal as pneumonia films, not tuned: the validation "
    "films are too like the training films to choose by. The stress table shows how it holds."
)
METRICS_METHOD = (
    f"{classification.INTERVALS} The same films chose the epoch and the temperature, so the figures flatter; films of "
    "another hospital will do worse."
)


def write(
    folder: Path,
    name: str,
    architecture: str,
    model: keras.Model,
    state: loop.State,
    prepared: Prepared,
    second: SecondPopulation,
    seed: int,
    about: About,
    proof: Proof,
) -> Card:
    """Write weights and gate into `folder` and measure them; the card still lacks the files' hashes."""
    side, recipe = prepared.preparation.side, prepared.recipe
    bare = registry.ARCHITECTURES[architecture](side)
    bare.set_weights(model.get_weights())
    half = recipe.half_precision
    if half:
        efficientnet_lite.round_to_half(bare)
    bare.save(folder / artifact_folder.KERAS_FILE)
    if half:
        export.compress(folder / artifact_folder.KERAS_FILE)
    runtime, outputs, agreement = _choose_runtime(folder, bare, prepared, half)
    targets = prepared.validation_targets
    stress = robustness.stress_logits(prepared.validation, runtime, prepared.preparation)
    seconds = second.logits(runtime, prepared.preparation)
    calibrated = calibration.calibrate(calibration.Read(prepared, stress, second, seconds), seed)
    cut = calibrated["temperature"] * math.log(THRESHOLD / (1 - THRESHOLD))
    probabilities = classification.sigmoid(outputs.logits / calibrated["temperature"])
    figures = classification.measure(targets, probabilities, THRESHOLD, prepared.validation_patients, seed)
    gate_parameters, gate_entry = (
        report.take_over(proof.gate_of, prepared, second, seed)
        if proof.gate_of
        else report.teach(prepared, second, seed)
    )
    np.savez_compressed(folder / artifact_folder.GATE_FILE, **asdict(gate_parameters))
    plots.curves(state.history, state.best_epoch, folder / CURVES)
    temperature = calibrated["temperature"]
    entries = {"litert": agreement}
    if proof.full_size:
        entries["full_size"] = prove_full_size(proof.full_size, prepared, runtime, cut)
    return Card(
        name=name,
        architecture=architecture,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        input_size=side,
        preprocessing=prepared.preparation.rule,
        labels=list(dataset.LABELS),
        threshold=THRESHOLD,
        threshold_method=THRESHOLD_METHOD,
        calibration=calibrated,
        heatmap=prove_maps(_heatmap_scale(outputs, targets, architecture), runtime, cut, prepared, second),
        gate=gate_entry,
        population=_population(about, second, seconds, calibrated["temperature"], figures, seed),
        data=_data(about, prepared, second),
        metrics=rounded(figures.as_dict()),
        metrics_method=METRICS_METHOD,
        history=state.history,
        best_epoch=state.best_epoch,
        roc=classification.roc(targets, probabilities),
        reliability=classification.reliability(targets, probabilities),
        stress=robustness.stress_table(targets, stress, cut),
        agreement=entries,
        runtime="litert" if agreement["agrees"] else "keras",
        seed=seed,
        parameters=int(bare.count_params()),
        training={
            "epochs": len(state.history),
            "seconds": round(state.seconds, 1),
            "batch": BATCH,
            "learning_rate": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "label_smoothing": loop.LABEL_SMOOTHING,
            "averaging": recipe.averaging,
            "mixing": recipe.mixing,
            "exchange": recipe.exchange,
            "balance": recipe.balance,
            "init": state.task["init"],
            "mode": state.task.get("mode", "whole"),
            "variants": state.variants,
            "shares": state.shares,
        },
        initialisation=state.task.get("imagenet") or {},
        subgroups=prove_subgroups(prepared, second, probabilities, seconds, calibrated["temperature"], seed),
        origin=prove_origin(prepared, probabilities, THRESHOLD, seed),
        operating_points=robustness.operating_points(targets, stress, temperature),
        failures=failure_cases.find(
            runtime, gate_parameters, prepared.preparation, temperature, THRESHOLD, folder
        ),
        views=registry.VIEWS[architecture],
        reference=reference_histograms.describe(
            prepared.validation,
            probabilities,
            targets,
            prepared.validation_patients,
            prepared.preparation,
        ),
        versions=_versions(),
        reproducibility=_reproducibility(proof.repeats, figures, outputs, state, prepared),
    )


def _choose_runtime(
    folder: Path, model: keras.Model, prepared: Prepared, half: bool
) -> tuple[Runtime, Outputs, dict[str, Any]]:
    """LiteRT where it could be exported and agrees with Keras, else Keras."""
    reference = Keras(folder / artifact_folder.KERAS_FILE)
    expected = run_all(reference, prepared.validation_films)
    path = folder / artifact_folder.LITERT_FILE
    if not export.export_litert(model, path, half):
        sentence = "Not exported: only the TensorFlow backend can convert to LiteRT, so Keras serves."
        return reference, expected, {"agrees": False, "sentence": sentence}
    served = LiteRT(path, thread_count())
    outputs = run_all(served, prepared.validation_films)
    found = export.agreement(expected, outputs)
    if not found["agrees"]:
        path.unlink()
        return reference, expected, found
    return served, outputs, found


def prove_origin(
    prepared: Prepared, probabilities: NDArray[np.float64], threshold: float, seed: int
) -> dict[str, Any]:
    """What is left of the answers (n,) to the validation films where how a film was made tells little."""
    working = replace(prepared.preparation, side=prepared.recipe.working_side)
    known = confounders.Origin.fit(confounders.traits_of(prepared.train), prepared.train_targets)
    tells = known.tells(confounders.traits_of(working.fit(film) for film in prepared.validation))
    found = confounders.measure(
        tells, probabilities, prepared.validation_targets, threshold, prepared.validation_patients, seed
    )
    return dict(rounded(found))


def prove_subgroups(
    prepared: Prepared,
    second: SecondPopulation,
    probabilities: NDArray[np.float64],
    seconds: NDArray[np.float64],
    temperature: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Figures of the validation films by `probabilities` (n,): bacterial and viral pneumonia where file names tell it,
    views where the data do, quarters by sharpness; and those of a second population by its logits `seconds` (k,)."""
    films, targets = prepared.split.validation, prepared.validation_targets
    patients = prepared.validation_patients
    well = targets == 0
    found = []
    for word, name in (("bacteria", "bacterial pneumonia"), ("virus", "viral pneumonia")):
        rows = np.array([f"_{word}_" in film.path.name for film in films])
        if rows.any():
            chosen = np.nonzero(well | rows)[0]
            found.append(
                subgroup(f"{name}, beside all normal films", chosen, targets, probabilities, patients, seed)
            )
    for view, chosen in rows_of([film.view for film in films], targets).items():
        found.append(subgroup(f"{view} films", chosen, targets, probabilities, patients, seed))
    sharpness = np.array([statistics.sharpness(film) for film in prepared.validation])
    quarters = np.searchsorted(np.quantile(sharpness, [0.25, 0.5, 0.75]), sharpness)
    for quarter, name in enumerate(("softest", "second", "third", "sharpest")):
        chosen = np.nonzero(quarters == quarter)[0]
        found.append(subgroup(f"{name} quarter of the films", chosen, targets, probabilities, patients, seed))
    return [*(row for row in found if row), *second.subgroups(seconds, temperature, seed)]


def _heatmap_scale(outputs: Outputs, targets: NDArray[np.int64], architecture: str) -> dict[str, Any]:
    """What a usual normal film shows is nothing, and the peak of a usual pneumonia film is 1, for every film."""
    smoothing = registry.SMOOTHINGS[architecture]
    reference = outputs.maps[targets == 0].mean(axis=0).round(5)
    peaks = heatmap.beyond_normal(outputs.maps, reference, smoothing).max(axis=(1, 2))
    found = (targets == 1) & (outputs.logits > 0)
    scale = max(float(np.median(peaks[found if found.any() else targets == 1])), 1e-6)
    return {
        "scale": round(scale, 6),
        "stride": registry.MAP_STRIDES[architecture],
        "smoothing": smoothing,
        "method": f"{registry.MAP_METHODS[architecture]} less that of the average normal validation film, smoothed by "
        f"{smoothing:g} of a cell. Full colour is the median peak of the pneumonia films that were answered "
        "pneumonia, the same for every film.",
        "median_peak": {
            label: round(float(np.median(peaks[targets == k]) / scale), 3)
            for k, label in enumerate(dataset.LABELS)
        },
        "reference": [[round(float(cell), 5) for cell in row] for row in reference],
    }


def prove_maps(
    entry: dict[str, Any],
    runtime: Runtime,
    cut: float,
    prepared: Prepared,
    second: SecondPopulation,
) -> dict[str, Any]:
    """The card's `heatmap` with limits and figures of where maps point; `cut` is the threshold as a logit."""
    reader = saliency.Reader(runtime, entry, prepared.preparation, cut)
    others = second.pictures_of(second.held_back)
    found = saliency.prove(reader, prepared.validation, prepared.validation_targets, others, second.name)
    return {**entry, "sanity": found}


def _population(
    about: About,
    second: SecondPopulation,
    seconds: NDArray[np.float64],
    temperature: float,
    figures: classification.Metrics,
    seed: int,
) -> dict[str, Any]:
    """Whom the model was validated on. A second population counts where it trained and the AUC on its held-back part
    is good enough; then nobody is refused for age, and ages between the populations give a warning."""
    ages: Any = list(about.age_years) if about.age_years else None
    found = {
        "description": about.population,
        "age_years": ages,
        "refuse_from_years": about.refuse_from_years,
        "evidence": about.evidence,
    }
    theirs = second.measure(seconds, temperature, seed)
    if theirs is None:
        return found
    ill, (low, high) = sum(theirs.confusion[1]), theirs.auc_ci
    their_ages = second.ages()
    if not second.also:
        found["evidence"] = (
            f"On {theirs.n} labelled {second.name} ({ill} of them pneumonia) its AUC was {theirs.auc:.2f} (95 % "
            f"interval {low:.2f} to {high:.2f}), against {figures.auc:.3f} on films of its own kind."
        )
        return found
    found["evidence"] = (
        f"It also learned from {len(second.training)} {second.name}. On {theirs.n} others ({ill} of them pneumonia), "
        "of patients from whom it had not learned, but which took part in the choice of the weights, its AUC was "
        f"{theirs.auc:.2f} (95 % interval {low:.2f} to {high:.2f}), sensitivity {theirs.sensitivity:.2f} "
        f"({theirs.sensitivity_ci[0]:.2f} to {theirs.sensitivity_ci[1]:.2f}) and specificity "
        f"{theirs.specificity:.2f} ({theirs.specificity_ci[0]:.2f} to {theirs.specificity_ci[1]:.2f}), against an "
        f"AUC of {figures.auc:.3f} on the films of the first population."
    )
    if second.doubtful:
        found["evidence"] += (
            f" {len(second.doubtful)} films with doubtful labels neither taught nor measured it; if it started from "
            "another version or was taught by one, that one may have learned from them."
        )
    if theirs.auc >= SECOND_AUC and ages and their_ages:
        found["age_years"] = [ages, list(their_ages)]
        found["refuse_from_years"] = None
        found["description"] = (
            f"{about.population} Less surely: {second.name}, {classification.MOST} % of them of {their_ages[0]:g} to "
            f"{their_ages[1]:g} years."
        )
    return found


def _data(about: About, prepared: Prepared, second: SecondPopulation) -> dict[str, Any]:
    whole = dataset.counts(prepared.films)
    found = {
        "description": about.data,
        "films": {label: whole[label] for label in dataset.LABELS},
        "patients": whole["patients"],
        "hash": dataset.data_hash(prepared.films),
        "split_hash": prepared.split.hash,
        "validation": dataset.counts(prepared.split.validation),
    }
    if second.also:
        found["second"] = second.hashes
    if about.flattered:
        found["flattered"] = about.flattered
    return found


def prove_full_size(folder: Path, prepared: Prepared, runtime: Runtime, cut: float) -> dict[str, Any]:
    """Do larger originals get the label of their copies among the training films?"""
    copies = {film.path.stem: film for film in prepared.films}
    pairs = [
        (film, copies[film.path.stem]) for film in dataset.read_folder(folder) if film.path.stem in copies
    ]
    if not pairs:
        raise TrainingError(f"No film in {folder} has the name of a training film.")
    large, small = (
        run_all(runtime, ready(dataset.read(films), prepared.preparation)).logits
        for films in zip(*pairs, strict=True)
    )
    same = int(((large >= cut) == (small >= cut)).sum())
    return {
        "films": len(pairs),
        "same_label": same,
        "median_logit_difference": round(float(np.median(np.abs(large - small))), 4),
        "sentence": f"Of {len(pairs)} full-size films, {same} got the same label as their small copies; the logits "
        f"differ by {float(np.median(np.abs(large - small))):.2g} (median).",
    }


def _reproducibility(
    repeats: Path | None,
    figures: classification.Metrics,
    outputs: Outputs,
    state: loop.State,
    prepared: Prepared,
) -> str:
    if repeats is None:
        return "Whether a second training gives the same figures was not measured for this version."
    before = artifact_folder.check(repeats)
    if before.data["split_hash"] != prepared.split.hash or before.seed != state.task["seed"]:
        raise TrainingError(f"{repeats} was not made from the same films and seed.")
    earlier = run_all(serving(repeats, before.runtime), prepared.validation_films)
    apart = float(np.abs(earlier.logits - outputs.logits).max())
    return (
        "The same films and seed were trained twice on one machine: the validation AUC was "
        f"{before.metrics['auc']:.5f} and {figures.auc:.5f}, the best epoch {before.best_epoch} and "
        f"{state.best_epoch}, and "
        + (
            f"no logit differed by more than {apart:.1g}."
            if apart
            else "every logit was the same to the last bit."
        )
    )


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    found = {"python": platform.python_version(), "keras": keras.version(), "backend": backend}
    for package in ("numpy", "pillow", "scipy", "scikit-learn", "ai-edge-litert"):
        found[package] = importlib.metadata.version(package)
    if backend == "tensorflow":
        import tensorflow as tf  # noqa: TID251 - asked for its version only

        found["tensorflow"] = tf.__version__
    return found
