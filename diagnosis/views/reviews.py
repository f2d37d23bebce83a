"""Reviewers confirm or correct what the model said."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis import audit
from diagnosis import review as verdicts
from diagnosis.forms import ReviewForm
from diagnosis.models import AccessLog
from diagnosis.permissions import UserRequest, get_prediction_for, reviewer_required

PAGE = 24


@require_safe
@reviewer_required
def queue(request: UserRequest) -> HttpResponse:
    """The answered films that nobody has reviewed, the longest-waiting first."""
    page = Paginator(verdicts.waiting_for_review(request.user), PAGE).get_page(request.GET.get("page"))
    return render(request, "review/queue.html", {"page": page})


@require_POST
@reviewer_required
def review(request: UserRequest, pk: int) -> HttpResponse:
    """Append a verdict, then go on to the next film of the queue or back to this one."""
    prediction = get_prediction_for(request.user, pk)
    form = ReviewForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose a verdict: normal, pneumonia or unreadable.")
        return redirect("film", prediction.film_id)
    try:
        verdict = verdicts.record(request.user, prediction, **form.cleaned_data)
    except verdicts.NotReviewable as error:
        messages.error(request, str(error))
        return redirect("film", prediction.film_id)
    audit.record(request, AccessLog.Action.REVIEWED, prediction.film.patient, f"film {prediction.film_id}")
    messages.success(request, f"Your verdict is kept: {verdict.get_verdict_display().lower()}.")
    if "next" in request.POST:
        following = verdicts.waiting_for_review(request.user).first()
        return redirect("film", following.film_id) if following else redirect("review_queue")
    return redirect("film", prediction.film_id)
