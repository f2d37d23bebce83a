"""Answer for films on the command line: `python -m ml.predict FILE… [--model DIR] [--json]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ml.artifact.folder import SHIPPED
from ml.errors import ArtifactError
from ml.images.errors import ImageError
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph
from ml.serving.predictor import BATCH, Predictor
from ml.serving.runtime import thread_count


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every file was read, 1 if any was an error, 2 where the command or the model is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.predict",
        description="Answer pneumonia or normal for chest X-rays (PNG, JPEG or DICOM).",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--model", type=Path, default=SHIPPED, metavar="DIR", help="folder of a model version"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a file, a line each")
    options = parser.parse_args(arguments)
    try:
        predictor = Predictor(options.model, threads=thread_count())
    except ArtifactError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    failed = False
    with tqdm(total=len(options.files), unit="film", disable=len(options.files) < 2 * BATCH) as bar:
        for start in range(0, len(options.files), BATCH):
            rows = _answer(predictor, options.files[start : start + BATCH])
            for row in rows:
                failed = failed or row["status"] == "error"
                with tqdm.external_write_mode(file=sys.stdout):
                    print(json.dumps(row, ensure_ascii=False) if options.json else _in_words(row), flush=True)
            bar.update(len(rows))
    return 1 if failed else 0


def _answer(predictor: Predictor, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Rows of the JSON contract for some files, in order; one that cannot be read does not stop the others."""
    errors: dict[int, str] = {}
    films: dict[int, Radiograph] = {}
    for place, path in enumerate(files):
        try:
            films[place] = read_radiograph(path)
        except ImageError as error:
            errors[place] = str(error)
        except FileNotFoundError:
            errors[place] = "There is no such file."
        except OSError as error:
            errors[place] = f"The file cannot be read: {error.strerror or error}."
    answers = dict(zip(films, predictor.predict(list(films.values())), strict=True))
    rows = []
    for place, path in enumerate(files):
        answer = answers.get(place)
        rows.append(
            {
                "file": str(path),
                "status": answer.status if answer else "error",
                "label": answer.label if answer else None,
                "probability": answer.probability if answer else None,
                "threshold": predictor.card.threshold,
                "reasons": answer.reasons if answer else [errors[place]],
                "model": predictor.name,
                "milliseconds": round(answer.milliseconds, 3) if answer else None,
            }
        )
    return rows


def _in_words(row: dict[str, Any]) -> str:
    if row["status"] == "accepted":
        told = f"{row['label']}  probability {row['probability']:.3f}, threshold {row['threshold']:g}"
    else:
        told = f"{row['status']}  {' '.join(row['reasons'])}"
    return f"{row['file']}: {told}"


if __name__ == "__main__":
    sys.exit(main())
