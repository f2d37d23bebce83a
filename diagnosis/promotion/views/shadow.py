"""Shadow runs for staff, and where shadow and shown answer differ, for reviewers."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis.core import audit_log
from diagnosis.models import ModelVersion, ShadowRun
from diagnosis.promotion import shadow
from diagnosis.promotion.forms import ShadowForm
from pneumoweb.accounts.roles import UserRequest, reviewer_required, staff_required

PAGE = 24


@require_safe
@staff_required
def detail(request: UserRequest, pk: int) -> HttpResponse:
    """A version's shadow runs: how much was read, how often it differed, who was right."""
    version = get_object_or_404(ModelVersion, pk=pk)
    runs = list(version.shadow_runs.select_related("started_by", "ended_by"))
    context = {
        "version": version,
        "runs": [{"run": run, **shadow.outcome(run)} for run in runs],
        "open": next((run for run in runs if run.ended_at is None), None),
        "form": ShadowForm(),
    }
    return render(request, "promotion/shadow.html", context)


@require_POST
@staff_required
def start(request: UserRequest, pk: int) -> HttpResponse:
    """Let a version read new films in the shadow from now on."""
    version = get_object_or_404(ModelVersion, pk=pk)
    form = ShadowForm(request.POST)
    if not form.is_valid():
        messages.error(
            request, "The shadow was not started: say why, and give both hours (0 to 23) or neither."
        )
        return redirect("model_shadow", pk)
    try:
        shadow.start(version, request.user, form.cleaned_data["reason"], form.hours)
    except shadow.NotStarted as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{version} reads every new film in the shadow from now on.")
    return redirect("model_shadow", pk)


@require_POST
@staff_required
def end(request: UserRequest, pk: int) -> HttpResponse:
    """End a version's shadow; what it said is kept."""
    run = get_object_or_404(ShadowRun.objects.select_related("version"), pk=pk)
    if shadow.end(run.version, request.user, "Ended by hand."):
        messages.success(request, "The shadow has ended. Its answers are kept.")
    return redirect("model_shadow", run.version_id)


@require_safe
@reviewer_required
def disagreements(request: UserRequest) -> HttpResponse:
    """Films on which two versions differ and nobody has confirmed a label, the newest first.

    Neither answer is on the page: who reviews should not know beforehand which of the two to doubt.
    """
    page = Paginator(shadow.disagreements(request.user), PAGE).get_page(request.GET.get("page"))
    audit_log.record_list(request, "films on which versions differ", (answer.film for answer in page))
    return render(request, "reading/review/disagreements.html", {"page": page})
