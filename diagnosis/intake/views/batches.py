"""Batches: begin one, send its files, watch it, and say whose films the unclear ones are."""

from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diagnosis.core import audit_log
from diagnosis.core.images_http import picture_response
from diagnosis.core.permissions import get_arrival_for, get_batch_for, get_patient_for, visible_batches
from diagnosis.intake import decoder_pool
from diagnosis.intake import films as intake_films
from diagnosis.intake.batches import assignment, queries, upload, zip_upload
from diagnosis.intake.batches.filing import Sender
from diagnosis.intake.batches.forms import BatchForm, Listing, patient_by_number, read_listing
from diagnosis.intake.batches.upload import Announced, TooMany
from diagnosis.models import Arrival, Batch, Patient
from diagnosis.reading import blinding
from pneumoweb.accounts.roles import UserRequest, clinician_required

PAGE = 25
FILMS_A_PAGE = 25
REFUSED_SHOWN = 200
PART_BYTES = 4 * 1024 * 1024


@require_safe
@clinician_required
def batch_list(request: UserRequest) -> HttpResponse:
    """Show the clinic's batches, newest first."""
    batches = queries.with_counts(visible_batches(request.user).order_by("-pk"))
    page = Paginator(batches, PAGE).get_page(request.GET.get("page"))
    audit_log.record_list(request, "batches", patients=(b.patient_id for b in page if b.patient_id))
    return render(request, "intake/batches/list.html", {"page": page})


@require_http_methods(["GET", "HEAD", "POST"])
@clinician_required
def begin(request: UserRequest) -> HttpResponse:
    """Show the page for a new batch, and begin one.

    The page's script posts the list of files and gets, as JSON, which of them to send. Without script the films come
    with the form.
    """
    if request.method != "POST":
        number = request.GET.get("number", "")
        form = BatchForm(
            user=request.user, initial={**BatchForm(user=request.user).initial, "number": number}
        )
        decoder_pool.warm_up()
        return _begin_page(request, form)
    form = BatchForm(request.POST, request.FILES, user=request.user)
    scripted = "listing" in request.POST
    if not form.is_valid():
        faults = [fault for name, found in form.errors.items() for fault in _labelled(form, name, found)]
        return JsonResponse({"faults": faults}, status=422) if scripted else _begin_page(request, form, 422)
    try:
        listing = read_listing(request.POST["listing"]) if scripted else Listing([])
        with transaction.atomic():
            batch = _create(request, form)
            wanted = _announce(batch, listing)
    except (TooMany, zip_upload.WrongPart, ValidationError) as error:
        return JsonResponse({"faults": _words(error)}, status=422)
    if scripted:
        return JsonResponse(
            {"batch": batch.pk, "url": reverse("batch", args=[batch.pk]), **wanted}, status=201
        )
    return _receive_with_form(request, batch)


@require_safe
@clinician_required
def batch(request: UserRequest, pk: int) -> HttpResponse:
    """Show one batch: how far it is, what waits for an answer, what was refused, and its films."""
    shown = get_batch_for(request.user, pk)
    context = {**_status(request, shown), **_undecided(shown)}
    _log(request, context)
    return render(request, "intake/batches/batch.html", context)


@require_safe
@clinician_required
def status(request: UserRequest, pk: int) -> HttpResponse:
    """The fragment that a moving batch asks for; it stops asking once nothing moves any more."""
    return render(request, "intake/batches/_status.html", _status(request, get_batch_for(request.user, pk)))


@require_safe
@clinician_required
def undecided(request: UserRequest, pk: int) -> HttpResponse:
    """The fragment of the films that wait for an answer."""
    return render(request, "intake/batches/_undecided.html", _undecided(get_batch_for(request.user, pk)))


@require_POST
@clinician_required
def announce(request: UserRequest, pk: int) -> HttpResponse:
    """Say which files of a folder that was chosen again, or of a zip, are still to be sent."""
    shown = get_batch_for(request.user, pk)
    try:
        return JsonResponse({"batch": pk, **_announce(shown, read_listing(request.POST.get("listing", "")))})
    except (TooMany, zip_upload.WrongPart, ValidationError) as error:
        return JsonResponse({"faults": _words(error)}, status=422)


