"""What every page knows."""

from typing import Any

from django.http import HttpRequest

from pneumoweb.accounts.roles import roles_of


def site(request: HttpRequest) -> dict[str, Any]:
    """The roles of the user, for menus; gates are in the views."""
    user = getattr(request, "user", None)
    return {"roles": roles_of(user) if user is not None and user.is_authenticated else set()}
