"""What the model said of a patient over time, as a drawing and as a table.

Figures of different model versions are not comparable, so each version has a line and a mark of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby, pairwise

from diagnosis.models import Film, Prediction

MOST = 200
LEFT, RIGHT = (
    9.0,
    96.0,
)  # percent of the drawing's width, so that it fits every screen without its words shrinking
TOP, BOTTOM = 12.0, 172.0  # pixels
MARKS = ("circle", "square", "triangle", "diamond", "cross")


@dataclass(frozen=True)
class Point:
    """One answer: where it stands in the drawing (x in percent, y in pixels), and what it was."""

    x: float
    y: float
    prediction: Prediction

    @property
    def taken_on(self) -> date:
        day: date = self.prediction.film.study.taken_on
        return day


@dataclass(frozen=True)
class Series:
    """The answers of one model version, in the order of the films, with its mark and its threshold's height."""

    name: str
    mark: str
    number: int
    points: list[Point]
    threshold: float
    threshold_y: float

    @property
    def segments(self) -> list[tuple[Point, Point]]:
        """Return the pairs of points to join."""
        return list(pairwise(self.points))


@dataclass(frozen=True)
class Step:
    """A line of the scale."""

    name: str
    y: float


@dataclass(frozen=True)
class Plot:
    """All that is drawn. `left_out` older answers are not."""

    series: list[Series]
    first: date
    last: date
    left_out: int

    @property
    def grid(self) -> list[Step]:
        """Return the lines of the scale."""
        return [Step(f"{share * 100:.0f} %", _height(share)) for share in (0.0, 0.5, 1.0)]

    @property
    def rows(self) -> list[Prediction]:
        """Return the answers as a table's rows, the newest film first."""
        points = [point for series in self.series for point in series.points]
        return [
            p.prediction for p in sorted(points, key=lambda p: (p.taken_on, p.prediction.pk), reverse=True)
        ]


def plot(films: Iterable[Film]) -> Plot | None:
    """Return the drawing of the films' answers, the newest `MOST` of them; None where there are none.

    The films come from `histories.films_for`. An answer that is kept from the user has no probability.
    """
    answers = [
        _with_film(p, film) for film in films for p in film.predictions.all() if p.probability is not None
    ]
    if not answers:
        return None
    answers.sort(key=lambda a: (a.film.study.taken_on, a.pk))
    left_out, answers = len(answers[:-MOST]), answers[-MOST:]
    first, last = answers[0].film.study.taken_on, answers[-1].film.study.taken_on
    answers.sort(key=lambda a: a.model_version_id)
    series = [
        _series(number, list(group), first, last)
        for number, (_, group) in enumerate(groupby(answers, key=lambda a: a.model_version_id))
    ]
    return Plot(series, first, last, left_out)


def _with_film(prediction: Prediction, film: Film) -> Prediction:
    """Let the prediction know the film that it was prefetched for, and with it the study."""
    prediction.film = film
    return prediction


def _series(number: int, answers: list[Prediction], first: date, last: date) -> Series:
    newest = answers[-1]
    threshold = newest.threshold or 0.0
    return Series(
        newest.model_version.name,
        MARKS[number % len(MARKS)],
        number % len(MARKS),
        [
            Point(_across(a.film.study.taken_on, first, last), _height(a.probability or 0.0), a)
            for a in answers
        ],
        threshold,
        _height(threshold),
    )


def _across(day: date, first: date, last: date) -> float:
    if first == last:
        return (LEFT + RIGHT) / 2
    return LEFT + (RIGHT - LEFT) * (day - first).days / (last - first).days


def _height(probability: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * probability
