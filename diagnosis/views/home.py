"""The first page after logging in: what is going on in the clinic."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from diagnosis import blinding, reviewqueue, worklist
from diagnosis.models import WorklistRow
from diagnosis.permissions import UserRequest, roles_of, visible_films, visible_patients
from diagnosis.queries import with_predictions

RECENT = 12


@require_safe
def home(request: UserRequest) -> HttpResponse:
    """Show the newest films, and the counts one would ask for."""
    roles = roles_of(request.user)
    if "clinician" not in roles:
        # Logged in, but an administrator has given no role yet: say so instead of an empty page.
        return render(request, "home_no_role.html", status=403)
    mine = visible_films(request.user)
    newest = list(with_predictions(mine.order_by("-pk"))[:RECENT])
    blinding.conceal(request.user, newest)
    return render(
        request,
        "home.html",
        {
            "films": newest,
            "patients": visible_patients(request.user).count(),
            "films_total": mine.count(),
            "waiting": worklist.visible_rows(request.user).filter(state=WorklistRow.State.WAITING).count(),
            "to_review": reviewqueue.count(request.user, reviewqueue.Kind.OLDEST)
            if "reviewer" in roles
            else None,
            "to_review_most": reviewqueue.COUNTED,
        },
    )
