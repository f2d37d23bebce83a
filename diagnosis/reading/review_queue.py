"""Which film a reviewer is given next."""

from dataclasses import dataclass

from django.db import models
from django.db.models import Q, QuerySet

from diagnosis.core import pagination
from diagnosis.models import WorklistRow
from diagnosis.reading import blinding, locks, worklist
from pneumoweb.accounts.models import User

CONFIDENT = 0.35
AT_ONCE = 10
COUNTED = 500


class Kind(models.TextChoices):
    """In which order films are given."""

    OLDEST = "oldest", "Longest waiting"
    UNCERTAIN = "uncertain", "Least certain"
    DISPUTED = "disputed", "Disagreements"
    CONFIDENT = "confident", "Sample of the certain"


@dataclass(frozen=True)
class Order:
    """Which rows a kind takes, in parts of which each is one reach into an index, and how they follow each other."""

    which: tuple[Q, ...]
    by: pagination.Order


OPEN = Q(reading=WorklistRow.Reading.OPEN)
SECOND = Q(reading=WorklistRow.Reading.SECOND)
DIFFER = Q(reading=WorklistRow.Reading.DIFFER)
# As a list of one: Django writes an equal truth value as a bare column, for which SQLite uses no index.
DISPUTED = Q(disputed__in=[True])
ORDERS = {
    # What waits for several readers has waited longest, so it comes in the same order as what waits for the first.
    Kind.OLDEST: Order((OPEN, SECOND, DIFFER), ("-priority", "requested_at", "film_id")),
    Kind.UNCERTAIN: Order((OPEN,), ("doubt", "film_id")),
    Kind.DISPUTED: Order((DISPUTED,), ("requested_at", "film_id")),
    Kind.CONFIDENT: Order((OPEN & pagination.beside(Q(doubt__gte=CONFIDENT)),), ("draw", "film_id")),
}


def kinds_for(user: User) -> list[Kind]:
    """Return the kinds the user may choose from. Who reads blind gets one: the others would tell of the answer."""
    return [Kind.OLDEST] if blinding.reads_blind(user) else list(Kind)


def parts(user: User, kind: Kind) -> list[QuerySet[WorklistRow]]:
    """Return the films of a kind that the user could be given, each part quick in the order of one index."""
    due = [
        part.filter(worklist.not_reviewed_by(user), locks.free_for(user), state=WorklistRow.State.ANSWERED)
        for part in worklist.parts(user)
    ]
    return [part.filter(which) for which in ORDERS[kind].which for part in due]


def upcoming(user: User, kind: Kind, most: int) -> list[WorklistRow]:
    """Return the next films of a kind."""
    return pagination.first(parts(user, kind), ORDERS[kind].by, most)


def count(user: User, kind: Kind, most: int = COUNTED) -> int:
    """Count the films of a kind, but not beyond `most`: nobody reads the difference."""
    return min(most, sum(part[:most].count() for part in parts(user, kind)))


def take_next(user: User, kind: Kind) -> int | None:
    """Lend the next film to the user and return its key; None where none is left."""
    # Others take the same films at the same moment: what is lost to them is no longer upcoming, so this ends.
    while following := upcoming(user, kind, AT_ONCE):
        for row in following:
            if locks.lend(user, row.film_id):
                return row.film_id
    return None
