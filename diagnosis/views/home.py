"""The first page after logging in: what is going on in the clinic."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from diagnosis import audit, blinding, reviewqueue, worklist
from diagnosis.models import Film, WorklistRow
from diagnosis.permissions import UserRequest, roles_of, visible_patients
from diagnosis.queries import with_predictions

RECENT = 12


@require_safe
def home(request: UserRequest) -> HttpResponse:
    """Show the newest films, and the counts one would ask for."""
    roles = roles_of(request.user)
    if "clinician" not in roles:
        # Logged in, but an administrator has given no role yet: say so instead of an empty page.
        return render(request, "home_no_role.html", status=403)
    # The worklist's rows have the clinic beside each film: nothing has to be joined to count or to sort.
    mine = worklist.visible_rows(request.user)
    keys = list(mine.order_by("-requested_at", "-film").values_list("film", flat=True)[:RECENT])
    newest = list(with_predictions(Film.objects.filter(pk__in=keys).order_by("-pk")))
    blinding.conceal(request.user, newest)
    audit.record_list(request, "newest films", newest)
    return render(
        request,
        "home.html",
        {
            "films": newest,
            "patients": visible_patients(request.user).count(),
            "films_total": mine.count(),
            "waiting": mine.filter(state=WorklistRow.State.WAITING).count(),
            "to_review": reviewqueue.count(request.user, reviewqueue.Kind.OLDEST)
            if "reviewer" in roles
            else None,
            "to_review_most": reviewqueue.COUNTED,
        },
    )
