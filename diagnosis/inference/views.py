"""Films: upload, the page with the answer, and the private way of pictures to the browser."""

import logging

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis.core import audit_log
from diagnosis.core.images_http import picture_response
from diagnosis.core.permissions import get_film_for, get_prediction_for, visible_films
from diagnosis.core.querysets import with_predictions
from diagnosis.inference import dicom_details, requests
from diagnosis.models import AccessLog, Film, Prediction, Priority
from diagnosis.reading import blinding
from diagnosis.reading import reviews as verdicts
from diagnosis.registry import versions
from pneumoweb.accounts.roles import UserRequest, clinician_required, roles_of

log = logging.getLogger(__name__)


@require_safe
@clinician_required
def film(request: UserRequest, pk: int) -> HttpResponse:
    """Show one film with the answer; `?prediction=` shows an older answer of another model version."""
    shown = get_object_or_404(with_predictions(visible_films(request.user)), pk=pk)
    blinding.conceal(request.user, [shown])
    audit_log.record(request, AccessLog.Action.SEEN, shown.patient, f"film {shown.pk}")
    return render(request, "inference/film.html", _film_context(request, shown))


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
        return render(request, "intake/_upload_row.html", {"film": shown})
    if kind == "card":
        return render(request, "inference/_film_card.html", {"film": shown})
    if kind == "line":
        return render(request, "inference/_film_line.html", {"film": shown})
    return render(request, "inference/_result.html", _film_context(request, shown))


@require_POST
@clinician_required
def read_again(request: UserRequest, pk: int) -> HttpResponse:
    """Queue the film for the model in production; earlier answers stay."""
    shown = get_film_for(request.user, pk)
    version = versions.production()
    if version is None:
        messages.error(request, "No model is in production. Ask a member of staff.")
    elif requests.again(shown, version):
        messages.success(
            request, f"The film waits to be read by {version}. Earlier answers stay in the history."
        )
    return redirect("film", pk)


@require_safe
@clinician_required
def image(request: UserRequest, pk: int) -> HttpResponseBase:
    """The film itself, as greyscale PNG."""
    shown = get_film_for(request.user, pk)
    audit_log.record(request, AccessLog.Action.SEEN, shown.patient, f"picture of film {shown.pk}")
    return picture_response(request, shown.file, "image/png")


@require_safe
@clinician_required
def values(request: UserRequest, pk: int) -> HttpResponseBase:
    """The film's own values at full depth, as greyscale PNG: those of the detector where they were sent.

    A film that came as a picture has no others than those of the picture.
    """
    shown = get_film_for(request.user, pk)
    audit_log.record(request, AccessLog.Action.SEEN, shown.patient, f"values of film {shown.pk}")
    return picture_response(request, shown.values or shown.file, "image/png")


@require_safe
@clinician_required
def preview(request: UserRequest, pk: int) -> HttpResponseBase:
    """A small copy of the film, for lists. Each list is in the log with its films; what asks without a page is too."""
    shown = get_film_for(request.user, pk)
    response = picture_response(request, shown.thumbnail, "image/jpeg")
    # Browsers say on secure addresses what a picture is for. Without that word it may be looked at by itself.
    if response.status_code == 200 and request.headers.get("Sec-Fetch-Dest") != "image":
        audit_log.record(request, AccessLog.Action.SEEN, shown.patient, f"small picture of film {shown.pk}")
    return response


@require_safe
@clinician_required
def heatmap(request: UserRequest, pk: int) -> HttpResponseBase:
    """Where the model saw evidence of pneumonia: RGBA PNG, to be stretched over the film."""
    prediction = get_prediction_for(request.user, pk)
    if blinding.hides_answer(request.user, prediction.film):
        raise Http404
    return picture_response(request, prediction.heatmap, "image/png")


def _film_context(request: UserRequest, shown: Film) -> dict[str, object]:
    predictions = list(shown.predictions.all())
    wanted = request.GET.get("prediction", "")
    chosen: Prediction | None = next((p for p in predictions if str(p.pk) == wanted), shown.latest_prediction)
    production = versions.production()
    return {
        "film": shown,
        "patient": shown.patient,
        "prediction": chosen,
        "predictions": predictions,
        "can_read_again": production and all(p.model_version_id != production.pk for p in predictions),
        "production": production,
        "source_facts": dicom_details.rows(shown),
        "verdicts": sorted((r for p in predictions for r in p.reviews.all()), key=lambda r: -r.pk),
        "undo": verdicts.undoable(request.user) if "reviewer" in roles_of(request.user) else None,
        "outcomes": [] if any(p.concealed for p in predictions) else shown.outcomes.select_related("by"),
        "priorities": Priority.choices,
    }
