"""Leases: one worker at a time holds a row of queued work, until it finishes, gives the row back or the lease expires.

Every step is one conditional UPDATE, so of several workers one wins and the others change nothing; no transaction stays
open while a worker computes. Messages to workers may be lost, doubled or late.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from diagnosis.models.base import Leased

Row = TypeVar("Row", bound=Leased)
FREE: dict[str, None] = {"lease_token": None, "lease_until": None}


@dataclass(frozen=True)
class Leases(Generic[Row]):
    """The leases of one table. `seconds` says how long a lease holds without being renewed.

    `state` is the field that is `queued` for work to be claimed and `running` while it is leased. A table whose rows
    have no such field (`state` empty) is claimed whenever no lease holds.
    """

    model: type[Row]
    seconds: Callable[[], float]
    state: str = "state"
    queued: str = "queued"
    running: str = "running"

    def claim(self, wanted: QuerySet[Row], **changes: object) -> uuid.UUID | None:
        """Lease those of `wanted` that are free, at the cost of an attempt; return the token, None on a lost race."""
        token = uuid.uuid4()
        if self.state:
            free = wanted.filter(self._in(self.queued))
            changes |= {self.state: self.running, "attempts": F("attempts") + 1}
        else:
            free = wanted.filter(Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now()))
        won = free.update(lease_token=token, lease_until=self.until(), **changes)
        return token if won else None

    def claimed(self, token: uuid.UUID) -> QuerySet[Row]:
        """Return the rows held under this token."""
        return self._rows().filter(self._in(self.running), lease_token=token)

    def held(self, row: Row) -> QuerySet[Row]:
        """Return the row itself while its lease is still this worker's, else nothing."""
        return self._rows().filter(self._in(self.running), pk=row.pk, lease_token=row.lease_token)

    def renew(self, row: Row, **changes: object) -> bool:
        """Extend the lease; return False where another worker has the row by now."""
        return bool(self.held(row).update(lease_until=self.until(), **changes))

    def release(self, row: Row, state: str = "", **changes: object) -> bool:
        """End the lease and leave the row in `state`; return False where another worker has the row by now."""
        if state:
            changes[self.state] = state
        return bool(self.held(row).update(**FREE, **changes))

    def requeue(self, row: Row, **changes: object) -> bool:
        """Put the row back into the queue; the attempt counts."""
        return self.release(row, self.queued, **changes)

    def give_back(self, row: Row, **changes: object) -> bool:
        """Put the row back as it was before the claim: nothing went wrong with it, so no attempt is counted."""
        return self.requeue(row, attempts=F("attempts") - 1, **changes)

    def retry_or_fail(self, row: Row, attempts: int, failed: str, **failure: object) -> bool:
        """Requeue the row, or leave it in the state `failed` after so many attempts; return whether it failed."""
        if row.attempts >= attempts:  # type: ignore[attr-defined]
            self.release(row, failed, **failure)
            return True
        self.requeue(row)
        return False

    def expired(self) -> QuerySet[Row]:
        """Return rows whose worker neither finished nor renewed its lease in time."""
        return self._rows().filter(self._in(self.running), lease_until__lt=timezone.now())

    def until(self) -> datetime:
        """Return when a lease taken or renewed now expires."""
        return timezone.now() + timedelta(seconds=self.seconds())

    def _in(self, state: str) -> Q:
        return Q((self.state, state)) if self.state else Q()

    def _rows(self) -> QuerySet[Row]:
        return self.model._default_manager.all()
