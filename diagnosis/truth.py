"""Which label of a film is confirmed, and by whom: the one place that training, evaluation and monitoring ask."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from diagnosis.models import Review

Label = Literal["NORMAL", "PNEUMONIA"]


@dataclass(frozen=True)
class Confirmed:
    """A film whose label people have confirmed. `source` says what decided: a review."""

    film_id: int
    patient_id: int
    label: Label
    source: Literal["review"]
    by_id: int
    at: datetime


def confirmed(films: Iterable[int] | None = None) -> Iterator[Confirmed]:
    """Yield the confirmed label of each film that has one, by film; of `films` (keys) alone where given.

    The last review of a film counts, whichever model's prediction it was made on; "unreadable" confirms nothing.
    """
    reviews = Review.objects.order_by("prediction__film_id", "-pk").values_list(
        "prediction__film_id", "prediction__film__patient_id", "verdict", "reviewer_id", "at"
    )
    if films is not None:
        reviews = reviews.filter(prediction__film_id__in=list(films))
    seen: int | None = None
    for film, patient, verdict, by, at in reviews.iterator():
        if film == seen:
            continue
        seen = film
        if verdict == Review.Verdict.NORMAL:
            yield Confirmed(film, patient, "NORMAL", "review", by, at)
        elif verdict == Review.Verdict.PNEUMONIA:
            yield Confirmed(film, patient, "PNEUMONIA", "review", by, at)
