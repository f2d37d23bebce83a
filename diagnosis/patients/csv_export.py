"""A patient's history as a table for other programs."""

from collections.abc import Iterable, Iterator

from django.utils import timezone

from diagnosis.core.csv_export import BYTE_ORDER_MARK, to_csv
from diagnosis.models import Film, Patient, Prediction, Review

COLUMNS = (
    "patient number", "name", "birth date", "sex", "study date", "view", "film", "file name", "SHA-256 of the file",
    "received", "uploaded by", "model version", "model artifact", "state", "answer", "probability of pneumonia",
    "threshold", "answered", "reasons", "warnings", "verdict", "reviewer", "reviewed", "remark",
)  # fmt: skip


def history_csv(patient: Patient, films: Iterable[Film]) -> str:
    """Return one line a verdict; an answer without verdict and a film without answer have one line each.

    The films come from `histories.films_for`. UTF-8 with a byte order mark, comma, CRLF (RFC 4180); no cell can become
    a formula of a spreadsheet.
    """
    rows = (
        (*_of_film(patient, film), *_of_answer(prediction), *_of_review(review))
        for film in films
        for prediction, review in _lines(film)
    )
    return BYTE_ORDER_MARK + to_csv([COLUMNS, *rows])


def _lines(film: Film) -> Iterator[tuple[Prediction | None, Review | None]]:
    predictions = list(film.predictions.all())
    if not predictions:
        yield None, None
    for prediction in reversed(predictions):
        reviews = [review for review in prediction.reviews.all() if not review.is_withdrawn]
        if not reviews:
            yield prediction, None
        for review in reversed(reviews):
            yield prediction, review


def _of_film(patient: Patient, film: Film) -> tuple[str, ...]:
    born = patient.birth_date.isoformat() if patient.birth_date else ""
    received = timezone.localtime(film.created_at).isoformat(timespec="seconds")
    return (
        patient.mrn, patient.name, born, patient.get_sex_display(), film.study.taken_on.isoformat(), film.study.view,
        str(film.pk), film.name, film.sha256, received, str(film.uploaded_by),
    )  # fmt: skip


def _of_answer(prediction: Prediction | None) -> tuple[str, ...]:
    if prediction is None:
        return ("",) * 9
    answered = (
        timezone.localtime(prediction.finished_at).isoformat(timespec="seconds")
        if prediction.finished_at
        else ""
    )
    version = prediction.model_version
    return (
        version.name, version.artifact_hash, prediction.get_state_display(), prediction.get_label_display(),
        _number(prediction.probability), _number(prediction.threshold), answered,
        " ".join([*prediction.reasons, prediction.failure]).strip(), " ".join(prediction.warnings),
    )  # fmt: skip


def _of_review(review: Review | None) -> tuple[str, ...]:
    if review is None:
        return ("",) * 4
    at = timezone.localtime(review.at).isoformat(timespec="seconds")
    return review.get_verdict_display(), str(review.reviewer), at, review.remark


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
