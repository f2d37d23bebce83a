"""The model registry for staff: versions, cards, promotion."""

from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from diagnosis import promotion, registry
from diagnosis.forms_promotion import RollBackForm
from diagnosis.models import ModelVersion, PromotionRequest, ShadowRun
from diagnosis.permissions import UserRequest, staff_required


@require_safe
@staff_required
def version_list(request: UserRequest) -> HttpResponse:
    """All registered versions, newest first."""
    open_requests = PromotionRequest.objects.filter(state=PromotionRequest.State.REQUESTED)
    context = {
        "versions": ModelVersion.objects.prefetch_related(
            "changes__by", Prefetch("shadow_runs", open_shadows())
        ),
        "before": promotion.before(),
        "requests": open_requests.select_related("version", "requested_by"),
        "form": RollBackForm(),
    }
    return render(request, "models/list.html", context)


@require_safe
@staff_required
def production(request: UserRequest) -> HttpResponse:
    """Go to the card of the version in production."""
    current = registry.production()
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
    return render(request, "models/card.html", {"version": shown, "card": shown.card})


def open_shadows() -> QuerySet[ShadowRun]:
    return ShadowRun.objects.filter(ended_at__isnull=True)
