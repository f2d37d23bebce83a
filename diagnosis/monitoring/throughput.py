"""How much is read, how fast, what waits, and what is not answered and why."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, Min

from diagnosis.models import Prediction
from diagnosis.monitoring import heartbeat
from diagnosis.monitoring.scope import Scope
from diagnosis.monitoring.sql import bin_of, step_number
from diagnosis.reading import worklist

RATIO = 1.25
EDGES = tuple(0.05 * RATIO**k for k in range(56))
"""Of the bins in which times are counted, in seconds: 0.05 s to about 3 hours."""
State = Prediction.State
Bins = Counter[int]


@dataclass
class Span:
    """What was asked for within one step of the period: films by what became of them, and times by bins."""

    first: date
    kinds: Counter[str]
    waiting: Bins
    reading: Bins

    @property
    def total(self) -> int:
        return sum(self.kinds.values())


def spans(scope: Scope) -> list[Span]:
    """Every step of the period, oldest first, from one query; a step without films counts zeros."""
    found = [Span(step, Counter(), Counter(), Counter()) for step in scope.steps(scope.daily)]
    rows = (
        scope.predictions()
        # Says nothing, but lets the index by state find the period.
        .filter(state__in=State.values)
        .annotate(
            step=step_number(scope),
            waited=bin_of("waiting_seconds", EDGES),
            took=bin_of("reading_seconds", EDGES),
        )
        .values_list("step", "state", "label", "waited", "took")
        .annotate(n=Count("pk"))
    )
    for step, state, label, waited, took, n in rows:
        # What was asked for after the midnight that passes just now still counts for the day before.
        span = found[min(step, len(found) - 1)]
        span.kinds[_kind(state, label)] += n
        if waited is not None:
            span.waiting[waited] += n
        if took is not None:
            span.reading[took] += n
    return found


def _kind(state: str, label: str) -> str:
    if state == State.SUCCEEDED:
        return label.lower()
    return state if state in (State.REJECTED, State.FAILED) else "waiting"


def together(found: Iterable[Span]) -> Span:
    """All spans as one."""
    parts = list(found)
    whole = Span(parts[0].first, Counter(), Counter(), Counter())
    for part in parts:
        whole.kinds.update(part.kinds)
        whole.waiting.update(part.waiting)
        whole.reading.update(part.reading)
    return whole


def percentile(bins: Bins, share: float) -> float | None:
    """The time, in seconds, that a share of the films stayed under: read off between the edges of a bin on a
    logarithmic scale, so within a few percent. None without films."""
    total = sum(bins.values())
    if not total:
        return None
    wanted, passed = share * total, 0
    for place in sorted(bins):
        if passed + bins[place] >= wanted:
            upper = EDGES[min(place, len(EDGES) - 1)]
            within = (wanted - passed) / bins[place]
            return upper * RATIO ** (within - 1)
        passed += bins[place]
    raise AssertionError("unreachable: the last bin reaches the total")


@dataclass(frozen=True)
class Queue:
    """The queue at this moment. `signed` is when a worker of the site last showed that it takes work."""

    waiting: int
    running: int
    oldest: datetime | None
    signed: datetime | None
    silent: bool

    @property
    def too_long(self) -> bool:
        return self.oldest is not None and worklist.waits_too_long(self.oldest)


def queue(scope: Scope) -> Queue:
    """What waits now, of the scope's clinics."""
    # One query for each state: then the partial indexes of the queue serve, and no finished film is looked at.
    waiting = scope.everything().queued().aggregate(n=Count("pk"), oldest=Min("queued_at"))
    running = scope.everything().running().count()
    signed = heartbeat.last()
    return Queue(waiting["n"], running, waiting["oldest"], signed, heartbeat.is_silent(signed))


@dataclass(frozen=True)
class Reason:
    """Why films were not answered, in words, and how often."""

    kind: str
    words: str
    films: int


def reasons(scope: Scope) -> list[Reason]:
    """Why films of the period were not answered, the commonest first. Reasons that differ in numbers alone count
    as one; a film may have several."""
    counted: defaultdict[tuple[str, str], int] = defaultdict(int)
    unanswered = scope.predictions().filter(state__in=[State.REJECTED, State.FAILED])
    for state, found, failure, n in unanswered.values_list("state", "reasons", "failure").annotate(
        n=Count("pk")
    ):
        for words in _sentences(state, found, failure):
            counted[state, words] += n
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [Reason(State(state).label.lower(), words, n) for (state, words), n in ordered]


def _sentences(state: str, found: list[str], failure: str) -> Iterator[str]:
    for sentence in dict.fromkeys(found if state == State.REJECTED else [failure]):
        yield re.sub(r"\d+(?:[.,]\d+)*", "…", sentence) or "No reason is recorded."


def rounded(seconds: float | None) -> float | None:
    """Round to two digits that count, as exact as the bins are."""
    if not seconds:
        return seconds
    return round(seconds, 1 - math.floor(math.log10(seconds)))
