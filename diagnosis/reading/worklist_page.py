"""One page of the worklist: filters, an order, and the rows behind a place in it (see `diagnosis.core.pagination`).

Filters are answered in one of two ways, as no index can have them all. Where they leave few films, these are found by
the rarest of them and sorted. Where they leave many, the films are gone through in the wanted order, which soon finds
a page of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from diagnosis.core import pagination, querysets
from diagnosis.core.pagination import beside
from diagnosis.core.permissions import visible_films
from diagnosis.core.querysets import with_predictions
from diagnosis.models import Film, Prediction, Priority, WorklistRow
from diagnosis.reading import blinding, worklist
from pneumoweb.accounts.models import User

SIZE = 50
COUNTED = 1000
FEW = 1000
# Each ends with the film, so that no two rows have the same place. A minus means: from high to low.
ORDERS = {
    "urgency": ("-urgency", "-film_id"),
    "blind": ("-priority", "requested_at", "film_id"),
    "suspicion": ("-suspicion", "-film_id"),
    "newest": ("-requested_at", "-film_id"),
    "oldest": ("requested_at", "film_id"),
}


@dataclass(frozen=True)
class Line:
    """A row with the film that it stands for."""

    row: WorklistRow
    film: Film

    @property
    def overdue(self) -> bool:
        return worklist.is_overdue(self.row, self.film.latest_prediction)


@dataclass(frozen=True)
class Page:
    """The lines, the places before and behind them, and how many films there are: at most COUNTED are counted."""

    lines: list[Line] = field(default_factory=list)
    before: str = ""
    after: str = ""
    count: int = 0
    newest: int = 0

    @property
    def many(self) -> bool:
        return self.count > COUNTED


def conditions(user: User, chosen: dict[str, str]) -> list[Q]:
    """Return what the chosen filters ask for, the one first that leaves the fewest films as a rule."""
    asked: list[tuple[bool, Q]] = []
    if chosen.get("assigned"):
        mine = chosen["assigned"] == "me"
        asked.append((mine, Q(assigned_to=user if mine else None)))
    if chosen.get("state"):
        asked.append((chosen["state"] != WorklistRow.State.ANSWERED, Q(state=chosen["state"])))
    if chosen["show"] in READINGS:
        asked.append((True, Q(reading=READINGS[chosen["show"]])))
    if chosen["show"] == "overdue":
        asked.append((True, worklist.overdue()))
    if chosen.get("priority"):
        asked.append((chosen["priority"] != str(Priority.ROUTINE), Q(priority=chosen["priority"])))
    if chosen.get("answer"):
        asked.append((chosen["answer"] == Prediction.Label.PNEUMONIA, Q(label=chosen["answer"])))
    return [condition for _, condition in sorted(asked, key=lambda each: not each[0])]


READINGS = {"second": WorklistRow.Reading.SECOND, "differ": WorklistRow.Reading.DIFFER}


def waits(chosen: dict[str, str]) -> Q:
    """Whether a reading is still to come, as `show` asks."""
    return Q() if chosen["show"] == "all" else worklist.todo(chosen["show"] != "done")


def filtered(user: User, chosen: dict[str, str]) -> QuerySet[WorklistRow]:
    """Return the rows that the chosen filters leave, quick to find where they are few."""
    lead, *others = [*conditions(user, chosen), Q()]
    words = chosen.get("q", "").split()
    if not words:
        # What waits for a second reader or an adjudicator is found by that; that it waits says nothing more.
        wait = beside(waits(chosen)) if chosen["show"] in READINGS else waits(chosen)
        return worklist.visible_rows(user).filter(wait, lead, *map(beside, others))
    found = querysets.matching(user, words)
    few = list(found.values_list("pk", flat=True)[: FEW + 1])
    rest = [beside(each) for each in (waits(chosen), lead, *others)]
    if len(few) <= FEW:
        return WorklistRow.objects.filter(*rest, patient__in=few)
    return worklist.visible_rows(user).filter(*rest, Exists(found.filter(pk=OuterRef("patient"))))


def looked_through(user: User, chosen: dict[str, str]) -> list[Q]:
    """Return all conditions but `waits`, for rows that something else has found already."""
    rest = [beside(each) for each in conditions(user, chosen)]
    words = chosen.get("q", "").split()
    if words:
        rest.append(Q(Exists(querysets.matching(user, words).filter(pk=OuterRef("patient")))))
    return rest


def in_order(user: User, chosen: dict[str, str]) -> list[QuerySet[WorklistRow]]:
    """Return the same rows, quick to go through in order; one part a clinic."""
    rest = looked_through(user, chosen)
    return [part.filter(waits(chosen), *rest) for part in worklist.parts(user)]


def news(user: User, chosen: dict[str, str], since: int) -> QuerySet[WorklistRow]:
    """Return the filtered rows of films that came after that one (key)."""
    rest = [beside(waits(chosen)), *looked_through(user, chosen)]
    if not user.is_superuser:
        rest.append(beside(Q(clinic=user.clinic_id)))
    return WorklistRow.objects.filter(*rest, film__gt=since)


def page(user: User, chosen: dict[str, str], after: str = "", before: str = "") -> Page:
    """Return the rows behind the place `after`, or those before the place `before`, or the first ones."""
    order = order_of(user, chosen)
    keys = list(filtered(user, chosen).order_by().values_list("film", flat=True)[: COUNTED + 1])
    many = len(keys) > COUNTED
    parts = in_order(user, chosen) if many else [WorklistRow.objects.filter(film__in=keys)]
    found = pagination.cut(parts, order, SIZE, read_place(before or after, order), backwards=bool(before))
    return Page(
        lines=lines_of(user, found.rows),
        before=place_of(found.rows[0], order) if found.has_before else "",
        after=place_of(found.rows[-1], order) if found.has_after else "",
        count=len(keys),
        newest=WorklistRow.objects.order_by("-film").values_list("film", flat=True).first() or 0,
    )


def lines_of(user: User, rows: list[WorklistRow]) -> list[Line]:
    """Return the rows with their films; what the user may not see yet is empty there."""
    films = {
        film.pk: film
        for film in with_predictions(visible_films(user).filter(pk__in=[r.film_id for r in rows]))
    }
    blinding.conceal(user, films.values())
    return [Line(row, films[row.film_id]) for row in rows if row.film_id in films]


def order_of(user: User, chosen: dict[str, str]) -> tuple[str, ...]:
    if chosen["sort"] == "urgency" and blinding.reads_blind(user):
        return ORDERS["blind"]
    return ORDERS[chosen["sort"]]


def place_of(row: WorklistRow, order: tuple[str, ...]) -> str:
    """Say a row's place in the order, for an address."""
    values = (getattr(row, name.lstrip("-")) for name in order)
    return "~".join(value.isoformat() if isinstance(value, datetime) else repr(value) for value in values)


def read_place(said: str, order: tuple[str, ...]) -> list[Any] | None:
    """Return the values of a place, None for what is none: then the list begins at its beginning."""
    values = said.split("~")
    if len(values) != len(order):
        return None
    readers: dict[str, Callable[[str], Any]] = {"requested_at": _moment, "urgency": float, "suspicion": float}
    try:
        return [readers.get(name.lstrip("-"), _key)(value) for name, value in zip(order, values, strict=True)]
    except ValueError:
        return None


def _moment(said: str) -> datetime:
    moment = datetime.fromisoformat(said)
    if moment.tzinfo is None or not 2000 <= moment.year <= 2200:
        raise ValueError(said)
    return moment


def _key(said: str) -> int:
    key = int(said)
    if not 0 <= key < 2**62:
        raise ValueError(said)
    return key
