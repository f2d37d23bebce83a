"""The first page after logging in: what is going on in the clinic."""

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from diagnosis import audit, blinding, places, reviewqueue, worklist, worklistpage
from diagnosis.models import Film, WorklistRow
from diagnosis.permissions import UserRequest, roles_of, visible_patients
from diagnosis.queries import with_predictions

RECENT = 12
# Nobody reads a larger number to its last digit, and the database would count for long.
COUNTED = 10_000


@require_safe
def home(request: UserRequest) -> HttpResponse:
    """Show the newest films, and the counts one would ask for."""
    roles = roles_of(request.user)
    if "clinician" not in roles:
        # Logged in, but an administrator has given no role yet: say so instead of an empty page.
        return render(request, "home_no_role.html", status=403)
    # The worklist's rows have the clinic beside each film: nothing has to be joined to count or to sort.
    mine = worklist.visible_rows(request.user)
    newest_rows = places.first(worklist.parts(request.user), worklistpage.ORDERS["newest"], RECENT)
    waiting = Q(state=WorklistRow.State.WAITING)
    keys = [row.film_id for row in newest_rows]
    newest = list(with_predictions(Film.objects.filter(pk__in=keys).order_by("-pk")))
    blinding.conceal(request.user, newest)
    audit.record_list(request, "newest films", newest)
    return render(
        request,
        "home.html",
        {
            "films": newest,
            "patients": visible_patients(request.user).order_by()[: COUNTED + 1].count(),
            "films_total": mine.order_by()[: COUNTED + 1].count(),
            "waiting": sum(
                part.filter(waiting)[: COUNTED + 1].count() for part in worklist.parts(request.user)
            ),
            "most": COUNTED,
            "to_review": reviewqueue.count(request.user, reviewqueue.Kind.OLDEST)
            if "reviewer" in roles
            else None,
            "to_review_most": reviewqueue.COUNTED,
        },
    )
