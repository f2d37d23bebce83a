"""Is the candidate better? Evaluations and their films."""

from typing import Any

from django.contrib import messages
from django.db.models import F, Q
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis.core import audit_log, queue
from diagnosis.core.permissions import visible_films
from diagnosis.models import Evaluation, EvaluationFilm, ModelVersion
from diagnosis.promotion import evaluation as comparison
from diagnosis.reading import blinding
from ml.images.errors import ImageError
from ml.images.radiograph import to_png
from pneumoweb.accounts.roles import UserRequest, staff_required

SHOWN_AT_MOST = 200
SIDES = (("production", "Production"), ("candidate", "Candidate"))


@require_POST
@staff_required
def start(request: UserRequest, pk: int) -> HttpResponse:
    """Queue a comparison with the version in production."""
    candidate = get_object_or_404(ModelVersion, pk=pk)
    try:
        asked = comparison.request(candidate, request.user)
    except comparison.CannotEvaluate as error:
        messages.error(request, str(error))
        return redirect("model_gate", pk)
    queue.notify_worker(queue.EVALUATE)
    return redirect("evaluation", asked.pk)


@require_safe
@staff_required
def detail(request: UserRequest, pk: int) -> HttpResponse:
    """Both versions side by side, and the films on which they differ; htmx gets the state alone until it is final."""
    shown = get_object_or_404(Evaluation.objects.select_related("candidate", "production", "by"), pk=pk)
    context: dict[str, Any] = {"evaluation": shown, **progress(shown)}
    if request.htmx and not request.htmx.boosted:  # type: ignore[attr-defined]
        response = render(request, "promotion/_progress.html", context)
        if shown.is_final:
            response["HX-Refresh"] = "true"
        return response
    if shown.state == Evaluation.State.SUCCEEDED:
        context |= {
            "parts": parts(shown),
            "known": sum(shown.figures.get("known", {}).values()),
            "films": films(request, shown),
            "corrected": shown.figures["corrected"],
            "sides": SIDES,
        }
        rows = [*context["films"]["differ"], *context["films"]["corrected"]]
        named = {row.film.pk: row.film for row in rows if row.film}
        audit_log.record_list(request, f"films of evaluation {pk}", named.values())
    return render(request, "promotion/evaluation.html", context)


@require_safe
@staff_required
def base_picture(request: UserRequest, pk: int) -> HttpResponseBase:
    """A film of the base folder, which has no patient of the site: as greyscale PNG."""
    row = get_object_or_404(EvaluationFilm, pk=pk, part=EvaluationFilm.Part.BASE)
    try:
        picture = to_png(comparison.radiograph_of(row))
    except (OSError, ImageError) as error:
        raise Http404 from error
    response = HttpResponse(picture, content_type="image/png")
    response["Cache-Control"] = "private, no-cache"
    return response


def progress(evaluation: Evaluation) -> dict[str, int]:
    total = evaluation.films.count()
    return {"total": total, "done": total - evaluation.films.filter(candidate_said="").count()}


def parts(evaluation: Evaluation) -> list[dict[str, object]]:
    """The parts of the holdout that hold films, with their names."""
    found = evaluation.figures["parts"]
    return [
        {"key": key, "name": EvaluationFilm.Part(key).label, **part}
        for key, part in found.items()
        if part["films"]
    ]


def films(request: UserRequest, evaluation: Evaluation) -> dict[str, object]:
    """Films on which the two differ, and errors corrected before. Of other clinics, and of films that the user may
    still have to read blind, only their number."""
    rows = evaluation.films.defer("candidate_receipt").select_related("film__patient", "film__study")
    mine = rows.filter(film__in=visible_films(request.user)) | rows.filter(part=EvaluationFilm.Part.BASE)
    holdout = ~Q(part=EvaluationFilm.Part.CORRECTED)
    kinds = {"differ": holdout & ~Q(candidate_said=F("production_said")), "corrected": Q(corrected=True)}
    found: dict[str, object] = {}
    for name, kind in kinds.items():
        shown = mine.filter(kind).exclude(film__in=blinding.kept_from(request.user))
        of_clinic = mine.filter(kind).count()
        found |= {
            name: shown[:SHOWN_AT_MOST],
            f"{name}_blind": of_clinic - shown.count(),
            f"{name}_elsewhere": rows.filter(kind).count() - of_clinic,
        }
    return found
