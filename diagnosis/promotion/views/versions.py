"""The model registry for staff: versions, cards, promotion."""

from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from diagnosis.models import ModelVersion, PromotionRequest, ShadowRun
from diagnosis.promotion import promote
from diagnosis.promotion.forms import RollBackForm
from diagnosis.registry import versions
from pneumoweb.accounts.roles import UserRequest, staff_required


@require_safe
@staff_required
def version_list(request: UserRequest) -> HttpResponse:
    """All registered versions, newest first."""
    open_requests = PromotionRequest.objects.filter(state=PromotionRequest.State.REQUESTED)
    context = {
        "versions": ModelVersion.objects.prefetch_related(
            "changes__by", Prefetch("shadow_runs", open_shadows())
        ),
        "before": promote.before(),
        "requests": open_requests.select_related("version", "requested_by"),
        "form": RollBackForm(),
    }
    return render(request, "promotion/versions.html", context)


@require_safe
@staff_required
def production(request: UserRequest) -> HttpResponse:
    """Go to the card of the version in production."""
    current = versions.production()
    if current is None:
        raise Http404
    return redirect("model", current.pk)


@require_safe
@staff_required
def version(request: UserRequest, pk: int) -> HttpResponse:
    """A version's card: figures, confusion matrix, curves, threshold, population."""
    known = ModelVersion.objects.select_related("run__by", "run__initial").prefetch_related(
        "changes__by", "evaluations__production"
    )
    shown = get_object_or_404(known, pk=pk)
    return render(request, "promotion/version.html", {"version": shown, "card": shown.card})


def open_shadows() -> QuerySet[ShadowRun]:
    return ShadowRun.objects.filter(ended_at__isnull=True)
