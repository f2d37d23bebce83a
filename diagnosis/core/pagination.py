"""Pages of long lists: the rows behind a place in an order, instead of a page's number (keyset pagination).

A numbered page must count and skip all rows before it; a place is found in the index at once, and nothing is shown
twice or left out when other rows come in between. An order is a tuple of field names, a minus in front means from high
to low; its last field differs for every row, so that no two rows have the same place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

Order = tuple[str, ...]
T = TypeVar("T", bound=Model)


@dataclass(frozen=True)
class Cut(Generic[T]):
    """The rows of one page, and whether there are pages before and behind it."""

    rows: list[T]
    has_before: bool
    has_after: bool


def cut(
    parts: Iterable[QuerySet[T]], order: Order, size: int, place: Sequence[Any] | None, backwards: bool
) -> Cut[T]:
    """Return the rows that follow the place, or those before it; the first ones where there is no place."""
    direction = tuple(turned(name) for name in order) if backwards else order
    if place:
        parts = [part.filter(beyond(direction, place)) for part in parts]
    found = first(parts, direction, size + 1)
    more = len(found) > size
    found = found[:size][::-1] if backwards else found[:size]
    return Cut(
        rows=found,
        has_before=bool(found) and (more if backwards else place is not None),
        has_after=bool(found) and (more or backwards),
    )


def first(parts: Iterable[QuerySet[T]], order: Order, most: int) -> list[T]:
    """Return the first rows of several querysets together; none of their rows is in two of them.

    Each part can then be in the order of an index of its own, such as those of the clinics of an administrator.
    """
    found = [list(part.order_by(*order)[:most]) for part in parts]
    if len(found) == 1:
        return found[0]
    merged = [row for rows in found for row in rows]
    # A sort keeps what it finds equal in place, so the last field goes first.
    for name in reversed(order):
        merged.sort(key=attrgetter(name.lstrip("-")), reverse=name.startswith("-"))
    return merged[:most]


def turned(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def beyond(order: Order, place: Sequence[Any]) -> Q:
    """Rows that follow the place in this order. The first term alone lets the database begin in the index."""
    signs = ["lt" if name.startswith("-") else "gt" for name in order]
    names = [name.lstrip("-") for name in order]
    follows = Q()
    for n, (name, sign) in enumerate(zip(names, signs, strict=True)):
        same = Q(**dict(zip(names[:n], place[:n], strict=True)))
        follows |= same & Q(**{f"{name}__{sign}": place[n]})
    return Q(**{f"{names[0]}__{signs[0]}e": place[0]}) & follows


def beside(condition: Q) -> Q:
    """The same condition, but not to be looked up by: for those that an index in the wanted order should not yield to.

    SQLite keeps no count of how often a value occurs, takes the index with the most conditions, and would then sort
    100,000 rows to show 50. It does not see through two negations; PostgreSQL, which counts, does.
    """
    return ~Q(~condition) if condition else condition
