"""Reviewers: the queue, one film after the other, verdicts."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from diagnosis.core import audit_log
from diagnosis.core.permissions import get_prediction_for, get_review_for, visible_films
from diagnosis.core.querysets import with_predictions
from diagnosis.core.shortcuts import VERDICT_KEYS
from diagnosis.models import AccessLog, Film, Prediction, Review
from diagnosis.reading import annotations, blinding, locks, review_queue, worklist_page
from diagnosis.reading import reviews as verdicts
from diagnosis.reading.forms import ReviewForm
from diagnosis.reading.review_queue import Kind
from pneumoweb.accounts.models import User
from pneumoweb.accounts.roles import UserRequest, reviewer_required

SHOWN = 12


@require_safe
@reviewer_required
def queue(request: UserRequest) -> HttpResponse:
    """The kinds of films to review, how many there are, and the next ones of the chosen kind."""
    kind = kind_of(request.user, request.GET.get("kind"))
    lines = worklist_page.lines_of(request.user, review_queue.upcoming(request.user, kind, SHOWN))
    audit_log.record_list(request, "review queue", (line.film for line in lines))
    context = {
        "kind": kind,
        "kinds": [
            (each, review_queue.count(request.user, each)) for each in review_queue.kinds_for(request.user)
        ],
        "most": review_queue.COUNTED,
        "lines": lines,
        "undo": verdicts.undoable(request.user),
    }
    return render(request, "reading/review/queue.html", context)


@require_POST
@reviewer_required
def take_next(request: UserRequest) -> HttpResponse:
    """Lend the next film of a kind and open it."""
    return _to_next(request, kind_of(request.user, request.POST.get("kind")))


@require_POST
@reviewer_required
def leave(request: UserRequest) -> HttpResponse:
    """Give the film in hand back, so that others may have it at once."""
    locks.give_back(request.user)
    return redirect("review_queue")


@require_safe
@reviewer_required
def film(request: UserRequest, pk: int) -> HttpResponse:
    """The film as a reviewer reads it. Opening it lends it, if nobody else has it."""
    shown = get_object_or_404(with_predictions(visible_films(request.user)), pk=pk)
    blinding.conceal(request.user, [shown])
    prediction = shown.latest_prediction
    if prediction is None or not prediction.is_final:
        messages.info(request, "This film waits for its answer. It can be reviewed once it has been read.")
        return redirect("film", pk)
    lent = locks.lend(request.user, shown.pk)
    audit_log.record(request, AccessLog.Action.SEEN, shown.patient, f"film {shown.pk} for review")
    context = _context(request, shown, prediction)
    holder = None if lent else locks.holder(shown.pk)
    return render(request, "reading/review/film.html", {**context, "holder": holder, "draw": not holder})


@require_POST
@reviewer_required
def review(request: UserRequest, pk: int) -> HttpResponse:
    """Append a verdict; then go on to the next film, or after a blind verdict show what the model says."""
    prediction = get_prediction_for(request.user, pk)
    form = ReviewForm(request.POST, film=prediction.film)
    kind = kind_of(request.user, request.POST.get("kind"))
    here = f"{reverse('review_film', args=[prediction.film_id])}?kind={kind}"
    if not form.is_valid():
        for problems in form.errors.values():
            messages.error(request, f"{' '.join(str(p) for p in problems)} Nothing was kept.")
        return redirect(here)
    try:
        verdict = verdicts.record(request.user, prediction, **form.cleaned_data)
    except verdicts.NotReviewable as error:
        messages.error(request, str(error))
        return redirect("film", prediction.film_id)
    audit_log.record(
        request, AccessLog.Action.REVIEWED, prediction.film.patient, f"film {prediction.film_id}"
    )
    return redirect(here) if verdict.blind else _to_next(request, kind)


@require_POST
@reviewer_required
def withdraw(request: UserRequest, pk: int) -> HttpResponse:
    """Take one's own verdict back, and open the film again."""
    verdict = get_review_for(request.user, pk)
    shown = verdict.prediction.film
    try:
        verdicts.withdraw(request.user, verdict)
    except verdicts.TooLate as error:
        messages.error(request, str(error))
        return redirect("film", shown.pk)
    audit_log.record(request, AccessLog.Action.REVIEWED, shown.patient, f"film {shown.pk}: verdict withdrawn")
    messages.success(request, "Your verdict is taken back. The film is open again.")
    return redirect("review_film", shown.pk)


def kind_of(user: User, said: str | None) -> Kind:
    """Return the kind that was asked for, if it is one for this user; else that of the longest waiting."""
    return Kind(said) if said in review_queue.kinds_for(user) else Kind.OLDEST


def _to_next(request: UserRequest, kind: Kind) -> HttpResponse:
    following = review_queue.take_next(request.user, kind)
    if following is None:
        return redirect(f"{reverse('review_queue')}?kind={kind}")
    return redirect(f"{reverse('review_film', args=[following])}?kind={kind}")


def _context(request: UserRequest, shown: Film, prediction: Prediction) -> dict[str, object]:
    said = sorted((r for p in shown.predictions.all() for r in p.reviews.all()), key=lambda r: -r.pk)
    own = [r for r in said if r.reviewer_id == request.user.pk]
    standing = [r for r in own if not r.is_withdrawn]
    return {
        "film": shown,
        "patient": shown.patient,
        "prediction": prediction,
        "predictions": [prediction],
        "verdicts": said,
        "mine": next(iter(standing), None),
        # A blind verdict has just been given: the model's answer is shown, and the verdict may be changed.
        "reconsider": bool(standing) and standing[0].blind,
        "adjudicating": not standing and verdicts.of_film(shown).differ,
        "form": _form(shown, own),
        "readers": annotations.of_others(said, request.user),
        "verdict_keys": [(verdict, verdict.label, VERDICT_KEYS[verdict]) for verdict in Review.Verdict],
        "kind": kind_of(request.user, request.GET.get("kind")),
        "undo": verdicts.undoable(request.user),
    }


def _form(shown: Film, own: list[Review]) -> ReviewForm:
    """What a reviewer wrote and drew before is there again, even if it was taken back."""
    if not own:
        return ReviewForm(film=shown)
    return ReviewForm(film=shown, initial={"remark": own[0].remark, "region": own[0].region})
