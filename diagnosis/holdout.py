"""The locked holdout: films of patients that no version ever learns from, and errors that were corrected before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from diagnosis import base as base_folder
from diagnosis import splits
from diagnosis.models import EvaluationFilm, Review, SplitGroup
from diagnosis.truth import Confirmed, confirmed

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

    def row(self, evaluation: int) -> EvaluationFilm:
        return EvaluationFilm(
            evaluation_id=evaluation, part=self.part, label=self.label, patient=self.patient,
            film_id=self.film_id, name=self.name, corrected=self.corrected,
        )  # fmt: skip


def films(beat: Beat = lambda: None) -> Iterator[Chosen]:
    """Yield the holdout's reviewed films, then corrected errors outside it, then the base folder's holdout.

    Worker side: it gives patients their share, which reads films. `beat` is called between films.
    Raises diagnosis.base.BaseUnusable.
    """
    truth = {c.film_id: c for c in confirmed()}
    shares = splits.shares_of({c.patient_id for c in truth.values()}, beat)
    wrong_before = corrected(truth)
    outside: list[Chosen] = []
    for film, known in sorted(truth.items()):
        locked = shares[known.patient_id] == SplitGroup.Share.HOLDOUT
        if locked or film in wrong_before:
            chosen = Chosen(
                "reviewed" if locked else "corrected", known.label, f"patient {known.patient_id}", film,
                corrected=film in wrong_before,
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

    Raises diagnosis.base.BaseUnusable.
    """
    found = base_folder.indexed(beat)
    shares = splits.base_shares(found)
    for film in found:
        if shares[film.patient] == SplitGroup.Share.HOLDOUT:
            yield Chosen("base", film.label, f"base {film.patient}", name=film.file)
