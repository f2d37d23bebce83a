"""Which films a monitoring page is about: whose, and since when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Literal

from django.utils import timezone

from diagnosis.models import Prediction, PredictionQuerySet

PERIODS = (7, 30, 90, 365)
USUAL = 30
Step = Literal["day", "week", "month"]


@dataclass(frozen=True)
class Scope:
    """`days` days up to today of the films of `clinics`; of every clinic where that is None."""

    days: int
    clinics: frozenset[int] | None

    @cached_property
    def first_day(self) -> date:
        """The first day of the period; today is its last."""
        return timezone.localdate() - timedelta(days=self.days - 1)

    @cached_property
    def since(self) -> datetime:
        """The midnight with which the period begins, in the site's time zone."""
        return next(self.midnights())

    def midnights(self) -> Iterator[datetime]:
        """Every midnight of the period, in the site's time zone."""
        for number in range(self.days):
            day = self.first_day + timedelta(days=number)
            yield timezone.make_aware(datetime.combine(day, datetime.min.time()))

    def everything(self) -> PredictionQuerySet:
        """Predictions of any time, of the clinics of this scope."""
        found = Prediction.objects.order_by()
        return found if self.clinics is None else found.filter(film__patient__clinic__in=sorted(self.clinics))

    def predictions(self) -> PredictionQuerySet:
        """Predictions that were asked for within the period."""
        return self.everything().filter(queued_at__gte=self.since)

    @property
    def daily(self) -> Step:
        """The step of plots of what happens every day."""
        return "day" if self.days <= 90 else "week"

    @property
    def slow(self) -> Step:
        """The step of plots whose points need many films each."""
        return "day" if self.days <= 7 else "week" if self.days <= 90 else "month"

    def steps(self, step: Step) -> list[date]:
        """The first day of every step that the period touches, oldest first."""
        found, at, today = [], begin(self.first_day, step), timezone.localdate()
        while at <= today:
            found.append(at)
            at = begin(at + timedelta(days={"day": 1, "week": 7, "month": 32}[step]), step)
        return found


def begin(day: date, step: Step) -> date:
    """The first day of the step that `day` lies in; weeks begin on Monday."""
    if step == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if step == "month" else day
