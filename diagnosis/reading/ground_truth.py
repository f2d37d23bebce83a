"""Which label of a film is confirmed, and by whom: the one place that training, evaluation and monitoring ask."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal, NamedTuple, cast

from django.db.models import Exists, OuterRef, QuerySet

from diagnosis.models import Outcome, Review, ReviewWithdrawal
from diagnosis.reading import consensus

Label = Literal["NORMAL", "PNEUMONIA"]


@dataclass(frozen=True)
class Confirmed:
    """A film whose label people have confirmed. `source` says what decided; `by_id` and `at` who entered it, when."""

    film_id: int
    patient_id: int
    label: Label
    source: Literal["outcome", "adjudication", "review"]
    by_id: int
    at: datetime


class _Verdict(NamedTuple):
    film: int
    patient: int
    reviewer_id: int
    verdict: str
    adjudicates: bool
    second_wanted: bool
    at: datetime
    is_withdrawn: bool


def confirmed(films: Iterable[int] | None = None) -> Iterator[Confirmed]:
    """Yield the confirmed label of each film that has one, by film; of `films` (keys) alone where given. A queryset of
    keys is left to the database.

    The last outcome counts before an adjudication, and that before the reviewers' last verdicts. Readers who differ
    and have no adjudicator confirm nothing; neither does "unreadable", "not frontal" or an outcome of another kind.
    Two queries.
    """
    keys = films if films is None or isinstance(films, QuerySet) else list(films)
    outcomes = _outcomes(keys)
    for film, group in groupby(_verdicts(keys), key=lambda row: row.film):
        if film not in outcomes:
            label = _by_readers(list(group))
            if label:
                outcomes[film] = label
    yield from (
        outcomes[film] for film in sorted(outcomes) if outcomes[film].label in ("NORMAL", "PNEUMONIA")
    )


def _outcomes(films: Iterable[int] | None) -> dict[int, Confirmed]:
    rows = Outcome.objects.order_by("pk").values_list(
        "film_id", "film__patient_id", "diagnosis", "by_id", "at"
    )
    if films is not None:
        rows = rows.filter(film_id__in=films)
    # In the order they were entered: the last one of a film stays.
    return {
        film: Confirmed(film, patient, cast(Label, Outcome.LABELS.get(diagnosis, "")), "outcome", by, at)
        for film, patient, diagnosis, by, at in rows
    }


def _verdicts(films: Iterable[int] | None) -> Iterator[_Verdict]:
    rows = Review.objects.annotate(
        taken_back=Exists(ReviewWithdrawal.objects.filter(review=OuterRef("pk")))
    ).order_by("prediction__film_id", "-pk")
    if films is not None:
        rows = rows.filter(prediction__film_id__in=films)
    facts = rows.values_list(
        "prediction__film_id", "prediction__film__patient_id", "reviewer_id", "verdict", "adjudicates",
        "second_wanted", "at", "taken_back",
    )  # fmt: skip
    return (_Verdict(*row) for row in facts.iterator())


def _by_readers(reviews: list[_Verdict]) -> Confirmed | None:
    """Return what the reviews of one film (the newest first) confirm."""
    summary = consensus.summarise(reviews)
    deciding = cast(_Verdict | None, summary.deciding)
    label = Review.LABELS.get(deciding.verdict) if deciding else None
    if deciding is None or label is None:
        return None
    source: Literal["adjudication", "review"] = "adjudication" if summary.adjudication else "review"
    return Confirmed(
        deciding.film, deciding.patient, cast(Label, label), source, deciding.reviewer_id, deciding.at
    )
