"""One page of the worklist: filters, an order, and the rows behind a place in it instead of a page's number.

A numbered page must count and skip all rows before it; a place is found in the index at once, and no film is shown
twice or left out when others come in between (keyset pagination).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from diagnosis import blinding, worklist
from diagnosis.models import Film, WorklistRow
from diagnosis.permissions import visible_films, visible_patients
from diagnosis.queries import with_predictions
from pneumoweb.accounts.models import User

SIZE = 50
COUNTED = 1000
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


def filtered(user: User, chosen: dict[str, str]) -> QuerySet[WorklistRow]:
    """Return the rows that the chosen filters leave."""
    rows = worklist.visible_rows(user).filter(SHOWN[chosen["show"]]())
    for name in ("state", "priority"):
        if chosen.get(name):
            rows = rows.filter(**{name: chosen[name]})
    if chosen.get("answer"):
        rows = rows.filter(label=chosen["answer"])
    if chosen.get("assigned"):
        rows = rows.filter(assigned_to=user if chosen["assigned"] == "me" else None)
    words = chosen.get("q", "").split()
    if words:
        patients = visible_patients(user)
        for word in words:
            patients = patients.filter(Q(name__icontains=word) | Q(mrn__icontains=word))
        rows = rows.filter(patient__in=patients.values("pk"))
    return rows


SHOWN = {
    "todo": lambda: Q(todo=True),
    "all": Q,
    "done": lambda: Q(todo=False),
    "overdue": worklist.overdue,
    "second": lambda: Q(todo=True, reading=WorklistRow.Reading.SECOND),
    "differ": lambda: Q(todo=True, reading=WorklistRow.Reading.DIFFER),
}


def page(user: User, chosen: dict[str, str], after: str = "", before: str = "") -> Page:
    """Return the rows behind the place `after`, or those before the place `before`, or the first ones."""
    rows, order = filtered(user, chosen), order_of(user, chosen)
    count = rows.order_by()[: COUNTED + 1].count()
    backwards = bool(before)
    direction = tuple(turned(name) for name in order) if backwards else order
    place = read_place(before or after, order)
    if place:
        rows = rows.filter(beyond(direction, place))
    found = list(rows.order_by(*direction)[: SIZE + 1])
    more = len(found) > SIZE
    found = found[:SIZE][::-1] if backwards else found[:SIZE]
    return Page(
        lines=lines_of(user, found),
        before=place_of(found[0], order) if found and (more if backwards else place is not None) else "",
        after=place_of(found[-1], order) if found and (more or backwards) else "",
        count=count,
        newest=worklist.visible_rows(user).order_by("-film_id").values_list("film_id", flat=True).first()
        or 0,
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


def turned(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def beyond(order: tuple[str, ...], place: list[Any]) -> Q:
    """Rows that follow the place in this order. The first term alone lets the database begin in the index."""
    signs = ["lt" if name.startswith("-") else "gt" for name in order]
    names = [name.lstrip("-") for name in order]
    follows = Q()
    for n, (name, sign) in enumerate(zip(names, signs, strict=True)):
        same = Q(**dict(zip(names[:n], place[:n], strict=True)))
        follows |= same & Q(**{f"{name}__{sign}": place[n]})
    return Q(**{f"{names[0]}__{signs[0]}e": place[0]}) & follows


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
