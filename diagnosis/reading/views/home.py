"""The first page after logging in: what is going on in the clinic."""

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from diagnosis.core import audit_log, pagination
from diagnosis.core.permissions import visible_patients
from diagnosis.core.querysets import with_predictions
from diagnosis.models import Film, WorklistRow
from diagnosis.reading import blinding, review_queue, worklist, worklist_page
from pneumoweb.accounts.roles import UserRequest, roles_of

RECENT = 12
# Nobody reads a larger number to its last digit, and the database would count for long.
COUNTED = 10_000


@require_safe
def home(request: UserRequest) -> HttpResponse:
    """Show the newest films, and the counts one would ask for."""
    roles = roles_of(request.user)
    if "clinician" not in roles:
        # Logged in, but an administrator has given no role yet: say so instead of an empty page.
        return render(request, "reading/home_no_role.html", status=403)
    # The worklist's rows have the clinic beside each film: nothing has to be joined to count or to sort.
    mine = worklist.visible_rows(request.user)
    newest_rows = pagination.first(worklist.parts(request.user), worklist_page.ORDERS["newest"], RECENT)
    waiting = Q(state=WorklistRow.State.WAITING)
    keys = [row.film_id for row in newest_rows]
    newest = list(with_predictions(Film.objects.filter(pk__in=keys).order_by("-pk")))
    blinding.conceal(request.user, newest)
    audit_log.record_list(request, "newest films", newest)
    return render(
        request,
        "reading/home.html",
        {
            "films": newest,
            "patients": visible_patients(request.user).order_by()[: COUNTED + 1].count(),
            "films_total": mine.order_by()[: COUNTED + 1].count(),
            "waiting": sum(
                part.filter(waiting)[: COUNTED + 1].count() for part in worklist.parts(request.user)
            ),
            "most": COUNTED,
            "to_review": review_queue.count(request.user, review_queue.Kind.OLDEST)
            if "reviewer" in roles
            else None,
            "to_review_most": review_queue.COUNTED,
        },
    )
