"""A labelled folder -> how good a model version is on it: `python -m ml.evaluate DIR [--model DIR] [--json]`.

Refused films have no answer: they are counted in `n` and in `rejected`, and the figures are of the others. Films that
the version learned from count as the others do, so that their figures can be made again; `known` says how many.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ml.artifact.folder import SHIPPED
from ml.data import dataset
from ml.errors import ArtifactError, DatasetError
from ml.images.errors import ImageError
from ml.images.reader import read_radiograph
from ml.metrics import classification
from ml.serving.predictor import Answer, Predictor
from ml.serving.runtime import thread_count

BATCH = 32
_RATES = ("auc", "accuracy", "sensitivity", "specificity")


def evaluate(directory: Path, model: Path = SHIPPED) -> dict[str, Any]:
    """The figures of the command's JSON. Films of `labels.csv` without a label are left out.

    Raises `DatasetError` and `ArtifactError` for folders that are none, `ImageError` for a film that cannot be read,
    and ValueError where the answered films are not of both classes.
    """
    films = [film for film in dataset.read_folder(directory) if film.label]
    predictor = Predictor(model, threads=thread_count())
    answers: list[Answer] = []
    for start in tqdm(range(0, len(films), BATCH), unit="batch", disable=None):
        some = [_read(film.path) for film in films[start : start + BATCH]]
        answers += [_without_heatmap(answer) for answer in predictor.predict(some)]
    answered = [
        (film, answer) for film, answer in zip(films, answers, strict=True) if answer.probability is not None
    ]
    found = classification.measure(
        [film.target for film, _ in answered],
        np.array([answer.probability for _, answer in answered], dtype=np.float64),
        predictor.card.threshold,
        [film.patient for film, _ in answered],
    ).as_dict()
    return {
        "n": len(films),
        "rejected": len(films) - len(answered),
        "known": sum(answer.known for _, answer in answered),
        **{key: found[key] for rate in _RATES for key in (rate, f"{rate}_ci")},
        "brier": found["brier"],
        "ece": found["ece"],
        "threshold": predictor.card.threshold,
        "confusion": found["confusion"],
        "model": predictor.name,
    }


def _read(path: Path) -> Any:
    try:
        return read_radiograph(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _without_heatmap(answer: Answer) -> Answer:
    """Thousands of heatmaps would fill the memory for nothing."""
    answer.heatmap = None
    return answer


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with figures, 1 where a film cannot be read or a class is missing, 2 where a folder is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.evaluate", description="Measure a model version on labelled chest X-rays."
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="NORMAL/ and PNEUMONIA/, or labels.csv")
    parser.add_argument(
        "--model", type=Path, default=SHIPPED, metavar="DIR", help="folder of a model version"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        found = evaluate(options.directory, options.model)
    except (DatasetError, ArtifactError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found) if options.json else _in_words(found))
    return 0


def _in_words(found: dict[str, Any]) -> str:
    (tn, fp), (fn, tp) = found["confusion"]
    return "\n".join(
        [
            f"{found['model']} on {found['n']} films, {found['rejected']} of them refused; threshold "
            f"{found['threshold']:g}",
            *_flattered(found["known"]),
            *(
                f"{name:12} {found[name]:.4f}  ({found[name + '_ci'][0]:.4f} to {found[name + '_ci'][1]:.4f})"
                for name in _RATES
            ),
            f"{'Brier':12} {found['brier']:.4f}",
            f"{'ECE':12} {found['ece']:.4f}",
            f"normal: {tn} right, {fp} false alarms; pneumonia: {tp} right, {fn} missed",
        ]
    )


def _flattered(known: int) -> list[str]:
    told = f"The version learned from {known:,} of these films, or was chosen by them: it looks better than it is."
    return [told] if known else []


if __name__ == "__main__":
    sys.exit(main())
