"""What architectures are worth under one protocol, and where a model is known to fail: pages for staff."""

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from diagnosis import comparison, registry
from diagnosis.models import ModelVersion
from diagnosis.permissions import UserRequest, staff_required


@require_safe
@staff_required
def compare(request: UserRequest) -> HttpResponse:
    """Table and plots of the architectures that were compared."""
    return render(request, "models/compare.html", {"found": comparison.read()})


@require_safe
@staff_required
def failures(request: UserRequest, pk: int) -> HttpResponseBase:
    """The synthetic films that a version answers wrongly, as one picture."""
    version = get_object_or_404(ModelVersion, pk=pk)
    name = registry.stored_file(version, "failures.jpg")
    if not default_storage.exists(name):
        raise Http404
    response = FileResponse(default_storage.open(name), content_type="image/jpeg")
    response["Cache-Control"] = "private, max-age=86400"
    return response
