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

from ml import artifact, dataset, evidence, export, fitting, gatefit, heatmap, metrics, network
from ml.artifact import ArtifactError, Card
from ml.dataset import DatasetError, LabelledFilm
from ml.fitting import Progress, ResumeError
from ml.gate import GateParameters
from ml.images import PREPROCESSING_VERSION, ImageError, Radiograph, fit, standardise
from ml.runtime import Keras, LiteRT, Outputs, Runtime, run_all

VALIDATION_SHARE = 0.2
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


@dataclass
class Prepared:
    """A data set in memory."""

    split: dataset.Split
    films: list[LabelledFilm]
    train: fitting.Films
    train_targets: NDArray[np.int64]
    validation: list[Radiograph] = field(repr=False)
    validation_films: fitting.Films = field(repr=False)
    validation_targets: NDArray[np.int64] = field(repr=False)

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
    about: About | None = None,
    proof: Proof | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Card:
    """Train on the films of `directory` and leave a model version in `out`, which must not exist yet.

    Work in progress is kept beside it, in `out` + `.unfinished`, so that the same call goes on after a crash. `init`
    is a model version to start from. Raises `DatasetError`, `ImageError`, `ArtifactError`, `TrainingError` and
    `ResumeError`, each with a sentence.
    """
    if out.exists():
        raise TrainingError(f"{out} is already there; choose another folder or delete it.")
    if architecture not in network.ARCHITECTURES:
        raise TrainingError(
            f"There is no architecture {architecture}; {', '.join(network.ARCHITECTURES)} are."
        )
    if epochs < 1:
        raise TrainingError("At least one epoch is needed.")
    about, proof = about or About(), proof or Proof()
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
    }
    checkpoints = fitting.Checkpoints(out.with_name(out.name + ".unfinished"), task)
    prepared = _prepare(films, divided, network.INPUT_SIDES[architecture])
    _make_repeatable(seed)
    model = network.ARCHITECTURES[architecture](network.INPUT_SIDES[architecture])
    if init and start:
        _start_from(model, init, start, architecture)
    state = fitting.train_epochs(
        model,
        (prepared.train, prepared.train_targets),
        (prepared.validation_films, prepared.validation_targets),
        epochs=epochs,
        seed=seed,
        checkpoints=checkpoints,
        progress=progress,
    )
    unfinished = out.with_name(out.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    card = _write(unfinished, out.name, architecture, model, state, prepared, seed, about, proof)
    artifact.seal(unfinished, card)
    unfinished.rename(out)
    checkpoints.delete()
    return artifact.load_card(out)


def _prepare(films: list[LabelledFilm], split: dataset.Split, side: int) -> Prepared:
    validation = evidence.read(split.validation)
    return Prepared(
        split=split,
        films=films,
        train=fitting.load_films(split.train),
        train_targets=np.array([film.target for film in split.train]),
        validation=validation,
        validation_films=_ready(validation, side),
        validation_targets=np.array([film.target for film in split.validation]),
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
    seed: int,
    about: About,
    proof: Proof,
) -> Card:
    """Write weights and gate into `folder` and measure them; the card still lacks the files' hashes."""
    side = network.INPUT_SIDES[architecture]
    bare = network.ARCHITECTURES[architecture](side)
    bare.set_weights(model.get_weights())
    bare.save(folder / artifact.KERAS_FILE)
    runtime, outputs, agreement = _choose_runtime(folder, bare, prepared)
    targets = prepared.validation_targets
    stress = evidence.stress_logits(prepared.validation, runtime, side)
    calibration = _calibrate(targets, stress)
    cut = calibration["temperature"] * math.log(THRESHOLD / (1 - THRESHOLD))
    probabilities = metrics.sigmoid(outputs.logits / calibration["temperature"])
    figures = metrics.measure(targets, probabilities, THRESHOLD, prepared.validation_patients, seed)
    second = _SecondPopulation(proof, seed)
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
        heatmap=_heatmap_scale(outputs, targets),
        gate=gate_entry,
        population=_population(about, second, runtime, side, figures, seed),
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
            "learning_rate": fitting.LEARNING_RATE,
            "weight_decay": fitting.WEIGHT_DECAY,
            "label_smoothing": fitting.LABEL_SMOOTHING,
            "init": state.task["init"],
        },
        versions=_versions(),
        reproducibility=_reproducibility(proof.repeats, figures, outputs, state, prepared, side),
    )


