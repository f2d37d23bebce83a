"""Roles: who acts in which, and decorators that allow only users with a role."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from pneumoweb.accounts.models import Role, User

P = ParamSpec("P")


class UserRequest(HttpRequest):
    """A request behind LoginRequiredMiddleware: its user is a real one."""

    user: User


View = Callable[Concatenate[UserRequest, P], HttpResponseBase]


def roles_of(user: User) -> set[str]:
    """Return the roles a user acts in: each role includes those below it."""
    # Looked up once a request; the answer lives on the user object of that request.
    if not hasattr(user, "_roles"):
        groups = set(user.groups.values_list("name", flat=True)) if user.is_authenticated else set()
        roles: set[str] = set()
        if user.is_superuser:
            roles.add("administrator")
        if user.is_superuser or user.is_staff:
            roles.add("staff")
        if roles or Role.REVIEWER in groups:
            roles.add(Role.REVIEWER.value)
        if roles or Role.CLINICIAN in groups:
            roles.add(Role.CLINICIAN.value)
        user._roles = roles  # type: ignore[attr-defined]
    found: set[str] = user._roles  # type: ignore[attr-defined]
    return found


def require(role: str) -> Callable[[View[P]], View[P]]:
    """Let a view answer only users who act in `role`; others get 403."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: UserRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if role not in roles_of(request.user):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate


clinician_required: Callable[[Any], Any] = require(Role.CLINICIAN)

reviewer_required: Callable[[Any], Any] = require(Role.REVIEWER)

staff_required: Callable[[Any], Any] = require("staff")

administrator_required: Callable[[Any], Any] = require("administrator")


def create_role_groups(using: str, **_: object) -> None:
    """Create the groups that give a role: after every migration, and after a flush of the database."""
    for role in Role.values:
        Group.objects.using(using).get_or_create(name=role)
