"""What the patient had in the end."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from diagnosis.core import audit_log
from diagnosis.core.permissions import get_film_for
from diagnosis.models import AccessLog
from diagnosis.reading import blinding
from diagnosis.reading.forms import OutcomeForm
from pneumoweb.accounts.roles import UserRequest, clinician_required


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
        audit_log.record(request, AccessLog.Action.CHANGED, film.patient, f"film {pk}: final diagnosis")
        messages.success(request, "The final diagnosis is kept. It counts before any verdict on this film.")
        return redirect("film", pk)
    hidden = blinding.hides_answer(request.user, film)
    context = {
        "film": film,
        "patient": film.patient,
        "form": form,
        "outcomes": [] if hidden else film.outcomes.select_related("by"),
    }
    audit_log.record(request, AccessLog.Action.SEEN, film.patient, f"final diagnosis of film {pk}")
    return render(request, "reading/outcome.html", context, status=422 if form.is_bound else 200)
