"""Verdicts on predictions: given, taken back within a minute, corrected by new ones. Nothing is ever overwritten."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from diagnosis.models import Film, Prediction, Review, ReviewWithdrawal
from diagnosis.reading import blinding, consensus, locks, worklist
from pneumoweb.accounts.models import Clinic, User

UNDO = timedelta(seconds=60)


class NotReviewable(Exception):
    """The verdict cannot be taken; the message says why and what to do."""


class TooLate(Exception):
    """The verdict cannot be taken back; the message says what to do instead."""


def record(
    reviewer: User,
    prediction: Prediction,
    verdict: str,
    remark: str = "",
    region: Sequence[dict[str, Any]] = (),
) -> Review:
    """Append a verdict. Raises NotReviewable where there is nothing to judge yet or another reviewer has the film.

    Where two readers differ, a third one's verdict is the adjudication.
    """
    if not prediction.is_final:
        raise NotReviewable(
            "This film has no answer yet. Wait until it has been read, then give your verdict."
        )
    film = prediction.film
    if not locks.lend(reviewer, film.pk):
        raise NotReviewable(
            "Another reviewer has this film in hand. Nothing was kept; take the next film of the queue."
        )
    with transaction.atomic():
        # Two verdicts on one film are written one after the other, so that each knows the one before it.
        Film.objects.select_for_update(no_key=True).get(pk=film.pk)
        before = of_film(film)
        review = Review.objects.create(
            prediction=prediction,
            reviewer=reviewer,
            verdict=Review.Verdict(verdict),
            remark=remark.strip(),
            region=list(region),
            blind=prediction.state == Prediction.State.SUCCEEDED and blinding.hides_answer(reviewer, film),
            adjudicates=_adjudicates(reviewer, before),
            second_wanted=_second_wanted(reviewer, prediction, verdict, before),
        )
        worklist.refresh([film.pk])
    locks.give_back(reviewer)
    return review


def withdraw(reviewer: User, review: Review) -> None:
    """Take back one's own verdict within its minute. Raises TooLate; the review stays, it only no longer counts."""
    if review.reviewer_id != reviewer.pk:
        raise TooLate("Only the reviewer who gave a verdict can take it back. Give your own verdict instead.")
    if timezone.now() - review.at > UNDO:
        raise TooLate(
            "The minute to take this verdict back has passed. A new verdict on the film corrects it."
        )
    try:
        with transaction.atomic():
            ReviewWithdrawal.objects.create(review=review)
            worklist.refresh([review.prediction.film_id])
    except IntegrityError as error:
        raise TooLate("This verdict was taken back already.") from error


def undoable(reviewer: User) -> Review | None:
    """Return the reviewer's last verdict while it can still be taken back."""
    last = reviewer.reviews.select_related("prediction__film__patient", "withdrawal").first()
    fresh = last is not None and not last.is_withdrawn and timezone.now() - last.at <= UNDO
    return last if fresh else None


def of_film(film: Film) -> consensus.Readings:
    """Return what the film's reviews amount to."""
    return consensus.summarise(all_of(film))


def all_of(film: Film) -> QuerySet[Review]:
    """Return all reviews of a film, the newest first, with reviewer and withdrawal."""
    found = Review.objects.filter(prediction__film=film).select_related("reviewer", "withdrawal")
    return found.select_related("prediction").order_by("-pk")


def _adjudicates(reviewer: User, before: consensus.Readings) -> bool:
    """A third reader decides; who has decided may decide anew."""
    if before.adjudication:
        return before.adjudication.reviewer_id == reviewer.pk
    return before.differ and reviewer.pk not in before.last


def _second_wanted(reviewer: User, prediction: Prediction, verdict: str, before: consensus.Readings) -> bool:
    """Whether the clinic wants another, independent reader after this verdict of the first one."""
    if before.adjudication or set(before.last) - {reviewer.pk}:
        return False
    clinic: Clinic = prediction.film.patient.clinic
    label = Review.LABELS.get(verdict)
    disputes = bool(label and prediction.label and label != prediction.label)
    drawn = worklist.draw(prediction.film_id, "second") * 100 < clinic.second_share
    return drawn or (clinic.second_on_dispute and disputes)
