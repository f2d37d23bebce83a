"""Films of nobody, for the demonstration and the tests. `python -m ml.synthesize DIR --out DIR [--count N] [--seed N]`.
`python -m ml.synthesize --dicom [DIR] --out DIR` writes films that were drawn before, by default the shipped ones, as
DICOM.

An active appearance model (Cootes, Edwards and Taylor, IEEE PAMI 23, 2001) of each class: training films are warped
onto a mean film (Thirion's demons, Medical Image Analysis 2, 1998), principal components describe shape and
appearance apart, and Gaussian scores draw new ones. What the components leave is drawn as noise of the same spectrum
and local strength. A film that comes as near to a training film as films of different patients seldom do is thrown away
and drawn again.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

from ml.artifact.folder import SHIPPED
from ml.data import dataset
from ml.data.appearance_model import HEIGHT, Array, Painter, _read_all
from ml.data.dataset import LABELS, Label, LabelledFilm
from ml.data.dicom_writer import write_samples
from ml.errors import ArtifactError, DatasetError
from ml.images.errors import ImageError
from ml.images.preprocessing import fit, standardise
from ml.images.radiograph import Radiograph
from ml.serving.predictor import Predictor

COMPARED_SIDE = 64


TRIES = 40

SAMPLES = Path(__file__).parent / "samples"

MARK = "Synthetic: drawn from a statistical model, the film of no patient."


class SynthesisError(RuntimeError):
    """Films cannot be drawn from this folder; `str()` says why."""


@dataclass(frozen=True)
class Distances:
    """Root mean square differences of standardised 64 x 64 films.

    `limit`: the tenth percentile, over training films, of the distance to the nearest film of another patient.
    `nearest`: each drawn film's name and its distance to the nearest training film.
    """

    limit: float
    nearest: dict[str, float]


def synthesize(
    directory: Path, out: Path, count: int = 6, seed: int = 1, model: Path | None = SHIPPED
) -> Distances:
    """Draw `count` films of each class from the films of `directory` into `out`, with `labels.csv` and `README.md`.

    With a `model`, a film is kept only if its gate accepts it; how it answers plays no part. Raises `DatasetError`,
    `ImageError`, `ArtifactError` and `SynthesisError`.
    """
    films = [film for film in dataset.read_folder(directory) if film.label]
    for label in LABELS:
        if sum(film.label == label for film in films) < 3:
            raise SynthesisError(f"At least three {label} films are needed to draw from.")
    predictor = Predictor(model) if model else None
    generator = np.random.default_rng(seed)
    known = _standardised(films, COMPARED_SIDE)
    limit = usual_distance(known, [film.patient for film in films])
    out.mkdir(parents=True, exist_ok=True)
    nearest: dict[str, float] = {}
    with tqdm(total=count * len(LABELS), unit="film", disable=None) as bar:
        for label in LABELS:
            painter = Painter([film for film in films if film.label == label], generator)
            for number in range(1, count + 1):
                name = f"synthetic-{label.lower()}-{number:02d}.png"
                pixels, nearest[name] = _draw(painter, known, limit, predictor, generator)
                save(pixels, out / name, label)
                bar.update(1)
    distances = Distances(limit, nearest)
    _describe(out, distances, count, seed, len(films), predictor.name if predictor else None)
    return distances


def usual_distance(known: Array, patients: Sequence[str]) -> float:
    """Tenth percentile, over films (n, d), of the distance to the nearest film of another patient."""
    of = np.unique(np.asarray(patients), return_inverse=True)[1]
    if of.max() == 0:
        raise SynthesisError("The films of at least two patients are needed to compare with.")
    nearest = []
    for start in range(0, len(known), 256):
        apart = _distances(known[start : start + 256], known)
        apart[of[start : start + 256, None] == of[None, :]] = np.inf
        nearest.append(apart.min(axis=1))
    return float(np.quantile(np.concatenate(nearest), 0.1))


def save(pixels: NDArray[np.uint8], path: Path, label: Label) -> None:
    """Write one film, marked as synthetic in its metadata and in a corner of the picture."""
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    draw.text((10, HEIGHT - 22), "SYNTHETIC", fill=170, font_size=12)
    mark = PngInfo()
    mark.add_text("Title", MARK)
    mark.add_text("Description", f"Drawn from the model of {label.lower()} films.")
    picture.save(path, format="PNG", optimize=True, pnginfo=mark)


def _draw(
    painter: Painter, known: Array, limit: float, predictor: Predictor | None, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    for _ in range(TRIES):
        pixels = (painter.paint(generator) * 255).round().astype(np.uint8)
        film = Radiograph(pixels, 8, "PNG")
        compared = standardise(fit(film, COMPARED_SIDE)).reshape(1, -1)
        nearest = float(_distances(compared, known).min())
        if nearest < limit:
            continue
        if predictor is None or predictor.predict([film])[0].status == "accepted":
            return pixels, nearest
    raise SynthesisError(f"None of {TRIES} drawn films was far enough from the training films and accepted.")


def _distances(some: Array, known: Array) -> Array:
    """Root mean square differences (m, n) of standardised films (m, d) and (n, d)."""
    width = some.shape[1]
    squares = (some**2).sum(1)[:, None] + (known**2).sum(1)[None, :] - 2 * some @ known.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / width), dtype=np.float32)


def _standardised(films: Sequence[LabelledFilm], side: int) -> Array:
    return np.stack([standardise(film).reshape(-1) for film in _read_all(films, side)])


def _describe(out: Path, distances: Distances, count: int, seed: int, films: int, model: str | None) -> None:
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "label", "patient"])
        for name in distances.nearest:
            writer.writerow([name, name.split("-")[1].upper(), Path(name).stem])
    chosen = (
        f"Only films that the gate of {model} accepts were kept; how it answers them played no part. "
        if model
        else ""
    )
    lines = [
        "# Synthetic films",
        "",
        "These films show no patient. They were drawn at random from a statistical model (principal components of "
        f"shape and of appearance, and texture of the same spectrum) that was fitted to {films:,} training films, each "
        "class apart. They are for demonstration and tests, not for measuring a model and not for teaching. Each says "
        "so in its metadata, in a corner of the picture and in its name.",
        "",
        f"{chosen}Made by `python -m ml.synthesize DIR --out DIR --count {count} --seed {seed}`.",
        "",
        "## Distance from the training films",
        "",
        f"Measured as the root mean square difference of standardised films of {COMPARED_SIDE} x {COMPARED_SIDE} "
        "pixels. Nine training films in ten are farther than "
        f"{distances.limit:.3f} from the nearest film of another patient, one in ten is nearer; a drawn film nearer "
        "than that to any training film was thrown away.",
        "",
        "| film | nearest training film |",
        "|---|---|",
        *(f"| `{name}` | {apart:.3f} |" for name, apart in distances.nearest.items()),
        "",
    ]
    (out / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _dicom(folder: Path, out: Path, as_json: bool) -> int:
    count = len(list(folder.glob("*.png")))
    if not count:
        print(f"python -m ml.synthesize: {folder} holds no PNG films.", file=sys.stderr)
        return 2
    with tqdm(total=count, unit="film", disable=None) as bar:
        written = write_samples(folder, out, bar.update)
    if as_json:
        print(json.dumps({"files": [path.name for path in written]}))
    else:
        print(f"{len(written)} DICOM films of 12 bits, with an invented identity, in {out}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """0 with films, 1 where they cannot be drawn, 2 where a folder is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.synthesize",
        description="Draw synthetic chest X-rays from a model of training films.",
    )
    parser.add_argument(
        "directory", type=Path, nargs="?", metavar="DIR",
        help="NORMAL/ and PNEUMONIA/, or labels.csv; with --dicom a folder of PNG films, by default the shipped ones",
    )  # fmt: skip
    parser.add_argument(
        "--dicom", action="store_true", help="write drawn films as DICOM instead of drawing some"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="with --dicom, synthetic-dicom by default")
    parser.add_argument("--count", type=int, default=6, metavar="N", help="films of each class")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--model", type=Path, default=SHIPPED, metavar="DIR", help="whose gate must accept a film"
    )
    parser.add_argument("--json", action="store_true", help="print the distances as JSON")
    options = parser.parse_args(arguments)
    if options.dicom:
        return _dicom(options.directory or SAMPLES, options.out or Path("synthetic-dicom"), options.json)
    if options.directory is None or options.out is None:
        parser.error("DIR with the training films and --out DIR are needed")
    try:
        distances = synthesize(options.directory, options.out, options.count, options.seed, options.model)
    except (DatasetError, ArtifactError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except (ImageError, SynthesisError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"limit": distances.limit, "nearest": distances.nearest}))
    else:
        print(
            f"{len(distances.nearest)} films in {options.out}; none within {distances.limit:.3f} of a training film"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
