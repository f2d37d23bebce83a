"""How the reviewers of a clinic agree."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from diagnosis.reading import readers as people
from pneumoweb.accounts.roles import UserRequest, reviewer_required, roles_of

DAYS = 365


@require_safe
@reviewer_required
def readers(request: UserRequest) -> HttpResponse:
    """Readings, agreement and changed minds of the last year: staff see every reader, a reviewer their own line."""
    found, overall = people.summary(request.user, DAYS)
    if "staff" not in roles_of(request.user):
        found = [reader for reader in found if reader.user == request.user]
    return render(
        request, "reading/review/readers.html", {"readers": found, "overall": overall, "days": DAYS}
    )
