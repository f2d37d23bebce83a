"""Architectures under one protocol: `python -m ml.compare DIR --out DIR [--architectures A,B,…] [--epochs N] [--json]`.

The same films of the same patients, changed in the same ways, as often, at the same size, with the same optimiser;
then the same validation films, as they are and changed on purpose. What is finished is kept: the same command goes on
after a crash, epoch by epoch.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.cli import FAILURES, told
from ml.data import dataset
from ml.data.dataset import LabelledFilm
from ml.errors import ResumeError, TrainingError
from ml.evaluation import robustness
from ml.evaluation.plots import comparison_plots
from ml.images import perturbations
from ml.images.perturbations import AS_THEY_ARE
from ml.images.preprocessing import Preparation, ready
from ml.images.radiograph import Radiograph
from ml.metrics import classification
from ml.metrics.classification import THRESHOLD, rounded
from ml.networks import baselines
from ml.networks import imagenet as networks_imagenet
from ml.networks.fused_batchnorm import for_training
from ml.serving import export
from ml.training import loop, recipes
from ml.training.loop import Progress
from ml.training.reproducibility import make_repeatable
from ml.training.sampler import BATCH, Stored

SHARE = 0.2
RECIPE = recipes.Recipe(
    working_side=128, learning_rate=1e-3, weight_decay=0.01, warm_up=0.1, bytes=True, judge_changed=True
)
RESULT = "comparison.json"
RUNS = 30
Targets = NDArray[np.int64]


@dataclass(frozen=True)
class Protocol:
    """What is the same for all. `films` limits the training films, `stress_films` those that are changed; both are
    drawn evenly from the classes. `side` is in pixels."""

    side: int = 96
    epochs: int = 2
    films: int | None = None
    stress_films: int = 200
    seed: int = 1

    @property
    def preparation(self) -> Preparation:
        return Preparation(self.side, RECIPE.preprocessing)


@dataclass(frozen=True)
class Films:
    """The films of a comparison in memory; `seen` is how many each network is shown."""

    train: Stored
    train_targets: Targets
    validation: list[Radiograph]
    targets: Targets
    patients: list[str]
    stressed: list[int]
    data_hash: str
    split_hash: str


def compare(
    directory: Path,
    out: Path,
    architectures: Sequence[str],
    protocol: Protocol,
    imagenet: Path | None = None,
    progress: Callable[[str, Progress], None] | None = None,
) -> dict[str, Any]:
    """Train and measure each architecture, and leave `comparison.json`, `COMPARISON.md` and plots in `out`.

    Raises `DatasetError`, `ImageError`, `TrainingError`, `WeightsError` and `ResumeError`, each with a sentence.
    """
    unknown = [name for name in architectures if name not in baselines.PEERS]
    if unknown:
        raise TrainingError(f"There is no architecture {unknown[0]}; {', '.join(baselines.PEERS)} are.")
    if any(baselines.PEERS[name].imagenet for name in architectures) and not imagenet:
        raise TrainingError("To start from ImageNet weights, name the checkpoint with --imagenet.")
    films = read(directory, protocol)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in architectures:
        report = (lambda found, name=name: progress(name, found)) if progress else None
        rows.append(_result(name, out, films, protocol, imagenet, report))
    found = {
        "protocol": _protocol(films, protocol),
        "architectures": [{key: value for key, value in row.items() if key != "task"} for row in rows],
    }
    (out / RESULT).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "COMPARISON.md").write_text(describe(found), encoding="utf-8")
    comparison_plots(found, out)
    return found


def read(directory: Path, protocol: Protocol) -> Films:
    """Split by patient as a training would, then limit the training films."""
    films = [film for film in dataset.read_folder(directory) if film.label]
    split = dataset.split(films, SHARE, protocol.seed)
    generator = np.random.default_rng([protocol.seed, 404])
    chosen = [split.train[i] for i in _evenly(split.train, protocol.films, generator)]
    return Films(
        train=loop.load_films(chosen, RECIPE),
        train_targets=np.array([film.target for film in chosen]),
        validation=dataset.read(split.validation),
        targets=np.array([film.target for film in split.validation]),
        patients=[film.patient for film in split.validation],
        stressed=_evenly(split.validation, protocol.stress_films, generator),
        data_hash=dataset.data_hash(films),
        split_hash=split.hash,
    )


def _evenly(films: Sequence[LabelledFilm], wanted: int | None, generator: np.random.Generator) -> list[int]:
    """Places of at most `wanted` films, as many of each class as there are, up to half."""
    if wanted is None or wanted >= len(films):
        return list(range(len(films)))
    targets = np.array([film.target for film in films])
    found = [generator.permutation(np.nonzero(targets == k)[0])[: wanted // 2] for k in (0, 1)]
    return sorted(int(place) for place in np.concatenate(found))


def _result(
    name: str,
    out: Path,
    films: Films,
    protocol: Protocol,
    imagenet: Path | None,
    progress: Callable[[Progress], None] | None,
) -> dict[str, Any]:
    """The row of one architecture: kept from before, or trained and measured now."""
    start = networks_imagenet.describe(imagenet) if imagenet and baselines.PEERS[name].imagenet else None
    task = {
        "architecture": name,
        **asdict(protocol),
        "data": films.data_hash,
        "split": films.split_hash,
        "imagenet": start,
    }
    kept = out / f"{name}.json"
    if kept.is_file():
        row: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        if row["task"] != task:
            raise ResumeError(f"{kept} is of other films or settings; choose another folder or delete it.")
        return row
    checkpoints = loop.Checkpoints(out / f"{name}.unfinished", task)
    keras.backend.clear_session()
    make_repeatable(protocol.seed)
    model = baselines.build(name, protocol.side)
    if imagenet and baselines.PEERS[name].imagenet:
        networks_imagenet.start_from_imagenet(model, imagenet)
    judged = perturbations.every_second_changed(films.validation)
    learner = for_training(model)
    state = loop.train_epochs(
        learner,
        (films.train, films.train_targets),
        (ready(judged, protocol.preparation), films.targets),
        recipe=RECIPE,
        epochs=protocol.epochs,
        seed=protocol.seed,
        checkpoints=checkpoints,
        progress=progress,
    )
    model.set_weights(learner.get_weights())
    row = {"task": task, **_measured(name, model, state, films, protocol)}
    unfinished = kept.with_name(kept.name + ".unfinished")
    unfinished.write_text(json.dumps(row, indent=1), encoding="utf-8")
    unfinished.replace(kept)
    checkpoints.delete()
    return row


def _measured(
    name: str, model: keras.Model, state: loop.State, films: Films, protocol: Protocol
) -> dict[str, Any]:
    probabilities = classification.sigmoid(loop.logits(model, ready(films.validation, protocol.preparation)))
    figures = classification.measure(films.targets, probabilities, THRESHOLD, films.patients, protocol.seed)
    stress = _stress(model, films, protocol.preparation)
    milliseconds, runtime = time_a_film(model, protocol.side)
    return {
        "architecture": name,
        "title": baselines.PEERS[name].title,
        "start": "ImageNet weights" if baselines.PEERS[name].imagenet else "random weights",
        "parameters": int(model.count_params()),
        "metrics": rounded(figures.as_dict()),
        "stress": stress,
        "worst": {
            rate: min(
                ({"stress": row["stress"], rate: row[rate]} for row in stress), key=lambda row: row[rate]
            )
            for rate in ("sensitivity", "specificity")
        },
        "roc": classification.roc(films.targets, probabilities),
        "reliability": classification.reliability(films.targets, probabilities),
        "milliseconds": round(milliseconds, 2),
        "runtime": runtime,
        "seconds": round(state.seconds, 1),
        "best_epoch": state.best_epoch,
        "history": state.history,
    }


def _stress(model: keras.Model, films: Films, preparation: Preparation) -> list[dict[str, Any]]:
    """Sensitivity and specificity under every change at the threshold that all have, 0.5."""
    chosen = [films.validation[i] for i in films.stressed]
    found = {
        stress: loop.logits(
            model, ready([perturbations.stressed(film, stress) for film in chosen], preparation)
        )
        for stress in robustness.STRESSES
        if stress != AS_THEY_ARE
    }
    return robustness.stress_table(films.targets[films.stressed], found, cut=0.0)


def time_a_film(model: keras.Model, side: int) -> tuple[float, str]:
    """Milliseconds for one film on one thread, and what ran it: LiteRT where it can be exported, else Keras.

    The fastest of some runs, since other programs share the machine.
    """
    film = np.random.default_rng(1).standard_normal((1, side, side, 1)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        if not export.convert(model, path):
            return _fastest(lambda: model.predict_on_batch(film)), f"Keras on {keras.backend.backend()}"
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], film)
        return _fastest(interpreter.invoke), "LiteRT, one thread"


def _fastest(work: Callable[[], Any]) -> float:
    work()
    spent = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return min(spent) * 1000


def _protocol(films: Films, protocol: Protocol) -> dict[str, Any]:
    batches = -(-len(films.train) // BATCH)
    return {
        **asdict(protocol),
        "training_films": len(films.train),
        "films_seen": batches * BATCH * protocol.epochs,
        "validation_films": len(films.targets),
        "changed_films": len(films.stressed),
        "data_hash": films.data_hash,
        "split_hash": films.split_hash,
        "sentence": f"Each network was shown {batches * BATCH * protocol.epochs:,} films (of "
        f"{len(films.train):,}, both classes evenly, changed at random) of {protocol.side} x {protocol.side} pixels, "
        f"with the same optimiser (AdamW, {RECIPE.learning_rate:g}, cosine) and batches of {BATCH}; the "
        f"epoch of lowest validation loss was kept. Threshold {THRESHOLD:g}, no calibration. Measured on "
        f"{len(films.targets):,} films of patients from whom none had learned, and on {len(films.stressed)} of them "
        f"changed in {len(robustness.STRESSES) - 1} ways. One seed, a small budget: networks that learn slowly from "
        "random weights are at a disadvantage here, and an order of small differences means nothing.",
    }


def describe(found: dict[str, Any]) -> str:
    """The table as Markdown."""
    head = (
        "| architecture | start | AUC | accuracy | sensitivity | specificity | worst sensitivity, changed | "
    )
    lines = [
        "# Architectures under one protocol",
        "",
        found["protocol"]["sentence"],
        "",
        head + "worst specificity, changed | parameters | ms a film |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_line(row) for row in found["architectures"]),
        "",
        f"In brackets: {classification.INTERVALS_IN_SHORT} Milliseconds: "
        + ", ".join(sorted({row["runtime"] for row in found["architectures"]}))
        + ", the fastest of "
        + f"{RUNS} runs.",
        "",
    ]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    figures, worst = row["metrics"], row["worst"]
    rates = " | ".join(
        f"{figures[rate]:.3f} ({figures[rate + '_ci'][0]:.3f} to {figures[rate + '_ci'][1]:.3f})"
        for rate in ("auc", "accuracy", "sensitivity", "specificity")
    )
    bad = " | ".join(
        f"{worst[rate][rate]:.3f} ({worst[rate]['stress']})" for rate in ("sensitivity", "specificity")
    )
    return (
        f"| {row['title']} | {row['start']} | {rates} | {bad} | {row['parameters']:,} | "
        f"{row['milliseconds']:.1f} |"
    )


class _Bar:
    """One progress bar for each architecture, on standard error."""

    def __init__(self) -> None:
        self.bars: dict[str, tqdm[Any]] = {}

    def __call__(self, name: str, progress: Progress) -> None:
        if name not in self.bars:
            total = progress.epochs * progress.steps
            self.bars[name] = tqdm(total=total, unit="batch", file=sys.stderr, desc=name, mininterval=2)
        bar = self.bars[name]
        bar.n = (progress.epoch - 1) * progress.steps + progress.step
        bar.set_postfix_str(f"loss {progress.loss:.3f}, AUC {progress.auc:.3f}", refresh=False)
        bar.update(0)
        if progress.finished_epoch and progress.epoch == progress.epochs:
            bar.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with a table, 1 where a film cannot be read, 2 where the command or a folder is wrong."""
    usual = Protocol()
    parser = argparse.ArgumentParser(
        prog="python -m ml.compare", description="Train architectures under one protocol and compare them."
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="NORMAL/ and PNEUMONIA/, or labels.csv")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for table and plots")
    parser.add_argument(
        "--architectures",
        metavar="A,B,…",
        help=f"some of {','.join(baselines.PEERS)}; all that can start if not given",
    )
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    parser.add_argument("--films", type=int, metavar="N", help="training films at most, both classes evenly")
    parser.add_argument("--stress-films", type=int, default=usual.stress_films, metavar="N")
    parser.add_argument("--side", type=int, default=usual.side, metavar="PIXELS")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument(
        "--imagenet",
        metavar="FILE",
        help="PyTorch checkpoint for lite0-imagenet, or `package` (see ml.train)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    if options.epochs < 1 or options.side < 48:
        parser.error("at least one epoch and 48 pixels are needed")
    names = (
        options.architectures.split(",")
        if options.architectures
        else [name for name, peer in baselines.PEERS.items() if options.imagenet or not peer.imagenet]
    )
    protocol = Protocol(options.side, options.epochs, options.films, options.stress_films, options.seed)
    try:
        imagenet = networks_imagenet.find(options.imagenet) if options.imagenet else None
        found = compare(options.directory, options.out, names, protocol, imagenet, _Bar())
    except FAILURES as error:
        return told(parser.prog, error)
    print(json.dumps(found, ensure_ascii=False) if options.json else describe(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
