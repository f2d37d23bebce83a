"""The worklist: derived rows that are quick to filter and sort, and the changes that people make there."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from diagnosis.core.pagination import beside
from diagnosis.core.permissions import visible_clinics
from diagnosis.core.querysets import with_predictions
from diagnosis.models import Film, Prediction, Priority, Review, WorklistRow
from diagnosis.reading import consensus
from pneumoweb.accounts.models import Clinic, User

AT_ONCE = 500
FIELDS = [
    "clinic", "patient", "state", "label", "priority", "assigned_to", "reading", "todo", "disputed", "requested_at",
    "suspicion", "doubt", "urgency", "draw",
]  # fmt: skip


def visible_rows(user: User) -> QuerySet[WorklistRow]:
    """Return the rows of the films the user may see."""
    if user.is_superuser:
        # Every index begins with the clinic, so the clinics are named here too.
        return WorklistRow.objects.filter(clinic__in=Clinic.objects.values("pk"))
    if user.clinic_id is None:
        return WorklistRow.objects.none()
    return WorklistRow.objects.filter(clinic=user.clinic_id)


def parts(user: User) -> list[QuerySet[WorklistRow]]:
    """Return the same rows clinic by clinic: every index begins with the clinic, so each part can be read in order."""
    if not user.is_superuser:
        return [visible_rows(user)]
    return [WorklistRow.objects.filter(clinic=clinic) for clinic in visible_clinics(user)]


def refresh(films: Iterable[int]) -> None:
    """Write the rows of these films (keys) anew from what the other tables say.

    Called after whatever changes a film's answer, reading, priority or assignment; `mend` finds what was missed.
    """
    for keys in chunks(sorted(set(films))):
        with transaction.atomic():
            # Of two that refresh the same film the second one must see what the first one saw, or more.
            list(Film.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk").values("pk"))
            rows = [row_of(film) for film in with_predictions(Film.objects.filter(pk__in=keys))]
            WorklistRow.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["film"], update_fields=FIELDS
            )


def mend() -> int:
    """Write the rows that are missing, and those of answers whose worker died before it could; return how many."""
    rows = WorklistRow.objects.filter(film=OuterRef("pk"))
    missing = Film.objects.filter(~Exists(rows)).values_list("pk", flat=True)
    final = Prediction.objects.filter(film=OuterRef("film")).order_by("-pk").values("state")[:1]
    behind = (
        # The clinic only lets the index be used, which begins with it.
        WorklistRow.objects.filter(clinic__in=Clinic.objects.values("pk"), state=WorklistRow.State.WAITING)
        .annotate(now=final)
        .filter(now__in=Prediction.FINAL)
        .values_list("film", flat=True)
    )
    found = [*missing[:AT_ONCE], *behind[:AT_ONCE]]
    refresh(found)
    return len(found)


def row_of(film: Film) -> WorklistRow:
    """Return the row that a film with its predictions and reviews should have."""
    prediction = film.latest_prediction
    label = prediction.label if prediction else ""
    reviews = chain.from_iterable(p.reviews.all() for p in film.predictions.all())
    newest = sorted(reviews, key=lambda review: -review.pk)
    summary = consensus.summarise(newest)
    suspicion = suspicion_of(prediction)
    return WorklistRow(
        film=film,
        clinic_id=film.patient.clinic_id,
        patient_id=film.patient_id,
        state=state_of(prediction),
        label=label,
        priority=film.priority,
        assigned_to_id=film.assigned_to_id,
        reading=summary.state,
        todo=summary.state != WorklistRow.Reading.DONE,
        disputed=summary.disputed(label),
        requested_at=film.created_at,
        suspicion=suspicion,
        doubt=abs(suspicion - 0.5) if label else 1.0,
        urgency=2.0 * film.priority + suspicion,
        draw=draw(film.pk),
    )


def state_of(prediction: Prediction | None) -> str:
    if prediction is None or not prediction.is_final:
        return WorklistRow.State.WAITING
    answered = prediction.state == Prediction.State.SUCCEEDED
    return WorklistRow.State.ANSWERED if answered else WorklistRow.State.UNANSWERED


def suspicion_of(prediction: Prediction | None) -> float:
    """Return the probability, stretched so that every model's threshold lies at 0.5.

    A film without an answer gets 0.5: behind all that is called pneumonia, before all that is called normal.
    """
    if prediction is None or prediction.probability is None or prediction.threshold is None:
        return 0.5
    value, threshold = prediction.probability, prediction.threshold
    if value < threshold:
        return 0.5 * value / threshold
    return 0.5 + 0.5 * (value - threshold) / (1 - threshold) if threshold < 1 else 1.0


def draw(film: int, what: str = "queue") -> float:
    """Return a film's place between 0 and 1 by a keyed hash: random, but the same whenever it is asked for."""
    digest = salted_hmac(f"pneumoweb.worklist.{what}", str(film), algorithm="sha256").digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def set_priority(film: Film, priority: int) -> None:
    """Change how soon the film is read, by the model too if it still waits."""
    with transaction.atomic():
        Film.objects.filter(pk=film.pk).update(priority=Priority(priority))
        Prediction.objects.filter(film=film).update(priority=Priority(priority))
        refresh([film.pk])


def assign(film: Film, to: User | None) -> None:
    """Give the film to a user, or to nobody."""
    with transaction.atomic():
        Film.objects.filter(pk=film.pk).update(assigned_to=to)
        refresh([film.pk])


def todo(value: bool = True) -> Q:
    """Rows on which a reading is still to come, or not.

    As a list of one: Django writes an equal truth value as a bare column, for which SQLite uses no index.
    """
    return Q(todo__in=[value])


def overdue() -> Q:
    """Rows that wait longer for a review than their priority allows, or too long for the model's answer."""
    now = timezone.now()
    late = Q()
    for priority in Priority:
        late |= todo() & Q(priority=priority, requested_at__lt=now - limit(priority.label))
    queued = Prediction.objects.unfinished().filter(queued_at__lt=now - limit("answer"))
    unanswered = Q(state=WorklistRow.State.WAITING, film__in=queued.values("film"))
    return late & beside(Q(reading=WorklistRow.Reading.OPEN)) | unanswered


def is_overdue(row: WorklistRow, prediction: Prediction | None) -> bool:
    """Say of one row, whose film's newest prediction is given, what `overdue` asks the database."""
    if prediction and not prediction.is_final and waits_too_long(prediction.queued_at):
        return True
    unreviewed = row.reading == WorklistRow.Reading.OPEN
    return unreviewed and row.requested_at < timezone.now() - limit(Priority(row.priority).label)


def waits_too_long(queued_at: datetime) -> bool:
    """Whether a film asked for at that moment should have had its answer by now."""
    return queued_at < timezone.now() - limit("answer")


def limit(what: str) -> timedelta:
    """Return how long a film may wait for the model's `answer`, or by priority for a review."""
    return timedelta(minutes=settings.WAIT_LIMIT_MINUTES[what.lower()])


def not_reviewed_by(user: User) -> Q:
    """Rows of films on which the user has no verdict that stands."""
    own = Review.objects.filter(prediction__film=OuterRef("film"), reviewer=user, withdrawal=None)
    return ~Q(Exists(own))


def chunks(keys: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(keys), AT_ONCE):
        yield keys[start : start + AT_ONCE]