def _choose_runtime(
    folder: Path, model: keras.Model, prepared: Prepared
) -> tuple[Runtime, Outputs, dict[str, Any]]:
    """LiteRT where it could be exported and agrees with Keras, else Keras."""
    reference = Keras(folder / artifact.KERAS_FILE)
    expected = run_all(reference, prepared.validation_films)
    path = folder / artifact.LITERT_FILE
    if not export.export_litert(model, path):
        sentence = "Not exported: only the TensorFlow backend can convert to LiteRT, so Keras serves."
        return reference, expected, {"agrees": False, "sentence": sentence}
    served = LiteRT(path, threads=2)
    outputs = run_all(served, prepared.validation_films)
    found = export.agreement(expected, outputs)
    if not found["agrees"]:
        path.unlink()
        return reference, expected, found
    return served, outputs, found


def _calibrate(targets: NDArray[np.int64], stress: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    logits = np.concatenate(list(stress.values()))
    repeated = np.tile(targets, len(stress))
    temperature = metrics.fit_temperature(repeated, logits, fitting.balanced(repeated))
    return {"temperature": round(temperature, 4), "method": CALIBRATION_METHOD}


def _heatmap_scale(outputs: Outputs, targets: NDArray[np.int64]) -> dict[str, Any]:
    """What a usual normal film shows is nothing, and the peak of a usual pneumonia film is 1, for every film."""
    reference = outputs.maps[targets == 0].mean(axis=0).round(5)
    peaks = heatmap.beyond_normal(outputs.maps, reference).max(axis=(1, 2))
    found = (targets == 1) & (outputs.logits > 0)
    scale = max(float(np.median(peaks[found if found.any() else targets == 1])), 1e-6)
    return {
        "scale": round(scale, 6),
        "stride": network.MAP_STRIDE,
        "method": "HiResCAM of the logit less that of the average normal validation film, smoothed by one cell. Full "
        "colour is the median peak of the pneumonia films that were answered pneumonia, the same for every film.",
        "median_peak": {
            label: round(float(np.median(peaks[targets == k]) / scale), 3)
            for k, label in enumerate(dataset.LABELS)
        },
        "reference": [[round(float(cell), 5) for cell in row] for row in reference],
    }


class _SecondPopulation:
    """Films of other patients, half to widen the gate and half to measure it; labels, where known, measure the AUC."""

    def __init__(self, proof: Proof, seed: int) -> None:
        self.name = proof.second_name
        self.films = dataset.read_folder(proof.second_population) if proof.second_population else []
        self.pictures = evidence.read(self.films)
        patients = sorted({film.patient for film in self.films})
        order = np.random.default_rng([seed, 303]).permutation(len(patients))
        limiting = {patients[i] for i in order[: len(patients) // 2]}
        self.limiting = [p for f, p in zip(self.films, self.pictures, strict=True) if f.patient in limiting]
        self.held_back = [
            p for f, p in zip(self.films, self.pictures, strict=True) if f.patient not in limiting
        ]

    def evidence(self, runtime: Runtime, side: int, figures: metrics.Metrics, seed: int) -> str:
        """The AUC on the labelled films, in a sentence; empty where there are none."""
        rows = [i for i, film in enumerate(self.films) if film.label]
        targets = np.array([self.films[i].target for i in rows])
        if len(set(targets.tolist())) < 2:
            return ""
        logits = run_all(runtime, _ready([self.pictures[i] for i in rows], side)).logits
        low, high = metrics.auc_interval(targets, logits, [self.films[i].patient for i in rows], seed)
        return (
            f"On {len(rows)} labelled {self.name} ({int(targets.sum())} of them pneumonia) its AUC was "
            f"{metrics.auc(targets, logits):.2f} (95 % interval {low:.2f} to {high:.2f}), against {figures.auc:.2f} "
            "on films of its own kind."
        )


def _gate(prepared: Prepared, second: _SecondPopulation, seed: int) -> tuple[GateParameters, dict[str, Any]]:
    parameters = evidence.fit_limits(
        gatefit.fit_gate(prepared.train, seed), prepared.validation, second.limiting
    )
    measured = evidence.gate_rates(parameters, prepared.validation, second.held_back, second.name, seed)
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
    runtime: Runtime,
    side: int,
    figures: metrics.Metrics,
    seed: int,
) -> dict[str, Any]:
    found = second.evidence(runtime, side, figures, seed)
    return {
        "description": about.population,
        "age_years": list(about.age_years) if about.age_years else None,
        "refuse_from_years": about.refuse_from_years,
        "evidence": found or "It was not tested on patients of any other kind.",
    }


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
            about=About.read(options.about) if options.about else None,
            proof=Proof(options.second_population, options.second_name, options.full_size, options.repeats),
            progress=_Bar(),
        )
    except (TrainingError, DatasetError, ArtifactError, ResumeError) as error:
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
