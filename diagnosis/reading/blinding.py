"""Who may not yet see an answer or a verdict, and how it is kept from them: it never leaves the server.

In a clinic that reads blind first, whoever may review sees neither the model's answer on a film nor others' verdicts
and outcomes until their own verdict is committed. A second reader never sees the first verdict before that.
"""

from collections.abc import Iterable
from itertools import chain

from django.db.models import Exists, OuterRef, Q, QuerySet

from diagnosis.models import Film, Prediction, Review, WorklistRow
from diagnosis.reading import consensus
from pneumoweb.accounts.models import Clinic, Role, User
from pneumoweb.accounts.roles import roles_of


def reads_blind(user: User) -> bool:
    """Whether answers may be kept from this user on some film: then no list may be sorted or filtered by them."""
    if Role.REVIEWER not in roles_of(user):
        return False
    if not hasattr(user, "_reads_blind"):
        clinics = Clinic.objects.filter(blind_first=True)
        own = clinics if user.is_superuser else clinics.filter(users=user)
        user._reads_blind = own.exists()  # type: ignore[attr-defined]
    found: bool = user._reads_blind  # type: ignore[attr-defined]
    return found


def hides_answer(user: User, film: Film) -> bool:
    """Whether the model's answer on the film is kept from the user: until any verdict of theirs, withdrawn or not."""
    if not film.patient.clinic.blind_first or Role.REVIEWER not in roles_of(user):
        return False
    return not Review.objects.filter(prediction__film=film.pk, reviewer=user).exists()


def kept_from(user: User) -> QuerySet[Film]:
    """Return the films of which the user may see neither answer nor label yet: what `conceal` empties, as a query.

    For lists on which a film's mere presence tells something of them: errors, doubts, cells of a confusion matrix.
    """
    if Role.REVIEWER not in roles_of(user):
        return Film.objects.none()
    own = Review.objects.filter(prediction__film=OuterRef("pk"), reviewer=user)
    second = Q(worklist_row__reading=WorklistRow.Reading.SECOND)
    return Film.objects.filter(Q(patient__clinic__blind_first=True) | second).filter(~Exists(own))


def conceal(user: User, films: Iterable[Film]) -> None:
    """Empty, on these objects, what the user may not see yet. The films come from `queries.with_predictions`."""
    if Role.REVIEWER not in roles_of(user):
        return
    for film in films:
        predictions = list(film.predictions.all())
        reviews = sorted(
            chain.from_iterable(p.reviews.all() for p in predictions), key=lambda review: -review.pk
        )
        if any(review.reviewer_id == user.pk for review in reviews):
            continue
        state, blind = consensus.summarise(reviews).state, film.patient.clinic.blind_first
        # An adjudicator has to see between what to decide.
        independent = state != WorklistRow.Reading.DIFFER
        for prediction in predictions:
            if blind and prediction.state == Prediction.State.SUCCEEDED:
                _empty(prediction)
            if independent and (blind or state == WorklistRow.Reading.SECOND):
                _without_verdicts(prediction)


def _empty(prediction: Prediction) -> None:
    prediction.concealed = True
    prediction.label, prediction.probability, prediction.threshold = "", None, None
    prediction.heatmap = ""
    prediction.warnings, prediction.receipt, prediction.compute_ms = [], {}, None


def _without_verdicts(prediction: Prediction) -> None:
    """Let `prediction.reviews.all()` find nothing, as a prefetch that found nothing would."""
    cache = {**getattr(prediction, "_prefetched_objects_cache", {}), "reviews": Review.objects.none()}
    vars(prediction)["_prefetched_objects_cache"] = cache
