"""Training runs for staff: what data there are, a run asked for, watched, cancelled, and its manifest."""

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diagnosis.core import audit_log, queue
from diagnosis.core.permissions import visible_films
from diagnosis.datasets import manifest
from diagnosis.models import NearIdentical, SplitGroup, TrainingRun
from diagnosis.reading import blinding
from diagnosis.training import runs as training_runs
from diagnosis.training.forms import RunForm
from ml.data.dataset import LABELS
from pneumoweb.accounts.roles import UserRequest, staff_required

SHOWN = 50


@require_http_methods(["GET", "HEAD", "POST"])
@staff_required
def runs(request: UserRequest) -> HttpResponse:
    """All runs, the films there are, and the form for a new one."""
    form = RunForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                run = training_runs.request(request.user, **form.cleaned_data)
                transaction.on_commit(queue.notify_training_worker)
        except training_runs.NotPossible as error:
            form.add_error(None, str(error))
        else:
            return redirect("training_run", run.pk)
    outlook = manifest.outlook()
    context = {
        "form": form,
        "runs": TrainingRun.objects.select_related("by", "initial", "version")[:SHOWN],
        "outlook": outlook,
        "table": _table(outlook),
        "shares": SplitGroup.Share.choices,
        **_suspicions(request),
    }
    pairs = context["suspicions"]
    alike = {film.pk: film for pair in pairs for film in (pair.film, pair.other) if film}
    audit_log.record_list(request, "near-identical films", alike.values())
    return render(request, "training/list.html", context, status=422 if form.is_bound else 200)


@require_safe
@staff_required
def run(request: UserRequest, pk: int) -> HttpResponse:
    """One run: how far it is, its curves, its log, and what came out."""
    context = _about(request, pk)
    films = visible_films(request.user).filter(
        pk__in=[row["film"] for row in context["doubted"] if "film" in row]
    )
    audit_log.record_list(request, f"films that run {pk} doubts", films.only("patient"))
    return render(request, "training/run.html", context)


@require_safe
@staff_required
def status(request: UserRequest, pk: int) -> HttpResponse:
    """The part of the page that changes while a run goes on."""
    return render(request, "training/_status.html", _about(request, pk))


@require_POST
@staff_required
def cancel(request: UserRequest, pk: int) -> HttpResponse:
    """End a run that has not ended."""
    chosen = get_object_or_404(TrainingRun, pk=pk)
    if training_runs.cancel(chosen, request.user):
        messages.success(request, f"{chosen} is being ended. No version comes out of it.")
    else:
        messages.error(request, f"{chosen} has ended already.")
    return redirect("training_run", pk)


@require_safe
@staff_required
def manifest_file(request: UserRequest, pk: int) -> HttpResponse:
    """The frozen list of films as CSV: keys, labels and hashes, no names.

    Who may still read some of the films blind gets it without these films' labels; it is not the frozen file then.
    """
    chosen = get_object_or_404(TrainingRun, pk=pk)
    if not chosen.manifest:
        raise Http404
    audit_log.record_list(request, f"manifest of run {pk}", sha256=chosen.manifest_sha256)
    name = f"run-{pk}-manifest.csv"
    with chosen.manifest.open("rb") as file:
        content = file.read()
    shown = _without_labels(request, content)
    response = HttpResponse(shown, content_type="text/csv")
    response["Content-Disposition"] = (
        f'attachment; filename="{name if shown == content else f"blind-{name}"}"'
    )
    return response


def _without_labels(request: UserRequest, content: bytes) -> bytes:
    hidden = set(blinding.kept_from(request.user).values_list("pk", flat=True))
    entries = manifest.from_csv(content) if hidden else []
    if not any(entry.film in hidden for entry in entries):
        return content
    nothing: dict[str, Any] = {"source": "", "label": "", "confirmed_by": None, "confirmed_at": ""}
    return manifest.as_csv(
        [replace(entry, **nothing) if entry.film in hidden else entry for entry in entries]
    )


def _about(request: UserRequest, pk: int) -> dict[str, Any]:
    chosen = get_object_or_404(
        TrainingRun.objects.select_related("by", "cancelled_by", "initial", "version"), pk=pk
    )
    doubted = chosen.disagreements
    films = visible_films(request.user).filter(pk__in=[row["film"] for row in doubted if "film" in row])
    ours = set(films.values_list("pk", flat=True))
    # A doubt tells the label, and what to think of it: nothing for who may still read the film blind.
    blind = set(films.filter(pk__in=blinding.kept_from(request.user)).values_list("pk", flat=True))
    shown = [row for row in doubted if "base" in row or row["film"] in ours - blind]
    return {
        "run": chosen,
        "curves": {"history": chosen.history, "epochs": chosen.epochs},
        "data": _frozen_table(chosen.data),
        "shares": SplitGroup.Share.choices,
        "doubted": shown[:SHOWN],
        "doubted_count": len(shown),
        "doubted_blind": len(blind),
        "doubted_elsewhere": len(doubted) - len(shown) - len(blind),
    }


def _table(outlook: manifest.Outlook) -> list[dict[str, Any]]:
    """One row a class: (reviewed, base) films in each share."""
    shares = SplitGroup.Share.values
    return [
        {
            "label": label.capitalize(),
            "cells": [(outlook.reviewed[share, label], outlook.base[share, label]) for share in shares],
        }
        for label in LABELS
    ]


def _frozen_table(data: dict[str, int]) -> list[dict[str, Any]]:
    shares = SplitGroup.Share.values
    rows = [
        {"label": label.capitalize(), "cells": [data.get(f"{share} {label}", 0) for share in shares]}
        for label in LABELS
    ]
    return rows if data else []


def _suspicions(request: UserRequest) -> dict[str, Any]:
    """Near-identical films that the user may see, and how many pairs there are of other clinics."""
    ours = visible_films(request.user)
    pairs = NearIdentical.objects.all()
    visible = pairs.filter(Q(other__in=ours) | Q(other=None), film__in=ours)
    named = "film__patient__split_entry__group", "other__patient__split_entry__group"
    return {
        "suspicions": visible.select_related(*named)[:SHOWN],
        "suspicions_elsewhere": pairs.count() - visible.count(),
    }
