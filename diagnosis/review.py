"""Verdicts on predictions. Append-only: a correction is a new review, and the last one counts."""

from django.db.models import Exists, OuterRef, QuerySet

from diagnosis.models import Prediction, Review
from diagnosis.permissions import visible_films
from pneumoweb.accounts.models import User


class NotReviewable(Exception):
    """The prediction has no answer a verdict could be on; the message says so."""


def record(reviewer: User, prediction: Prediction, verdict: str, remark: str = "") -> Review:
    """Append a verdict. Raises NotReviewable while there is no final state to judge."""
    if not prediction.is_final:
        raise NotReviewable(
            "This film has no answer yet. Wait until it has been read, then give your verdict."
        )
    return Review.objects.create(
        prediction=prediction, reviewer=reviewer, verdict=Review.Verdict(verdict), remark=remark.strip()
    )


def waiting_for_review(user: User) -> QuerySet[Prediction]:
    """Return the answered predictions without a verdict that the user may see, the longest-waiting first."""
    reviewed = Review.objects.filter(prediction=OuterRef("pk"))
    return (
        Prediction.objects.answered()
        .filter(~Exists(reviewed), film__in=visible_films(user))
        .select_related("film__patient", "film__study", "model_version")
        .order_by("finished_at", "pk")
    )
