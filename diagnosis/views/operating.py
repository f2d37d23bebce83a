"""The operating point: the threshold that staff choose for their population."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis import operating, registry
from diagnosis.forms_promotion import OperatingForm, TargetForm
from diagnosis.models import ModelVersion, OperatingPoint
from diagnosis.permissions import UserRequest, staff_required
from ml.metrics import classification

HISTORY = 50


@require_safe
@staff_required
def page(request: UserRequest) -> HttpResponse:
    """What a target sensitivity (`?target=`, percent) costs on the site's confirmed films; and the history."""
    version = registry.production()
    if version is None:
        messages.error(request, "No version is in production, so there is no operating point to choose.")
        return redirect("models")
    form = TargetForm(request.GET or None)
    context = {
        "version": version,
        "point": operating.in_force(version),
        "history": OperatingPoint.objects.select_related("by", "version")[:HISTORY],
        "least": operating.PATIENTS_EACH,
        **_figures(version, form.cleaned_data["target"] / 100 if form.is_bound and form.is_valid() else None),
        "form": form if form.is_bound else TargetForm(initial={"target": 95}),
        "choice": OperatingForm(),
    }
    return render(request, "models/operating.html", context)


@require_POST
@staff_required
def choose(request: UserRequest) -> HttpResponse:
    """Set the threshold for a target sensitivity, or (`card`) go back to the card's."""
    version = registry.production()
    if version is None:
        raise Http404
    form = OperatingForm(request.POST)
    back = "card" in request.POST
    reason = str(request.POST.get("reason", ""))
    if not back and not form.is_valid():
        messages.error(request, "Give a sensitivity between 50 and 100 %, and say why.")
        return redirect("operating_point")
    try:
        point = operating.choose(
            request.user, version, None if back else form.cleaned_data["target"] / 100, reason
        )
    except operating.NotChosen as error:
        messages.error(request, str(error))
    else:
        threshold = point.threshold or version.card["threshold"]
        messages.success(request, f"New films are judged at a threshold of {threshold:.3f} from now on.")
    return redirect("operating_point")


def _figures(version: ModelVersion, target: float | None) -> dict[str, Any]:
    found = operating.material(version)
    if found.lacks:
        return {"found": found}
    threshold = operating.threshold_of(version) or version.card["threshold"]
    return {
        "found": found,
        "now": operating.at(found, threshold),
        "wanted": operating.at_target(found, target) if target else None,
        "target": target,
        "roc": classification.roc(found.targets, found.probabilities),
    }
