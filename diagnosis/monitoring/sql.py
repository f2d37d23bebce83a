"""What Django's functions lack, or do on SQLite by a slow call back into Python for every row."""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, F, FloatField, Func, IntegerField, Value, When
from django.db.models.sql.compiler import SQLCompiler

from diagnosis.monitoring.scope import Scope, begin

Sql = tuple[str, Any]
DAY = 86_400.0


class SecondsBetween(Func):
    """SecondsBetween(later, earlier): seconds as a number; on SQLite to a millisecond."""

    output_field = FloatField()
    arity = 2
    template = "EXTRACT(EPOCH FROM (%(expressions)s))"
    arg_joiner = " - "

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Sql:
        return self.as_sql(
            compiler,
            connection,
            template="((julianday(%(expressions)s)) * 86400.0)",
            arg_joiner=") - julianday(",
            **extra,
        )


class Whole(Func):
    """The whole part of a number that is not negative."""

    output_field = IntegerField()
    arity = 1
    template = "CAST(FLOOR(%(expressions)s) AS INTEGER)"

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Sql:
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS INTEGER)", **extra)


def step_number(scope: Scope) -> Whole:
    """In which of the scope's daily steps (from 0) a prediction was asked for, by the days of the site's time zone.

    Only on the day on which the clocks change can a film be an hour off.
    """
    start = scope.since.utcoffset()
    changes, before = [], start
    for midnight in scope.midnights():
        if midnight.utcoffset() != before:
            before = midnight.utcoffset()
            gained = (before - start).total_seconds() if before is not None and start is not None else 0.0
            changes.append(When(queued_at__gte=midnight, then=Value(gained)))
    seconds = SecondsBetween(F("queued_at"), Value(scope.since))
    lead = (scope.first_day - begin(scope.first_day, scope.daily)).days * DAY
    length = (7 if scope.daily == "week" else 1) * DAY
    shift = Case(*reversed(changes), default=Value(0.0), output_field=FloatField()) if changes else Value(0.0)
    # Half a millisecond more: midnight itself, told in fractions of a day, may come out just below.
    return Whole((seconds + shift + Value(lead + 0.0005)) / Value(length))


def bin_of(column: str, edges: Sequence[float]) -> Case:
    """The bin of a column's value: 0 below the first edge; an edge itself lies in the upper bin. NULL stays NULL."""
    known = When(**{f"{column}__isnull": False}, then=_halved(column, edges, 0, len(edges)))
    return Case(known, default=None, output_field=IntegerField())


def _halved(column: str, edges: Sequence[float], low: int, high: int) -> Case | Value:
    """The search for the bin by halves: a row is compared with six edges, not with dozens."""
    if low == high:
        return Value(low)
    middle = (low + high) // 2
    below = When(**{f"{column}__lt": edges[middle]}, then=_halved(column, edges, low, middle))
    return Case(below, default=_halved(column, edges, middle + 1, high), output_field=IntegerField())
