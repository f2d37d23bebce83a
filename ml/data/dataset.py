"""Folders or a `labels.csv` -> labelled films, and a split in which no patient is on both sides."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ml.errors import DatasetError
from ml.files import sha256
from ml.graph import component_of
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph

Label = Literal["NORMAL", "PNEUMONIA"]

LABELS: tuple[Label, Label] = ("NORMAL", "PNEUMONIA")

VIEWS = ("PA", "AP")

SUFFIXES = {".png", ".jpg", ".jpeg", ".dcm"}

# The names of the paediatric set of Kermany et al. (Cell 172, 2018) carry the patient.
_PATIENT_NAMES = (
    re.compile(r"^(person\d+)_(?:bacteria|virus)_\d+$"),
    re.compile(r"^((?:NORMAL2-)?IM-\d+)-\d+(?:-\d+)*$"),
)


@dataclass(frozen=True)
class LabelledFilm:
    """One film on disk. `label` is None where the data do not say; `side` where `labels.csv` fixes the split. `view` is
    PA (mostly taken standing) or AP (mostly lying), empty where the data do not say.

    `doubtful` is a label that the data give and nobody should learn from or be measured by. The split and the hash of
    the data go by it all the same: what is held back does not change with what is believed.
    """

    path: Path
    label: Label | None
    patient: str
    sha256: str
    age_years: float | None = None
    side: Literal["train", "validation"] | None = None
    doubtful: Label | None = None
    view: str = ""

    @property
    def said(self) -> Label | None:
        """What the data say, believed or not."""
        return self.label or self.doubtful

    @property
    def target(self) -> int:
        """1 for pneumonia, 0 for normal. Raises `DatasetError` for a film without a label."""
        if self.label is None:
            raise DatasetError(f"{self.path.name} has no label.")
        return LABELS.index(self.label)


@dataclass(frozen=True)
class Split:
    train: tuple[LabelledFilm, ...]
    validation: tuple[LabelledFilm, ...]

    @property
    def hash(self) -> str:
        """sha256 over the side, content and label of every film, whatever order they were read in."""
        sides = (("train", self.train), ("validation", self.validation))
        return _digest(f"{side} {_line(film)}" for side, films in sides for film in films)


def read_folder(directory: Path) -> list[LabelledFilm]:
    """Films of `directory/NORMAL` and `directory/PNEUMONIA`, or of `directory/labels.csv`, in a stable order.

    `labels.csv` has `file` (relative to the folder) and `label`, and may have `patient`, `age_years`, `view` (PA or
    AP), `split` (train or validation) and, for films without a label, `doubtful` (one that is not believed). Raises
    `DatasetError` where neither is there, or a row is wrong.
    """
    table = directory / "labels.csv"
    if table.is_file():
        return _read_table(table)
    if not all((directory / label).is_dir() for label in LABELS):
        raise DatasetError(f"{directory} holds neither labels.csv nor the folders NORMAL and PNEUMONIA.")
    films = [
        LabelledFilm(path, label, patient_of(path), sha256(path))
        for label in LABELS
        for path in sorted((directory / label).iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    if not films:
        raise DatasetError(f"{directory} holds no PNG, JPEG or DICOM files.")
    return films


def patient_of(path: Path) -> str:
    """The patient that a file name carries; a name of another kind is a patient of its own, named by its path."""
    for pattern in _PATIENT_NAMES:
        match = pattern.match(path.stem)
        if match:
            return match.group(1)
    return f"{path.parent.name}/{path.name}"


def split(films: Sequence[LabelledFilm], share: float = 0.2, seed: int = 1) -> Split:
    """Hold back about `share` of the films of each class for validation, whole patients at a time.

    Byte-identical films bind their patients together, so that no picture is on both sides. Where the films carry
    a `side`, that side is kept. Raises `DatasetError` where a class would be missing on one side.
    """
    groups = _groups(films)
    fixed = [group for group in groups if any(film.side for film in group)]
    free = [group for group in groups if not any(film.side for film in group)]
    held_back: list[LabelledFilm] = []
    kept: list[LabelledFilm] = []
    for group in fixed:
        sides = {film.side for film in group if film.side}
        if len(sides) > 1:
            raise DatasetError(f"Patient {group[0].patient} is on both sides of the split in labels.csv.")
        (held_back if sides == {"validation"} else kept).extend(group)
    generator = np.random.default_rng(seed)
    for label in LABELS:
        stratum = [group for group in free if _majority(group) == label]
        wanted = share * sum(len(group) for group in stratum)
        taken = 0
        for position in generator.permutation(len(stratum)):
            group = stratum[position]
            if taken < wanted:
                held_back.extend(group)
                taken += len(group)
            else:
                kept.extend(group)
    result = Split(_ordered(kept), _ordered(held_back))
    for name, side in (("training", result.train), ("validation", result.validation)):
        missing = [label for label in LABELS if not any(film.label == label for film in side)]
        if missing:
            raise DatasetError(
                f"No {' or '.join(missing)} films are left for {name}; more patients are needed."
            )
    return result


def folds(films: Sequence[LabelledFilm], count: int, seed: int = 1) -> list[tuple[LabelledFilm, ...]]:
    """Divide films into `count` parts, whole patients at a time, each with about as many films of each class.

    Byte-identical films bind their patients together, as in `split`; a `side` of the films is not looked at. Raises
    `DatasetError` where a part would lack a class.
    """
    parts: list[list[LabelledFilm]] = [[] for _ in range(count)]
    generator = np.random.default_rng([seed, 505])
    groups = _groups(films)
    for label in LABELS:
        stratum = [group for group in groups if _majority(group) == label]
        filled = [0] * count
        for position in generator.permutation(len(stratum)):
            part = filled.index(min(filled))
            parts[part].extend(stratum[position])
            filled[part] += len(stratum[position])
    if any({film.label for film in part} != set(LABELS) for part in parts):
        raise DatasetError(f"For {count} folds, films of {count} patients of each class are needed.")
    return [_ordered(part) for part in parts]


def data_hash(films: Iterable[LabelledFilm]) -> str:
    """sha256 over the content, label and patient of every film, whatever order they were read in."""
    return _digest(f"{_line(film)} {film.patient}" for film in films)


def counts(films: Iterable[LabelledFilm]) -> dict[str, int]:
    """Films of each class and distinct patients."""
    films = list(films)
    by_label = Counter(film.label for film in films)
    return {**{label: by_label[label] for label in LABELS}, "patients": len({film.patient for film in films})}


def _read_table(table: Path) -> list[LabelledFilm]:
    films = []
    with table.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        if not {"file", "label"} <= set(reader.fieldnames or ()):
            raise DatasetError(f"{table} needs the columns file and label.")
        for number, row in enumerate(reader, start=2):
            films.append(_read_row(table, number, row))
    if not films:
        raise DatasetError(f"{table} names no films.")
    return films


def _read_row(table: Path, number: int, row: dict[str, str]) -> LabelledFilm:
    path = table.parent / row["file"]
    if not path.is_file():
        raise DatasetError(f"{table}, line {number}: there is no file {row['file']}.")
    label, doubtful = (
        _read_label(table, number, name, row.get(name) or "") for name in ("label", "doubtful")
    )
    if label and doubtful:
        raise DatasetError(f"{table}, line {number}: a label is believed or doubtful, not both.")
    side = (row.get("split") or "").strip().lower()
    if side not in ("", "train", "validation"):
        raise DatasetError(f"{table}, line {number}: the split is {side}, not train or validation.")
    age = (row.get("age_years") or "").strip()
    try:
        age_years = float(age) if age else None
    except ValueError as error:
        raise DatasetError(f"{table}, line {number}: the age is {age}, not a number of years.") from error
    view = (row.get("view") or "").strip().upper()
    if view not in ("", *VIEWS):
        raise DatasetError(f"{table}, line {number}: the view is {view}, not {' or '.join(VIEWS)}.")
    return LabelledFilm(
        path,
        label,
        (row.get("patient") or "").strip() or patient_of(path),
        sha256(path),
        age_years,
        "train" if side == "train" else "validation" if side == "validation" else None,
        doubtful,
        view,
    )


def _read_label(table: Path, number: int, column: str, cell: str) -> Label | None:
    word = cell.strip().upper()
    found: dict[str, Label | None] = {"": None, "NORMAL": "NORMAL", "PNEUMONIA": "PNEUMONIA"}
    if word not in found:
        what = "label" if column == "label" else "doubtful label"
        raise DatasetError(f"{table}, line {number}: the {what} is {word}, not NORMAL or PNEUMONIA.")
    return found[word]


def _groups(films: Sequence[LabelledFilm]) -> list[list[LabelledFilm]]:
    """Films bound together by a shared patient or by identical content (connected components)."""
    component = component_of((f"patient {film.patient}", f"content {film.sha256}") for film in films)
    groups: defaultdict[int, list[LabelledFilm]] = defaultdict(list)
    for film in sorted(films, key=_order):
        groups[component[f"patient {film.patient}"]].append(film)
    return list(groups.values())


def _majority(group: Sequence[LabelledFilm]) -> Label:
    ill = sum(film.said == "PNEUMONIA" for film in group)
    return "PNEUMONIA" if 2 * ill >= len(group) else "NORMAL"


def _ordered(films: Iterable[LabelledFilm]) -> tuple[LabelledFilm, ...]:
    return tuple(sorted(films, key=_order))


def _order(film: LabelledFilm) -> tuple[str, str, str]:
    return (film.patient, film.path.name, film.sha256)


def _line(film: LabelledFilm) -> str:
    return f"{film.sha256} {film.said}"


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def read(films: Iterable[LabelledFilm]) -> list[Radiograph]:
    return [read_radiograph(film.path) for film in films]
