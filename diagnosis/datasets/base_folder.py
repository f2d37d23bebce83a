"""The base folder (`BASE_DATASET`): films that a site has beside its own, in `NORMAL/` and `PNEUMONIA/`."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from ml.data import dataset
from ml.files import sha256
from ml.images.errors import ImageError
from ml.images.perceptual_hash import fingerprint
from ml.images.reader import read_radiograph

log = logging.getLogger(__name__)


class BaseUnusable(Exception):
    """The base folder is set but cannot be used; the message says why and what is needed."""


@dataclass(frozen=True)
class BaseFilm:
    """A film of the base folder. `file` is relative to it; `print` is its fingerprint, empty where it is unreadable."""

    file: str
    label: dataset.Label
    patient: str
    bytes: int
    modified: int
    sha256: str = ""
    print: str = ""


def folder() -> Path | None:
    """Return the base folder, None where the site has none. Raises BaseUnusable where it is not as it must be."""
    place: Path | None = settings.BASE_DATASET
    if place is None:
        return None
    missing = [label for label in dataset.LABELS if not (place / label).is_dir()]
    if missing:
        raise BaseUnusable(
            f"The base folder {place} lacks {' and '.join(f'{label}/' for label in missing)}. "
            "Put the folder in place again, or take BASE_DATASET out of the settings."
        )
    return place


def listed() -> list[BaseFilm]:
    """Return the films by name, size and date alone: quick enough for a page. Raises BaseUnusable."""
    place = folder()
    if place is None:
        return []
    films = []
    for label in dataset.LABELS:
        for path in sorted((place / label).iterdir()):
            if path.suffix.lower() in dataset.SUFFIXES:
                facts = path.stat()
                films.append(
                    BaseFilm(
                        f"{label}/{path.name}",
                        label,
                        dataset.patient_of(path),
                        facts.st_size,
                        facts.st_mtime_ns,
                    )
                )
    return films


def indexed(beat: Callable[[], None] = lambda: None) -> list[BaseFilm]:
    """Return the films with hash and fingerprint, worker side. What did not change since the last time is not read."""
    place, known = folder(), _remembered()
    films = []
    for film in listed():
        before = known.get(film.file)
        if before and (before.bytes, before.modified) == (film.bytes, film.modified):
            films.append(before)
        elif place:
            films.append(_read(place, film))
        beat()
    if films != list(known.values()):
        _remember(films)
    return films


def _read(place: Path, film: BaseFilm) -> BaseFilm:
    path = place / film.file
    try:
        seen = fingerprint(read_radiograph(path)).hex()
    except (ImageError, OSError) as error:
        log.warning("base film %s cannot be read and is left out: %s", film.file, error)
        seen = ""
    return BaseFilm(**{**asdict(film), "sha256": sha256(path), "print": seen})


def _index() -> Path:
    file: Path = settings.TRAINING_DIR / "base-index.json"
    return file


def _remembered() -> dict[str, BaseFilm]:
    """The index of the last time, of this folder. It only saves time, so a damaged one is made again."""
    try:
        content = json.loads(_index().read_text())
        if content["folder"] == str(settings.BASE_DATASET):
            return {row["file"]: BaseFilm(**row) for row in content["films"]}
    except FileNotFoundError:
        pass
    except (ValueError, TypeError, KeyError):
        log.warning("%s is damaged and is made again", _index())
    return {}


def _remember(films: list[BaseFilm]) -> None:
    _index().parent.mkdir(parents=True, exist_ok=True)
    unfinished = _index().with_suffix(".unfinished")
    content = {"folder": str(settings.BASE_DATASET), "films": [asdict(film) for film in films]}
    unfinished.write_text(json.dumps(content))
    unfinished.replace(_index())
