"""What staff should look at, in plain words: what is seen, what it may mean, what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from django.utils import timezone
from django.utils.timesince import timesince

from diagnosis.monitoring.drift import Compared, Drift
from diagnosis.monitoring.performance import Judged, figures
from diagnosis.monitoring.rates import Rate
from diagnosis.monitoring.throughput import Queue

WORDS = {
    "probability": ("The model's probabilities are higher", "The model's probabilities are lower"),
    "mean": ("Films are brighter", "Films are darker"),
    "deviation": ("Films have more contrast", "Films have less contrast"),
    "sharpness": ("Films are sharper", "Films are softer"),
    "aspect": ("Films are wider for their height", "Films are narrower for their height"),
    "bits": ("Films come in more bits", "Films come in fewer bits"),
}


@dataclass(frozen=True)
class Alarm:
    """`level` "alarm" is to be acted on, "look" to be looked at."""

    level: Literal["alarm", "look"]
    title: str
    text: str


def of_queue(queue: Queue) -> Iterator[Alarm]:
    """Films that wait too long, and workers that are silent."""
    waits = queue.oldest is not None and queue.too_long
    if queue.oldest and waits:
        yield Alarm(
            "alarm",
            f"A film has waited for {timesince(queue.oldest)}.",
            "No film is lost: it is read as soon as a worker is free. If more come in than are read, raise WORKERS.",
        )
    if queue.silent:
        since = f"since {timezone.localtime(queue.signed):%-d %b %Y, %H:%M}" if queue.signed else "yet"
        yield Alarm(
            "alarm" if waits else "look",
            f"No worker has been heard of {since}.",
            "Films are kept and wait. Look whether the worker runs, and into its log.",
        )


def of_failures(failed: int) -> Iterator[Alarm]:
    if failed:
        yield Alarm(
            "look",
            f"{failed} film{'s' if failed > 1 else ''} could not be read.",
            "The films are kept. The reasons are listed under “Not answered”.",
        )


def of_drift(drift: Drift | None) -> Iterator[Alarm]:
    """Films, or answers, unlike those of the validation."""
    moved = {level: [in_words(one) for one in drift.at(level)] if drift else [] for level in DRIFT_TEXTS}
    for level, words in moved.items():
        if words:
            yield Alarm(
                level,
                f"{' and '.join([words[0], *map(_lower, words[1:])])} than in validation.",
                DRIFT_TEXTS[level],
            )


DRIFT_TEXTS: dict[Literal["alarm", "look"], str] = {
    "alarm": "The model's figures were not measured on such films. Look at some of the newest, ask whether a device or "
    "an export setting has changed, and have films reviewed to see whether the model still holds.",
    "look": "The difference is more than chance, but small. Nothing has to be done; keep an eye on it.",
}


def in_words(one: Compared) -> str:
    """Which way a statistic moved."""
    return WORDS[one.name][0 if one.higher else 1]


def _lower(words: str) -> str:
    return words[0].lower() + words[1:]


def of_quality(rows: list[Judged], model: str, metrics: dict[str, Any]) -> Iterator[Alarm]:
    """Sensitivity or specificity of the version in production that is surely below that of its validation."""
    found = figures([row for row in rows if row.model == model])
    for name, rate in (("sensitivity", found.sensitivity), ("specificity", found.specificity)):
        if _surely_below(rate, metrics[f"{name}_ci"][0]):
            yield Alarm(
                "alarm",
                f"The {name} on reviewed films is {rate.hits} of {rate.n}; in validation it was "
                f"{metrics[name]:.0%}.",
                "Reviewed films are no random sample, so it may look worse than it is. Look at the wrong answers "
                "in the matrix; if they are typical, consider another version or retraining.",
            )


def _surely_below(rate: Rate, limit: float) -> bool:
    return not rate.few and rate.high is not None and rate.high < limit
