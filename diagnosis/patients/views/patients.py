"""Patients: find, register, change, history."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from diagnosis.core import audit_log
from diagnosis.core.permissions import get_patient_for
from diagnosis.core.querysets import with_films
from diagnosis.inference import requests
from diagnosis.models import AccessLog
from diagnosis.patients import history as patients_history
from diagnosis.patients import search, timeline
from diagnosis.patients.forms import PatientForm
from diagnosis.reading import blinding
from diagnosis.registry import versions
from pneumoweb.accounts.roles import UserRequest, clinician_required

STUDIES_A_PAGE = 20


@require_safe
@clinician_required
def patient_list(request: UserRequest) -> HttpResponse:
    """Find patients by number or name; htmx gets the table alone."""
    words = request.GET.get("q", "").split()
    place = request.GET.get("after", ""), request.GET.get("before", "")
    page = search.page(request.user, words, *place)
    if words and not any(place):
        audit_log.record_search(request, f"patients: {' '.join(words)}")
    audit_log.record_list(request, "patients", patients=(patient.pk for patient in page.patients))
    template = "patients/_table.html" if request.htmx and not request.htmx.boosted else "patients/list.html"  # type: ignore[attr-defined]
    context = {"page": page, "q": " ".join(words), "most": search.COUNTED}
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@clinician_required
def register(request: UserRequest) -> HttpResponse:
    """Register a patient of the user's own clinic."""
    if not request.user.is_superuser and request.user.clinic is None:
        return render(request, "patients/no_clinic.html", status=403)
    form = PatientForm(request.POST if request.method == "POST" else None, user=request.user)
    if request.method == "POST" and form.is_valid():
        form.instance.created_by = request.user
        patient = form.save()
        audit_log.record(request, AccessLog.Action.CREATED, patient, "patient")
        messages.success(request, f"{patient.name} is registered. Now add the first films.")
        return redirect("upload", patient.pk)
    status = 422 if form.is_bound else 200
    return render(request, "patients/form.html", {"form": form, "title": "Register a patient"}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@clinician_required
def edit(request: UserRequest, pk: int) -> HttpResponse:
    """Correct a patient's number, name, birth date or sex."""
    patient = get_patient_for(request.user, pk)
    shown = str(patient.name)
    form = PatientForm(
        request.POST if request.method == "POST" else None, instance=patient, user=request.user
    )
    if request.method == "POST" and form.is_valid():
        form.save()
        audit_log.record(
            request, AccessLog.Action.CHANGED, patient, f"patient: {', '.join(form.changed_data)}"[:80]
        )
        messages.success(request, "The patient's data are saved.")
        return redirect("patient", pk)
    status = 422 if form.is_bound else 200
    context = {"form": form, "title": f"Change {shown}", "patient": patient}
    return render(request, "patients/form.html", context, status=status)


@require_safe
@clinician_required
def history(request: UserRequest, pk: int) -> HttpResponse:
    """Show a patient's studies, newest first, and what the model said over time."""
    patient = get_patient_for(request.user, pk)
    studies = with_films(patient.studies.order_by("-taken_on", "-pk"))
    page = Paginator(studies, STUDIES_A_PAGE).get_page(request.GET.get("page"))
    blinding.conceal(request.user, [film for study in page for film in study.films.all()])
    audit_log.record(request, AccessLog.Action.SEEN, patient, "history")
    films = patients_history.films_for(request.user, patient)
    version = versions.production()
    context = {
        "patient": patient,
        "page": page,
        "plot": timeline.plot(films),
        "production": version,
        "unread": requests.unread_films(patient, version).count() if version else 0,
        "films_total": len(films),
    }
    return render(request, "patients/history.html", context)