@require_POST
@clinician_required
def receive(request: UserRequest, pk: int) -> HttpResponse:
    """Take in one announced file."""
    shown = get_batch_for(request.user, pk)
    arrival = get_object_or_404(shown.arrivals, key=request.POST.get("key", ""))
    arrival.batch = shown
    film = request.FILES.get("film")
    if film is None:
        return JsonResponse({"fault": "No film was sent."}, status=400)
    try:
        arrival = upload.receive(arrival, film, _sender(request))
    except intake_films.Refused as error:
        return JsonResponse({"fault": str(error)}, status=error.status)
    return JsonResponse({"state": arrival.state, "reason": arrival.reason})


@require_POST
@clinician_required
def receive_part(request: UserRequest, pk: int) -> HttpResponse:
    """Take in the next part of the batch's zip; without a part, say how much of it is here."""
    shown = get_batch_for(request.user, pk)
    part, offset = request.FILES.get("part"), request.POST.get("offset", "")
    if part is None:
        return JsonResponse({"received": shown.zip_received})
    if not offset.isdecimal() or not 0 < (part.size or 0) <= PART_BYTES:
        return JsonResponse({"fault": "This is no part of a zip."}, status=400)
    try:
        return JsonResponse({"received": zip_upload.add_part(shown, int(offset), part)})
    except zip_upload.WrongPart as error:
        return JsonResponse({"fault": str(error), "received": error.received}, status=409)


@require_POST
@clinician_required
def assign(request: UserRequest, pk: int) -> HttpResponse:
    """Take a person's answer for some of the films that wait."""
    shown = get_batch_for(request.user, pk)
    chosen = list(
        shown.arrivals.undecided()
        .filter(pk__in=[pk for pk in request.POST.getlist("arrivals") if pk.isdecimal()])
        .select_related("batch__clinic", "patient")
    )
    told = _answer(request, shown, chosen)
    if request.htmx:  # type: ignore[attr-defined]
        response = render(request, "intake/batches/_undecided.html", {**_undecided(shown), "told": told})
        response["HX-Trigger"] = "assigned"
        return response
    for kind, text in told:
        messages.add_message(request, messages.SUCCESS if kind == "success" else messages.ERROR, text)
    return redirect("batch", pk)


@require_POST
@clinician_required
def give_up(request: UserRequest, pk: int) -> HttpResponse:
    """Close what was announced and is sent no more."""
    shown = get_batch_for(request.user, pk)
    zip_upload.give_up(shown)
    missing = upload.give_up(shown)
    messages.success(request, f"What was not sent is left out: {missing} films." if missing else "Left out.")
    return redirect("batch", pk)


@require_safe
@clinician_required
def waiting_picture(request: UserRequest, pk: int) -> HttpResponseBase:
    """A small copy of a film that waits for its patient. A copy that the browser has already is not logged again."""
    arrival = get_arrival_for(request.user, pk)
    response = picture_response(request, arrival.preview, "image/jpeg")
    if response.status_code == 200:
        audit_log.record_list(request, f"picture of a waiting film of batch {arrival.batch_id}", waiting=[pk])
    return response


def _create(request: UserRequest, form: BatchForm) -> Batch:
    data, clinic = form.cleaned_data, form.clinic
    if clinic is None:
        raise ValidationError("A batch belongs to a clinic.")
    return Batch.objects.create(
        clinic=clinic,
        by=request.user,
        name=data["name"],
        patient=form.patient,
        taken_on=data["taken_on"],
        view=data["view"],
        manifest=form.rows,
    )


def _announce(batch: Batch, listing: Listing) -> dict[str, Any]:
    answer: dict[str, Any] = {"films": upload.announce(batch, listing.films, settings.MAX_FILMS_PER_UPLOAD)}
    if listing.zip:
        answer["zip"] = zip_upload.begin(batch, listing.zip.path, listing.zip.size, listing.zip.modified)
    return answer


def _receive_with_form(request: UserRequest, batch: Batch) -> HttpResponse:
    for place, file in enumerate(request.FILES.getlist("films")):
        listed = Announced(file.name or "", file.size or 0, str(place))
        for row in upload.announce(batch, [listed]):
            if row["state"] == "wanted":
                upload.receive(batch.arrivals.get(key=row["key"]), file, _sender(request))
    return redirect("batch", batch.pk)


