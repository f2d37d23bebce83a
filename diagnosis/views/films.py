"""Films: upload, the page with the answer, and the private way of pictures to the browser."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diagnosis import audit, blinding, decoding, facts, intake, registry
from diagnosis import review as verdicts
from diagnosis.forms import UploadForm
from diagnosis.models import AccessLog, Film, Patient, Prediction, Priority
from diagnosis.permissions import (
    UserRequest,
    clinician_required,
    get_film_for,
    get_patient_for,
    get_prediction_for,
    roles_of,
    visible_films,
)
from diagnosis.queries import with_predictions

log = logging.getLogger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
@clinician_required
def upload(request: UserRequest, pk: int) -> HttpResponse:
    """Show the upload page; take in one or several films.

    The page's script sends each file in a request of its own and gets that film's row as a fragment. Without
    script the whole form arrives at once and is answered by a page. Both go through the same intake.
    """
    patient = get_patient_for(request.user, pk)
    if request.method != "POST":
        decoding.warm_up()
        return _upload_page(request, patient, UploadForm(patient=patient))
    single = request.headers.get("X-Requested-With") == "upload"
    form = UploadForm(request.POST, patient=patient)
    files = request.FILES.getlist("films")
    if not form.is_valid():
        if single:
            text = " ".join(str(error) for errors in form.errors.values() for error in errors)
            return _row(request, name=_first_name(files), error=text, status=422)
        return _upload_page(request, patient, form, status=422)
    if not files:
        form.add_error(None, "No film was sent. Choose one or more DICOM, PNG or JPEG files.")
        return _upload_page(request, patient, form, status=422)
    if len(files) > settings.MAX_FILMS_PER_UPLOAD:
        form.add_error(
            None,
            f"{len(files)} films are too many for one upload. Send at most {settings.MAX_FILMS_PER_UPLOAD} at a time.",
        )
        return _upload_page(request, patient, form, status=413)
    rows = [_receive(request, patient, file, form) for file in files]
    if single:
        return _row(request, **rows[0])
    good = all(row["status"] < 400 for row in rows)
    context = {"patient": patient, "rows": rows, "kept": sum(row["status"] < 400 for row in rows)}
    return render(request, "films/received.html", context, status=200 if good else 422)


@require_safe
@clinician_required
def film(request: UserRequest, pk: int) -> HttpResponse:
    """Show one film with the answer; `?prediction=` shows an older answer of another model version."""
    shown = get_object_or_404(with_predictions(visible_films(request.user)), pk=pk)
    blinding.conceal(request.user, [shown])
    audit.record(request, AccessLog.Action.SEEN, shown.patient, f"film {shown.pk}")
    return render(request, "films/film.html", _film_context(request, shown))


@require_safe
@clinician_required
def status(request: UserRequest, pk: int) -> HttpResponse:
    """The fragment a waiting page asks for; it stops asking by itself once the state is final.

    `?as=row` is that of the upload page, `?as=card` and `?as=line` are those of lists, without it the film's answer.
    """
    shown = get_object_or_404(with_predictions(visible_films(request.user)), pk=pk)
    blinding.conceal(request.user, [shown])
    kind = request.GET.get("as", "answer")
    if kind == "row":
        return _row(request, film=shown)
    if kind == "card":
        return render(request, "films/_card.html", {"film": shown})
    if kind == "line":
        return render(request, "films/_line.html", {"film": shown})
    return render(request, "films/_reading.html", _film_context(request, shown))


@require_POST
@clinician_required
def read_again(request: UserRequest, pk: int) -> HttpResponse:
    """Queue the film for the model in production; earlier answers stay."""
    shown = get_film_for(request.user, pk)
    version = registry.production()
    if version is None:
        messages.error(request, "No model is in production. Ask a member of staff.")
    elif intake.again(shown, version):
        messages.success(
            request, f"The film waits to be read by {version}. Earlier answers stay in the history."
        )
    return redirect("film", pk)


@require_safe
@clinician_required
def image(request: UserRequest, pk: int) -> HttpResponseBase:
    """The film itself, as greyscale PNG."""
    shown = get_film_for(request.user, pk)
    audit.record(request, AccessLog.Action.SEEN, shown.patient, f"picture of film {shown.pk}")
    return picture_response(request, shown.file, "image/png")


@require_safe
@clinician_required
def values(request: UserRequest, pk: int) -> HttpResponseBase:
    """The film's own values at full depth, as greyscale PNG: those of the detector where they were sent.

    A film that came as a picture has no others than those of the picture.
    """
    shown = get_film_for(request.user, pk)
    audit.record(request, AccessLog.Action.SEEN, shown.patient, f"values of film {shown.pk}")
    return picture_response(request, shown.values or shown.file, "image/png")


@require_safe
@clinician_required
def preview(request: UserRequest, pk: int) -> HttpResponseBase:
    """A small copy of the film, for lists. Each list is in the log with its films; what asks without a page is too."""
    shown = get_film_for(request.user, pk)
    response = picture_response(request, shown.thumbnail, "image/jpeg")
    # Browsers say on secure addresses what a picture is for. Without that word it may be looked at by itself.
    if response.status_code == 200 and request.headers.get("Sec-Fetch-Dest") != "image":
        audit.record(request, AccessLog.Action.SEEN, shown.patient, f"small picture of film {shown.pk}")
    return response


@require_safe
@clinician_required
def heatmap(request: UserRequest, pk: int) -> HttpResponseBase:
    """Where the model saw evidence of pneumonia: RGBA PNG, to be stretched over the film."""
    prediction = get_prediction_for(request.user, pk)
    if blinding.hides_answer(request.user, prediction.film):
        raise Http404
    return picture_response(request, prediction.heatmap, "image/png")


def picture_response(request: UserRequest, file: FieldFile, kind: str) -> HttpResponseBase:
    """Send a stored picture. It never changes, so the browser may keep it, but must ask each time whether it may
    show it: on a shared screen the next user has rights of their own."""
    if not file.name:
        raise Http404
    etag = quote_etag(hashlib.sha256(file.name.encode()).hexdigest())
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            response = FileResponse(default_storage.open(file.name, "rb"), content_type=kind)
        except FileNotFoundError as error:
            log.error("%s is missing in the storage", file.name)
            raise Http404 from error
        response["Content-Disposition"] = "inline"
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _receive(request: UserRequest, patient: Patient, file: File, form: UploadForm) -> dict[str, Any]:
    """Take in one file; return what its row shows. A file that is refused never stops the others."""
    name = intake.clean_name(file.name or "")
    try:
        received = intake.receive(request.user, patient, file, **form.cleaned_data)
    except intake.Mismatch as error:
        return {
            "name": name, "error": str(error), "status": error.status, "differences": error.differences,
            "dated": [what for what, _, _ in error.differences] == [intake.DATE_TAKEN],
        }  # fmt: skip
    except intake.Refused as error:
        return {"name": name, "error": str(error), "status": error.status}
    if received.created:
        audit.record(request, AccessLog.Action.UPLOADED, patient, _uploaded(received))
    shown = with_predictions(visible_films(request.user)).get(pk=received.film.pk)
    blinding.conceal(request.user, [shown])
    return {
        "name": name,
        "film": shown,
        "known": not received.created,
        "status": 201 if received.created else 200,
    }


def _uploaded(received: intake.Received) -> str:
    """What the access log says of a film, within its 80 characters."""
    said = f"film {received.film.pk}"
    if received.differences:
        said += f", answered for: {', '.join(received.differences)}"
    return said[:80]


def _row(request: UserRequest, *, status: int = 200, **row: Any) -> HttpResponse:
    if request.headers.get("Accept") == "application/json":
        found = row.get("film")
        url = reverse("film", args=[found.pk]) if isinstance(found, Film) else None
        said = {name: row[name] for name in ("error", "differences") if name in row}
        return JsonResponse({"name": row.get("name"), "error": None, "url": url, **said}, status=status)
    template = "films/_mismatch.html" if row.get("differences") else "films/_row.html"
    return render(request, template, row, status=status)


def _upload_page(request: UserRequest, patient: Patient, form: UploadForm, status: int = 200) -> HttpResponse:
    context = {
        "patient": patient,
        "form": form,
        "limit_mb": settings.MAX_FILM_BYTES // 1024**2,
        "limit_films": settings.MAX_FILMS_PER_UPLOAD,
    }
    return render(request, "films/upload.html", context, status=status)


def _film_context(request: UserRequest, shown: Film) -> dict[str, object]:
    predictions = list(shown.predictions.all())
    wanted = request.GET.get("prediction", "")
    chosen: Prediction | None = next((p for p in predictions if str(p.pk) == wanted), shown.latest_prediction)
    production = registry.production()
    return {
        "film": shown,
        "patient": shown.patient,
        "prediction": chosen,
        "predictions": predictions,
        "can_read_again": production and all(p.model_version_id != production.pk for p in predictions),
        "production": production,
        "source_facts": facts.rows(shown),
        "verdicts": sorted((r for p in predictions for r in p.reviews.all()), key=lambda r: -r.pk),
        "undo": verdicts.undoable(request.user) if "reviewer" in roles_of(request.user) else None,
        "outcomes": [] if any(p.concealed for p in predictions) else shown.outcomes.select_related("by"),
        "priorities": Priority.choices,
    }


def _first_name(files: Sequence[File]) -> str:
    return intake.clean_name(files[0].name or "") if files else "no file"
