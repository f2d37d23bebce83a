"""Upload films for a patient."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from diagnosis.core import audit_log
from diagnosis.core.permissions import get_patient_for, visible_films
from diagnosis.core.querysets import with_predictions
from diagnosis.intake import decoder_pool, films
from diagnosis.intake.forms import UploadForm
from diagnosis.models import AccessLog, Film, Patient
from diagnosis.reading import blinding
from pneumoweb.accounts.roles import UserRequest, clinician_required


@require_http_methods(["GET", "HEAD", "POST"])
@clinician_required
def upload(request: UserRequest, pk: int) -> HttpResponse:
    """Show the upload page; take in one or several films.

    The page's script sends each file in a request of its own and gets that film's row as a fragment. Without
    script the whole form arrives at once and is answered by a page. Both go through the same intake.
    """
    patient = get_patient_for(request.user, pk)
    if request.method != "POST":
        decoder_pool.warm_up()
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
    return render(request, "intake/received.html", context, status=200 if good else 422)


def _receive(request: UserRequest, patient: Patient, file: File, form: UploadForm) -> dict[str, Any]:
    """Take in one file; return what its row shows. A file that is refused never stops the others."""
    name = films.clean_name(file.name or "")
    try:
        received = films.receive(request.user, patient, file, **form.cleaned_data)
    except films.Mismatch as error:
        return {
            "name": name, "error": str(error), "status": error.status, "differences": error.differences,
            "dated": [what for what, _, _ in error.differences] == [films.DATE_TAKEN],
        }  # fmt: skip
    except films.Refused as error:
        return {"name": name, "error": str(error), "status": error.status}
    if received.created:
        audit_log.record(request, AccessLog.Action.UPLOADED, patient, _uploaded(received))
    shown = with_predictions(visible_films(request.user)).get(pk=received.film.pk)
    blinding.conceal(request.user, [shown])
    return {
        "name": name,
        "film": shown,
        "known": not received.created,
        "status": 201 if received.created else 200,
    }


def _uploaded(received: films.Received) -> str:
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
    template = "intake/_identity_mismatch.html" if row.get("differences") else "intake/_upload_row.html"
    return render(request, template, row, status=status)


def _upload_page(request: UserRequest, patient: Patient, form: UploadForm, status: int = 200) -> HttpResponse:
    context = {
        "patient": patient,
        "form": form,
        "limit_mb": settings.MAX_FILM_BYTES // 1024**2,
        "limit_films": settings.MAX_FILMS_PER_UPLOAD,
    }
    return render(request, "intake/upload.html", context, status=status)


def _first_name(files: Sequence[File]) -> str:
    return films.clean_name(files[0].name or "") if files else "no file"
