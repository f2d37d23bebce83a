"""Rules that tables share."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models
from django.db.models import Q


class AppendOnly(models.QuerySet[Any]):
    """Rows that are written once: what was said stays said."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{self.model.__name__} is append-only: add a new row instead.")

    def delete(self) -> NoReturn:
        raise TypeError(f"{self.model.__name__} is append-only: rows are never deleted.")


class Leased(models.Model):
    """A row that one worker at a time holds (`diagnosis.core.leases`)."""

    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        abstract = True


def leased_while(state: str, running: str, name: str) -> models.CheckConstraint:
    """Return the constraint that a row is leased if and only if its field `state` is `running`."""
    return models.CheckConstraint(
        condition=Q(**{state: running}, lease_token__isnull=False, lease_until__isnull=False)
        | (~Q(**{state: running}) & Q(lease_token__isnull=True, lease_until__isnull=True)),
        name=name,
    )
