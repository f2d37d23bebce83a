"""What architectures are worth under one protocol, and where a model is known to fail: pages for staff."""

from typing import Any

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis.models import ModelVersion, OperatingPoint
from diagnosis.registry import benchmark, operating_point, versions
from diagnosis.registry.forms import OperatingForm, TargetForm
from ml.metrics import classification
from pneumoweb.accounts.roles import UserRequest, staff_required


@require_safe
@staff_required
def compare(request: UserRequest) -> HttpResponse:
    """Table and plots of the architectures that were compared."""
    return render(request, "registry/benchmark.html", {"found": benchmark.read()})


@require_safe
@staff_required
def failures(request: UserRequest, pk: int) -> HttpResponseBase:
    """The synthetic films that a version answers wrongly, as one picture."""
    version = get_object_or_404(ModelVersion, pk=pk)
    name = versions.stored_file(version, "failures.jpg")
    if not default_storage.exists(name):
        raise Http404
    response = FileResponse(default_storage.open(name), content_type="image/jpeg")
    response["Cache-Control"] = "private, max-age=86400"
    return response


HISTORY = 50


@require_safe
@staff_required
def page(request: UserRequest) -> HttpResponse:
    """What a target sensitivity (`?target=`, percent) costs on the site's confirmed films; and the history."""
    version = versions.production()
    if version is None:
        messages.error(request, "No version is in production, so there is no operating point to choose.")
        return redirect("models")
    form = TargetForm(request.GET or None)
    context = {
        "version": version,
        "point": operating_point.in_force(version),
        "history": OperatingPoint.objects.select_related("by", "version")[:HISTORY],
        "least": operating_point.PATIENTS_EACH,
        **_figures(version, form.cleaned_data["target"] / 100 if form.is_bound and form.is_valid() else None),
        "form": form if form.is_bound else TargetForm(initial={"target": 95}),
        "choice": OperatingForm(),
    }
    return render(request, "registry/operating_point.html", context)


@require_POST
@staff_required
def choose(request: UserRequest) -> HttpResponse:
    """Set the threshold for a target sensitivity, or (`card`) go back to the card's."""
    version = versions.production()
    if version is None:
        raise Http404
    form = OperatingForm(request.POST)
    back = "card" in request.POST
    reason = str(request.POST.get("reason", ""))
    if not back and not form.is_valid():
        messages.error(request, "Give a sensitivity between 50 and 100 %, and say why.")
        return redirect("operating_point")
    try:
        point = operating_point.choose(
            request.user, version, None if back else form.cleaned_data["target"] / 100, reason
        )
    except operating_point.NotChosen as error:
        messages.error(request, str(error))
    else:
        threshold = point.threshold or version.card["threshold"]
        messages.success(request, f"New films are judged at a threshold of {threshold:.3f} from now on.")
    return redirect("operating_point")


def _figures(version: ModelVersion, target: float | None) -> dict[str, Any]:
    found = operating_point.material(version)
    if found.lacks:
        return {"found": found}
    threshold = operating_point.threshold_of(version) or version.card["threshold"]
    return {
        "found": found,
        "now": operating_point.at(found, threshold),
        "wanted": operating_point.at_target(found, target) if target else None,
        "target": target,
        "roc": classification.roc(found.targets, found.probabilities),
    }
