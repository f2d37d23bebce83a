"""What the patient had in the end."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from diagnosis import audit, blinding
from diagnosis.models import AccessLog
from diagnosis.permissions import UserRequest, clinician_required, get_film_for
from diagnosis.readingforms import OutcomeForm


@require_http_methods(["GET", "HEAD", "POST"])
@clinician_required
def outcome(request: UserRequest, pk: int) -> HttpResponse:
    """Enter the final diagnosis of a film. A correction is a new entry; the earlier ones stay below it."""
    film = get_film_for(request.user, pk)
    form = OutcomeForm(
        request.POST if request.method == "POST" else None, initial={"known_on": timezone.localdate()}
    )
    if request.method == "POST" and form.is_valid():
        form.instance.film, form.instance.by = film, request.user
        form.save()
        audit.record(request, AccessLog.Action.CHANGED, film.patient, f"film {pk}: final diagnosis")
        messages.success(request, "The final diagnosis is kept. It counts before any verdict on this film.")
        return redirect("film", pk)
    hidden = blinding.hides_answer(request.user, film)
    context = {
        "film": film,
        "patient": film.patient,
        "form": form,
        "outcomes": [] if hidden else film.outcomes.select_related("by"),
    }
    audit.record(request, AccessLog.Action.SEEN, film.patient, f"final diagnosis of film {pk}")
    return render(request, "films/outcome.html", context, status=422 if form.is_bound else 200)
