"""Monitoring for staff: what is read and how fast, how right it is, whether films change."""

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from diagnosis.core import audit_log
from diagnosis.core.permissions import visible_clinics, visible_films
from diagnosis.core.querysets import with_predictions
from diagnosis.monitoring import drift, performance, rates, throughput
from diagnosis.monitoring.report import Report
from diagnosis.monitoring.scope import PERIODS, USUAL, Scope
from diagnosis.monitoring.tables import TABLES, Table
from diagnosis.reading import blinding
from pneumoweb.accounts.models import Clinic
from pneumoweb.accounts.roles import UserRequest, staff_required

PAGE = 24
REASONS = 12


@dataclass(frozen=True)
class Asked:
    """What the address asks for, within what the user may see."""

    scope: Scope
    clinic: Clinic | None

    @property
    def query(self) -> str:
        clinic = {"clinic": self.clinic.pk} if self.clinic else {}
        return urlencode({"days": self.scope.days, **clinic})


def asked(request: UserRequest) -> Asked:
    """Read `?days=` and `?clinic=`. A clinic that the user may not see does not exist: 404."""
    days, wanted = request.GET.get("days", ""), request.GET.get("clinic", "")
    visible = visible_clinics(request.user)
    clinic = None
    if wanted:
        if not wanted.isdecimal():
            raise Http404
        clinic = get_object_or_404(visible, pk=int(wanted))
    period = int(days) if days in map(str, PERIODS) else USUAL
    if clinic is None and request.user.is_superuser:
        return Asked(Scope(period, None), None)
    return Asked(
        Scope(period, frozenset([clinic.pk] if clinic else visible.values_list("pk", flat=True))), clinic
    )


@require_safe
@staff_required
def overview(request: UserRequest) -> HttpResponse:
    """Everything at once, for one period and one clinic or all that the user may see."""
    wanted = asked(request)
    report = Report(wanted.scope)
    tables = {name: TABLES[name](report) for name in ("films", "times", "agreement", "histograms")}
    context = {
        "report": report,
        "asked": wanted,
        "periods": PERIODS,
        "clinics": visible_clinics(request.user),
        "tables": tables,
        "plots": {name: _plot(table) for name, table in tables.items()},
        "reasons": report.reasons[:REASONS],
        "reasons_more": max(0, len(report.reasons) - REASONS),
        "group_titles": {kind: title for kind, (title, _) in performance.GROUPS.items()},
        "intervals": rates.INTERVALS,
        "enough": rates.ENOUGH,
        "enough_patients": drift.ENOUGH_PATIENTS,
    }
    return render(request, "monitoring/overview.html", context)


@require_safe
@staff_required
def queue(request: UserRequest) -> HttpResponse:
    """The queue at this moment, as the fragment that the page asks for again and again."""
    wanted = asked(request)
    context = {"queue": throughput.queue(wanted.scope), "asked": wanted}
    return render(request, "monitoring/_queue.html", context)


@require_safe
@staff_required
def table(request: UserRequest) -> HttpResponse:
    """One of the page's tables as CSV: `?table=`."""
    wanted, name = asked(request), request.GET.get("table", "")
    if name not in TABLES:
        raise Http404
    response = HttpResponse(
        TABLES[name](Report(wanted.scope)).as_csv(), content_type="text/csv; charset=utf-8"
    )
    file = f"pneumoweb-{name}-{wanted.scope.days}-days-{timezone.localdate():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{file}"'
    return response


@require_safe
@staff_required
def films(request: UserRequest) -> HttpResponse:
    """The reviewed films behind a figure: `?cell=` of the confusion matrix, `?group=` and `?of=` of a kind of film."""
    wanted = asked(request)
    cell, group, of = (request.GET.get(name, "") for name in ("cell", "group", "of"))
    if cell not in ("", *performance.CELLS) or group not in ("", *performance.GROUPS):
        raise Http404
    rows = performance.chosen(performance.judged(wanted.scope), cell, group, of)
    found = {row.film_id for row in rows}
    # To stand in a cell tells both the answer and the label.
    blind = found & set(blinding.kept_from(request.user).values_list("pk", flat=True)) if cell else set()
    keys = sorted(found - blind, reverse=True)
    page = Paginator(keys, PAGE).get_page(request.GET.get("page"))
    shown = list(with_predictions(visible_films(request.user)).filter(pk__in=list(page)).order_by("-pk"))
    blinding.conceal(request.user, shown)
    audit_log.record_list(request, "reviewed films in monitoring", shown)
    return render(
        request,
        "monitoring/films.html",
        {
            "asked": wanted,
            "page": page,
            "films": shown,
            "blind": len(blind),
            "cell": performance.CELLS.get(cell),
            "group": performance.GROUPS[group][0] if group else "",
            "of": of,
            "query": urlencode({"cell": cell, "group": group, "of": of}),
        },
    )


def _plot(table: Table) -> dict[str, object]:
    """A table as the page's script draws it: days as one says them."""
    rows = [[f"{c.day} {c:%b}" if isinstance(c, date) else c for c in row] for row in table.rows]
    return {"columns": table.columns, "rows": rows}
