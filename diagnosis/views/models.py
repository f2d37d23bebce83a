"""The model registry for staff: versions, cards, promotion."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis import registry
from diagnosis.forms import PromoteForm
from diagnosis.models import ModelVersion
from diagnosis.permissions import UserRequest, staff_required


@require_safe
@staff_required
def version_list(request: UserRequest) -> HttpResponse:
    """All registered versions, newest first."""
    versions = ModelVersion.objects.prefetch_related("changes__by")
    return render(request, "models/list.html", {"versions": versions})


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
    shown = get_object_or_404(ModelVersion.objects.prefetch_related("changes__by"), pk=pk)
    return render(request, "models/card.html", {"version": shown, "card": shown.card, "form": PromoteForm()})


@require_POST
@staff_required
def promote(request: UserRequest, pk: int) -> HttpResponse:
    """Put a version into production; the one before it is retired and can come back the same way."""
    chosen = get_object_or_404(ModelVersion, pk=pk)
    form = PromoteForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    try:
        registry.promote(chosen, by=request.user, reason=reason)
    except registry.PromotionRefused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{chosen} is in production. New films are read by it from now on.")
    return redirect("model", pk)
