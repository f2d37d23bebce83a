"""The data of a training run: which films, with which label and share, and whether they are enough."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage

from diagnosis.datasets import base_folder, duplicates, splits
from diagnosis.models import Film, Fingerprint, NearIdentical, SplitGroup
from diagnosis.reading.ground_truth import Confirmed, confirmed
from ml.data.dataset import LABELS
from ml.data.training_films import known

Share = SplitGroup.Share
Counts = Counter[tuple[str, str]]
"""Films by (share, label)."""
LEARNING = (Share.TRAIN, Share.VALIDATION)


class NotEnough(Exception):
    """The films do not suffice for a run; the message says what is needed."""


@dataclass(frozen=True)
class Entry:
    """One line of a manifest. `film` and `confirmed_by` are the site's keys; a base film has neither.

    Manifests of earlier releases have no `view`.
    """

    source: str
    film: int | None
    file: str
    label: str
    confirmed_by: int | None
    confirmed_at: str
    patient: str
    age_years: float | None
    share: str
    sha256: str
    view: str = ""


@dataclass
class Outlook:
    """What films there are, before anything is frozen: by source, and what stands against a run."""

    reviewed: Counts = field(default_factory=Counter)
    base: Counts = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def total(self) -> Counts:
        return self.reviewed + self.base


def outlook() -> Outlook:
    """Look at what a run would have now: quick, for a page; nothing is written. The freeze looks again."""
    found = Outlook()
    labels = list(confirmed())
    shares = splits.expected({row.patient_id for row in labels})
    gone = _gone(labels)
    found.reviewed.update((shares[row.patient_id], row.label) for row in labels if row.film_id not in gone)
    try:
        films = base_folder.listed()
    except base_folder.BaseUnusable as error:
        found.problems.append(str(error))
        films = []
    base_shares = splits.expected({film.patient for film in films})
    found.base.update((base_shares[film.patient], film.label) for film in films)
    found.problems += problems(found.total)
    if gone:
        found.warnings.append(f"{_named(gone)} left out: the file is gone. Restore it from a backup.")
    found.warnings += _holdout_warnings(found.total)
    return found


def problems(counts: Counts) -> list[str]:
    """Say what is missing for a run, and how much of it is needed; empty where a run can start."""
    if not counts:
        return [
            "No film has a confirmed label. Reviewers confirm films in the review list; a base folder (BASE_DATASET) "
            "can give more."
        ]
    found = []
    for share, least in (
        (Share.TRAIN, settings.TRAINING_MIN_FILMS),
        (Share.VALIDATION, settings.TRAINING_MIN_VALIDATION),
    ):
        for label in LABELS:
            there = counts[share, label]
            if there < least:
                found.append(
                    f"{share.label} has {there} {label.lower()} film{'' if there == 1 else 's'}, and at least {least} "
                    f"are needed: {least - there} more must be confirmed, of patients whom the ledger puts there "
                    f"(about {dict(splits.SHARES)[share]:.0%} of all patients)."
                )
    return found


def _holdout_warnings(counts: Counts) -> list[str]:
    missing = [label.lower() for label in LABELS if not counts[Share.HOLDOUT, label]]
    if not missing or not counts:
        return []
    return [
        f"Holdout has no {' and no '.join(missing)} film yet. A candidate can be trained, but not be compared on films "
        "that no version has learned from."
    ]


def freeze(beat: Callable[[], None] = lambda: None) -> tuple[list[Entry], list[str]]:
    """Return the films of a run, and sentences on those left out. Worker side: it reads files and fills the ledger.

    Raises `base.BaseUnusable` and NotEnough. `beat` is called between films.
    """
    notes: list[str] = []
    entries = [*_reviewed_entries(notes, beat), *_base_entries(notes, beat)]
    doubtful = _on_two_sides({entry.patient: entry.share for entry in entries})
    kept = [entry for entry in entries if (entry.film or entry.file) not in doubtful]
    if len(kept) < len(entries):
        notes.append(
            f"{len(entries) - len(kept)} film(s) left out: they look like films of patients on another side of the "
            "split."
        )
    found = problems(counted(kept))
    if found:
        raise NotEnough(" ".join(found))
    return kept, notes


def known_judges(entries: Sequence[Entry], card: Mapping[str, Any]) -> str:
    """A sentence where the version with `card`, from which a run starts, learned from films that are to judge the run
    before it came to this site; empty where it did not."""
    judging = [entry for entry in entries if entry.share == Share.VALIDATION]
    of_base = {film.file: bytes.fromhex(film.print) for film in base_folder.indexed()}
    of_site = duplicates.prints_of(entry.film for entry in judging if entry.film)
    prints = [of_site.get(e.film, b"") if e.film else of_base.get(e.file, b"") for e in judging]
    found = len(known(prints, card))
    if not found:
        return ""
    return (
        f"{found} of the {len(judging)} validation films, or near copies of them, had taught the version that it "
        "started from before this came to the site: the figures of its own card flatter it."
    )


def counted(entries: Iterable[Entry]) -> Counts:
    return Counter((entry.share, entry.label) for entry in entries)


def as_csv(entries: Sequence[Entry]) -> bytes:
    """The manifest as it is stored and downloaded: the same entries always give the same bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([item.name for item in fields(Entry)])
    writer.writerows(["" if value is None else value for value in astuple(entry)] for entry in entries)
    return text.getvalue().encode()


