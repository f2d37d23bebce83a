"""All that the monitoring page shows of one scope. Each part is worked out when it is first asked for."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property

from diagnosis.models import ModelVersion
from diagnosis.monitoring import alerts, performance, throughput
from diagnosis.monitoring import drift as drifting
from diagnosis.monitoring.alerts import Alarm
from diagnosis.monitoring.drift import Drift
from diagnosis.monitoring.performance import Figures, Judged
from diagnosis.monitoring.rates import Rate
from diagnosis.monitoring.scope import Scope
from diagnosis.monitoring.throughput import Reason, Span
from diagnosis.registry import versions

PERCENTILES = ((0.5, "p50"), (0.95, "p95"))


@dataclass
class Report:
    """What is known of the films of `scope`."""

    scope: Scope

    @cached_property
    def production(self) -> ModelVersion | None:
        return versions.production()

    @cached_property
    def spans(self) -> list[Span]:
        return throughput.spans(self.scope)

    @cached_property
    def whole(self) -> Span:
        return throughput.together(self.spans)

    @cached_property
    def times(self) -> dict[str, dict[str, float | None]]:
        """Seconds of waiting and reading over the whole period, p50 and p95."""
        return {"waiting": _percentiles(self.whole.waiting), "reading": _percentiles(self.whole.reading)}

    @cached_property
    def queue(self) -> throughput.Queue:
        return throughput.queue(self.scope)

    @cached_property
    def reasons(self) -> list[Reason]:
        return throughput.reasons(self.scope)

    @cached_property
    def judged(self) -> list[Judged]:
        return performance.judged(self.scope)

    @cached_property
    def known(self) -> int:
        """Films with a confirmed label that no figure counts: each version that answered one had learned from it."""
        return len(performance.known(self.scope) - {row.film_id for row in self.judged})

    @cached_property
    def figures(self) -> Figures:
        return performance.figures(performance.chosen(self.judged, "", "", ""))

    @cached_property
    def groups(self) -> list[tuple[str, str, Figures]]:
        return performance.groups(self.judged)

    @cached_property
    def agreement(self) -> list[tuple[date, Rate]]:
        return performance.over_time(self.scope, self.judged)

    @cached_property
    def drift(self) -> Drift | None:
        return drifting.drift(self.scope, self.production) if self.production else None

    @cached_property
    def alarms(self) -> list[Alarm]:
        """The worst first."""
        found = [
            *alerts.of_queue(self.queue),
            *alerts.of_drift(self.drift),
            *alerts.of_failures(self.whole.kinds["failed"]),
        ]
        if self.production:
            found += alerts.of_quality(self.judged, self.production.name, self.production.card["metrics"])
        return sorted(found, key=lambda alarm: alarm.level)


def _percentiles(bins: throughput.Bins) -> dict[str, float | None]:
    return {name: throughput.rounded(throughput.percentile(bins, share)) for share, name in PERCENTILES}
