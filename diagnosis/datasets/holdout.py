"""The locked holdout: films of patients that no version of this site learns from, and errors corrected before."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from diagnosis.datasets import base_folder, duplicates, splits
from diagnosis.models import EvaluationFilm, Review, SplitGroup
from diagnosis.reading.ground_truth import Confirmed, confirmed
from ml.data.training_films import known

CORRECTED_AT_MOST = 500
"""Corrections outside the holdout are a list to read, not a measurement: the newest are enough."""
Beat = Callable[[], None]


@dataclass(frozen=True)
class Chosen:
    """A film to be read by both versions."""

    part: Literal["reviewed", "base", "corrected"]
    label: str
    patient: str
    film_id: int | None = None
    name: str = ""
    corrected: bool = False
    print: bytes = b""

    def row(self, evaluation: int) -> EvaluationFilm:
        return EvaluationFilm(
            evaluation_id=evaluation, part=self.part, label=self.label, patient=self.patient,
            film_id=self.film_id, name=self.name, corrected=self.corrected,
        )  # fmt: skip


def films(beat: Beat = lambda: None) -> Iterator[Chosen]:
    """Yield the holdout's reviewed films, then corrected errors outside it, then the base folder's holdout.

    Worker side: it gives patients their share, which reads films. `beat` is called between films.
    Raises diagnosis.datasets.base_folder.BaseUnusable.
    """
    truth = {c.film_id: c for c in confirmed()}
    shares = splits.shares_of({c.patient_id for c in truth.values()}, beat)
    wrong_before = corrected(truth)
    prints = duplicates.prints_of(truth)
    outside: list[Chosen] = []
    for film, said in sorted(truth.items()):
        locked = shares[said.patient_id] == SplitGroup.Share.HOLDOUT
        if locked or film in wrong_before:
            chosen = Chosen(
                "reviewed" if locked else "corrected", said.label, f"patient {said.patient_id}", film,
                corrected=film in wrong_before, print=prints.get(film, b""),
            )  # fmt: skip
            if locked:
                yield chosen
            else:
                outside.append(chosen)
    yield from outside[-CORRECTED_AT_MOST:]
    yield from base(beat)


def corrected(truth: dict[int, Confirmed]) -> set[int]:
    """Return the films whose confirmed label is not what the model had answered when a reviewer looked at it."""
    reviews = Review.objects.filter(
        prediction__film__in=list(truth), prediction__state="succeeded", withdrawal=None
    )
    pairs = reviews.values_list("prediction__film_id", "prediction__label").distinct()
    return {film for film, answer in pairs if answer != truth[film].label}


def base(beat: Beat = lambda: None) -> Iterator[Chosen]:
    """Yield the base folder's holdout films in a stable order; nothing where the site has no such folder.

    Raises diagnosis.datasets.base_folder.BaseUnusable.
    """
    found = base_folder.indexed(beat)
    shares = splits.base_shares(found)
    for film in found:
        if shares[film.patient] == SplitGroup.Share.HOLDOUT:
            seen = bytes.fromhex(film.print)
            yield Chosen("base", film.label, f"base {film.patient}", name=film.file, print=seen)


def unknown(
    chosen: Iterable[Chosen], cards: Iterable[Mapping[str, Any]]
) -> tuple[list[Chosen], dict[str, int]]:
    """The films without those of the holdout from which a version with one of the cards learned before it came to this
    site; and how many of each part these were. What nobody is measured by stays."""
    films = list(chosen)
    left_out: set[int] = set()
    for card in cards:
        left_out |= known([film.print for film in films], card)
    left_out = {place for place in left_out if films[place].part != "corrected"}
    counts: Counter[str] = Counter(films[place].part for place in sorted(left_out))
    return [film for place, film in enumerate(films) if place not in left_out], dict(counts)