def from_csv(content: bytes) -> list[Entry]:
    rows = csv.DictReader(io.StringIO(content.decode()))
    return [
        Entry(
            **{
                **row,
                "film": int(row["film"]) if row["film"] else None,
                "confirmed_by": int(row["confirmed_by"]) if row["confirmed_by"] else None,
                "age_years": float(row["age_years"]) if row["age_years"] else None,
            }  # type: ignore[arg-type]
        )
        for row in rows
    ]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _reviewed_entries(notes: list[str], beat: Callable[[], None]) -> list[Entry]:
    labels = {row.film_id: row for row in confirmed()}
    shares = splits.shares_of({row.patient_id for row in labels.values()}, beat)
    unreadable = set(Fingerprint.objects.filter(value=b"").values_list("film", flat=True))
    left_out = unreadable & labels.keys() | _gone(labels.values())
    if left_out:
        notes.append(f"{_named(left_out)} left out: the file is gone or cannot be read.")
    films = Film.objects.select_related("patient", "study").in_bulk(sorted(labels.keys() - left_out))
    return [_entry(film, labels[film.pk], shares[film.patient_id]) for _, film in sorted(films.items())]


def _entry(film: Film, truth: Confirmed, share: str) -> Entry:
    age = film.patient.age_on(film.study.taken_on)
    return Entry(
        source=truth.source,
        film=film.pk,
        file=str(film.file.name),
        label=truth.label,
        confirmed_by=truth.by_id,
        confirmed_at=truth.at.isoformat(),
        patient=str(film.patient_id),
        age_years=None if age is None else round(age, 2),
        share=share,
        sha256=film.sha256,
        view=film.study.view,
    )


def _base_entries(notes: list[str], beat: Callable[[], None]) -> list[Entry]:
    films = base_folder.indexed(beat)
    shares = splits.base_shares(films)
    unreadable = [film.file for film in films if not film.print]
    if unreadable:
        notes.append(
            f"{len(unreadable)} film(s) of the base folder left out: they cannot be read ({unreadable[0]} …)."
        )
    return [
        Entry(
            "base",
            None,
            film.file,
            film.label,
            None,
            "",
            f"base {film.patient}",
            None,
            shares[film.patient],
            film.sha256,
        )
        for film in films
        if film.print
    ]


def _on_two_sides(shares: dict[str, str]) -> set[int | str]:
    """Of each near-identical pair on two sides, the film on the side that learns more.

    It happens only where both patients had their share before the pair was found.
    """
    found: set[int | str] = set()
    pairs = NearIdentical.objects.values_list(
        "film", "film__patient", "other", "other__patient", "base_file", "base_patient"
    )
    for film, patient, other, other_patient, base_file, base_patient in pairs:
        one = shares.get(str(patient))
        two = shares.get(str(other_patient) if other else f"base {base_patient}")
        if one and two and one != two:
            found.add((other or base_file) if splits.stricter(one, two) == one else film)
    return found


def _gone(labels: Iterable[Confirmed]) -> set[int]:
    """Films whose file is not in the storage any more. Asked of a folder only; elsewhere each answer costs a request,
    so that the freeze finds out when it reads them."""
    if not isinstance(default_storage, FileSystemStorage):
        return set()
    films = Film.objects.only("file").in_bulk([row.film_id for row in labels])
    return {pk for pk, film in films.items() if not default_storage.exists(str(film.file.name))}


def _named(films: set[int]) -> str:
    first = ", ".join(str(pk) for pk in sorted(films)[:5])
    more = f" and {len(films) - 5} more are" if len(films) > 5 else " are" if len(films) > 1 else " is"
    return f"Film{'s' if len(films) > 1 else ''} {first}{more}"
