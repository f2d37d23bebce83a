"""A patient's history: two films side by side, reading again, and the ways out of the house."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis.core import audit_log
from diagnosis.core.permissions import get_patient_for
from diagnosis.inference import requests
from diagnosis.models import AccessLog, Film
from diagnosis.patients import csv_export
from diagnosis.patients import pdf_report as reports
from diagnosis.patients.history import films_for
from diagnosis.registry import versions
from pneumoweb.accounts.roles import UserRequest, clinician_required


@require_safe
@clinician_required
def side_by_side(request: UserRequest, pk: int) -> HttpResponse:
    """Two films of a patient side by side: by default the newest (`?right=`) and the one before it (`?left=`)."""
    patient = get_patient_for(request.user, pk)
    films = films_for(request.user, patient)
    context: dict[str, object] = {"patient": patient, "films": films}
    if len(films) > 1:
        right = _chosen(request, "right", films) or films[-1]
        place = films.index(right)
        left = _chosen(request, "left", films) or films[place - 1 if place else 1]
        context |= {"left": left, "right": right, "sides": [left, right]}
        audit_log.record(
            request, AccessLog.Action.SEEN, patient, f"films {left.pk} and {right.pk} side by side"
        )
    return render(request, "patients/side_by_side.html", context)


@require_POST
@clinician_required
def read_again(request: UserRequest, pk: int) -> HttpResponse:
    """Queue all films of a patient that the model in production has not read; earlier answers stay."""
    patient = get_patient_for(request.user, pk)
    version = versions.production()
    if version is None:
        messages.error(request, "No model is in production. Ask a member of staff.")
        return redirect("patient", pk)
    films = list(requests.unread_films(patient, version))
    for film in films:
        requests.again(film, version)
    count = f"{len(films)} film{'' if len(films) == 1 else 's'}"
    messages.success(request, f"{version} reads {count} now. Earlier answers stay in the history.")
    return redirect("patient", pk)


@require_safe
@clinician_required
def table(request: UserRequest, pk: int) -> HttpResponse:
    """The history as CSV."""
    patient = get_patient_for(request.user, pk)
    audit_log.record(request, AccessLog.Action.EXPORTED, patient, "history as CSV")
    content = csv_export.history_csv(patient, films_for(request.user, patient))
    return _file(content.encode(), "text/csv; charset=utf-8", f"history-{patient.pk}.csv")


@require_safe
@clinician_required
def report(request: UserRequest, pk: int) -> HttpResponse:
    """The history as PDF; `?film=` is the report of one film."""
    patient = get_patient_for(request.user, pk)
    films = films_for(request.user, patient)
    chosen = _chosen(request, "film", films)
    try:
        content = reports.history_pdf(patient, [chosen] if chosen else films, made_by=request.user)
    except reports.Busy as error:
        messages.error(request, str(error))
        return redirect("patient", pk)
    what = f"report of film {chosen.pk}" if chosen else "history as PDF"
    audit_log.record(request, AccessLog.Action.EXPORTED, patient, what)
    return _file(content, "application/pdf", f"history-{patient.pk}.pdf")


def _chosen(request: UserRequest, name: str, films: list[Film]) -> Film | None:
    """Return the film that the address names, None where it names none; Http404 for one that is not the patient's."""
    wanted = request.GET.get(name)
    if not wanted:
        return None
    found = next((film for film in films if str(film.pk) == wanted), None)
    if found is None:
        raise Http404
    return found


def _file(content: bytes, kind: str, name: str) -> HttpResponse:
    """The name in the folder of downloads tells nobody whose history it is."""
    response = HttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
