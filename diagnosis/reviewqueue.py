"""Which film a reviewer is given next."""

from dataclasses import dataclass

from django.db import models
from django.db.models import Q, QuerySet

from diagnosis import blinding, loans, worklist
from diagnosis.models import WorklistRow
from pneumoweb.accounts.models import User

CONFIDENT = 0.35
TRIES = 5
COUNTED = 500


class Kind(models.TextChoices):
    """In which order films are given."""

    OLDEST = "oldest", "Longest waiting"
    UNCERTAIN = "uncertain", "Least certain"
    DISPUTED = "disputed", "Disagreements"
    CONFIDENT = "confident", "Sample of the certain"


@dataclass(frozen=True)
class Order:
    """Which rows a kind takes, and how they follow each other."""

    which: Q
    by: tuple[str, ...]


OPEN = Q(reading=WorklistRow.Reading.OPEN)
# What waits for several readers has waited longest, so it comes in the same order as what waits for the first.
OLDEST = ("-priority", "requested_at", "film")
ORDERS = {
    Kind.OLDEST: [
        Order(OPEN, OLDEST),
        Order(Q(reading=WorklistRow.Reading.SECOND), OLDEST),
        Order(Q(reading=WorklistRow.Reading.DIFFER), OLDEST),
    ],
    Kind.UNCERTAIN: [Order(OPEN, ("doubt", "film"))],
    Kind.DISPUTED: [Order(Q(disputed=True), ("requested_at", "film"))],
    Kind.CONFIDENT: [Order(OPEN & Q(doubt__gte=CONFIDENT), ("draw", "film"))],
}


def kinds_for(user: User) -> list[Kind]:
    """Return the kinds the user may choose from. Who reads blind gets one: the others would tell of the answer."""
    return [Kind.OLDEST] if blinding.reads_blind(user) else list(Kind)


def parts(user: User, kind: Kind) -> list[QuerySet[WorklistRow]]:
    """Return the films of a kind that the user could be given, each part in the order of one index."""
    due = (
        worklist.visible_rows(user)
        .filter(state=WorklistRow.State.ANSWERED)
        .filter(worklist.not_reviewed_by(user), loans.free_for(user))
    )
    return [due.filter(order.which).order_by(*order.by) for order in ORDERS[kind]]


def upcoming(user: User, kind: Kind, most: int) -> list[WorklistRow]:
    """Return the next films of a kind."""
    found = [row for part in parts(user, kind) for row in part[:most]]
    if kind == Kind.OLDEST:
        found.sort(key=lambda row: (-row.priority, row.requested_at, row.film_id))
    return found[:most]


def count(user: User, kind: Kind, most: int = COUNTED) -> int:
    """Count the films of a kind, but not beyond `most`: nobody reads the difference."""
    return min(most, sum(part.order_by()[:most].count() for part in parts(user, kind)))


def take_next(user: User, kind: Kind) -> int | None:
    """Lend the next film to the user and return its key; None where none is left."""
    for _ in range(TRIES):
        following = upcoming(user, kind, 1)
        if not following:
            return None
        if loans.lend(user, following[0].film_id):
            return following[0].film_id
    return None