def _answer(request: UserRequest, batch: Batch, chosen: list[Arrival]) -> list[tuple[str, str]]:
    """Do what was answered; return what to tell, each as (kind, words)."""
    sender, action = _sender(request), request.POST.get("action", "")
    if not chosen:
        return [("error", "No film was ticked, or another person has answered already.")]
    if action == "leave":
        return [("success", f"{assignment.leave_out(chosen, sender)} left out.")]
    if action == "register":
        return _told(assignment.register_and_file(chosen, sender))
    patient = _chosen_patient(request, batch, action)
    if patient is None:
        return [("error", "No patient of this clinic has that number. Nothing was changed.")]
    return _told(assignment.file_under(chosen, patient, sender), f" under {patient}")


def _chosen_patient(request: UserRequest, batch: Batch, action: str) -> Patient | None:
    kind, _, pk = action.partition(":")
    if kind == "patient" and pk.isdecimal():
        patient = get_patient_for(request.user, int(pk))
        return patient if patient.clinic_id == batch.clinic_id else None
    return patient_by_number(batch.clinic_id, request.POST.get("number", ""))


def _told(outcome: assignment.Outcome, where: str = "") -> list[tuple[str, str]]:
    films = "1 film is" if outcome.filed == 1 else f"{outcome.filed} films are"
    told = [("success", f"{films} filed{where} and will be read.")] if outcome.filed else []
    return told + [("error", fault) for fault in outcome.faults]


def _sender(request: UserRequest) -> Sender:
    return Sender(request.user, get_adapter(request).get_client_ip(request) or None)


def _status(request: UserRequest, batch: Batch) -> dict[str, Any]:
    films = queries.with_answers(batch.arrivals.with_film().order_by("pk"))
    refused = batch.arrivals.refused().order_by("pk")
    page = Paginator(films, FILMS_A_PAGE).get_page(request.GET.get("page"))
    blinding.conceal(request.user, [arrival.film for arrival in page if arrival.film])
    shown = request.GET.get("shown", "")
    progress = queries.progress(batch)
    return {
        "batch": batch,
        "progress": progress,
        "page": page,
        "refused": refused[:REFUSED_SHOWN],
        "refused_more": max(0, progress.refused - REFUSED_SHOWN),
        "undecided_shown": int(shown) if shown.isdecimal() else None,
        "can_send": batch.zip_state in (Batch.Zip.NONE, Batch.Zip.RECEIVING),
        "limits": _limits(),
    }


def _log(request: UserRequest, context: dict[str, Any]) -> None:
    """Log whom a batch's page shows: patients of filed films, those proposed for others, and the waiting films."""
    films = (arrival.film for arrival in context["page"] if arrival.film)
    groups = context["groups"]
    proposed = {patient.pk for group in groups for patient in (group.proposed, group.named) if patient}
    waiting = [arrival.pk for group in groups for arrival in group.arrivals]
    suggested = {patient.pk for patient in context["suggested"]}
    more = {"waiting": waiting} if waiting else {}
    audit_log.record_list(request, f"batch {context['batch'].pk}", films, proposed | suggested, **more)


def _undecided(batch: Batch) -> dict[str, Any]:
    groups = queries.groups(batch)
    return {
        "batch": batch,
        "groups": groups,
        "waiting": sum(len(group.arrivals) for group in groups),
        "suggested": queries.suggested(batch.clinic_id) if groups else [],
        "days": settings.BATCH_DAYS,
    }


def _begin_page(request: UserRequest, form: BatchForm, status: int = 200) -> HttpResponse:
    suggested = queries.suggested(request.user.clinic_id)
    audit_log.record_list(request, "patients to choose for a batch", patients=(p.pk for p in suggested))
    context = {"form": form, "suggested": suggested, "limits": _limits()}
    return render(request, "intake/batches/new.html", context, status=status)


def _limits() -> dict[str, Any]:
    return {
        "films": settings.MAX_FILMS_PER_UPLOAD,
        "film_mb": settings.MAX_FILM_BYTES // 1024**2,
        "zip_bytes": settings.MAX_ZIP_BYTES,
        "zip_mb": settings.MAX_ZIP_BYTES // 1024**2,
        "part": PART_BYTES,
        "days": settings.BATCH_DAYS,
    }


def _labelled(form: BatchForm, name: str, found: Any) -> list[str]:
    label = f"{form.fields[name].label or name.capitalize()}: " if name in form.fields else ""
    return [f"{label}{fault}" for fault in found]


def _words(error: Exception) -> list[str]:
    return error.messages if isinstance(error, ValidationError) else [str(error)]
