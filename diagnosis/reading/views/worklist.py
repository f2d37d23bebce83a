"""The worklist: all films of the clinic, the most urgent first."""

from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis.core import audit_log
from diagnosis.core.permissions import get_film_for
from diagnosis.models import AccessLog, Film, Priority
from diagnosis.reading import blinding, worklist_page
from diagnosis.reading import worklist as rows
from diagnosis.reading.forms import PriorityForm, WorklistForm
from pneumoweb.accounts.roles import UserRequest, clinician_required

NEW_AT_MOST = 100


@require_safe
@clinician_required
def worklist(request: UserRequest) -> HttpResponse:
    """Find, filter and sort films; htmx gets the table alone."""
    form = WorklistForm(request.GET, blind=blinding.reads_blind(request.user))
    chosen = form.chosen()
    page = worklist_page.page(
        request.user, chosen, request.GET.get("after", ""), request.GET.get("before", "")
    )
    if chosen["q"]:
        audit_log.record_search(request, f"worklist: {chosen['q']}")
    audit_log.record_list(request, "worklist", (line.film for line in page.lines))
    template = (
        "reading/worklist/_table.html"
        if request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
        else "reading/worklist/list.html"
    )
    filters = urlencode({name: value for name, value in chosen.items() if value})
    context = {
        "form": form, "chosen": chosen, "page": page, "filters": filters, "priorities": Priority.choices,
        "most": worklist_page.COUNTED,
    }  # fmt: skip
    return render(request, template, context)


@require_safe
@clinician_required
def news(request: UserRequest) -> HttpResponse:
    """What a page that is being read asks for: how many films are new, and answers of the films that waited there."""
    chosen = WorklistForm(request.GET, blind=blinding.reads_blind(request.user)).chosen()
    since, waiting = keys(request.GET.getlist("since")), keys(request.GET.getlist("waiting"))
    if not since or len(waiting) > worklist_page.SIZE:
        return HttpResponseBadRequest("A place and at most one page of films, please.")
    new = worklist_page.news(request.user, chosen, since[0]).order_by()[:NEW_AT_MOST].count()
    ready = rows.visible_rows(request.user).filter(film__in=waiting).exclude(state="waiting")
    context = {"new": new, "most": NEW_AT_MOST, "lines": worklist_page.lines_of(request.user, list(ready))}
    return render(request, "reading/worklist/_new_rows.html", context)


@require_POST
@clinician_required
def set_priority(request: UserRequest, pk: int) -> HttpResponse:
    """Say how soon the film is to be read."""
    film = get_film_for(request.user, pk)
    form = PriorityForm(request.POST)
    if form.is_valid():
        rows.set_priority(film, form.cleaned_data["priority"])
        what = f"film {pk}: priority {Priority(form.cleaned_data['priority']).label.lower()}"
        audit_log.record(request, AccessLog.Action.CHANGED, film.patient, what)
    return _changed(request, film)


@require_POST
@clinician_required
def assign(request: UserRequest, pk: int) -> HttpResponse:
    """Take the film for oneself, or free it."""
    film = get_film_for(request.user, pk)
    to = request.user if request.POST.get("to") == "me" else None
    rows.assign(film, to)
    audit_log.record(
        request, AccessLog.Action.CHANGED, film.patient, f"film {pk}: assigned to {to or 'nobody'}"[:80]
    )
    return _changed(request, film)


def keys(said: list[str]) -> list[int]:
    """Return the numbers among what was sent."""
    return [int(value) for value in said if value.isascii() and value.isdigit() and len(value) < 19]


def _changed(request: UserRequest, film: Film) -> HttpResponse:
    """The film's row where the worklist asks, else back to the film."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("film", film.pk)
    found = worklist_page.lines_of(request.user, list(rows.visible_rows(request.user).filter(film=film)))
    return render(request, "reading/worklist/_row.html", {"line": found[0], "priorities": Priority.choices})
