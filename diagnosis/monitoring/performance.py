"""How right the model is on films whose label people have confirmed."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import attrgetter

from django.utils import timezone

from diagnosis.models import Patient, Study
from diagnosis.monitoring.rates import Rate, rate
from diagnosis.monitoring.scope import Scope, begin
from diagnosis.reading.ground_truth import confirmed

CELLS = {
    "tn": ("NORMAL", "NORMAL", "true negative"),
    "fp": ("NORMAL", "PNEUMONIA", "false alarm"),
    "fn": ("PNEUMONIA", "NORMAL", "missed"),
    "tp": ("PNEUMONIA", "PNEUMONIA", "true positive"),
}
"""Of the confusion matrix: what people confirmed, what the model said, and what that is called."""
CELL_OF = {(truth, said): cell for cell, (truth, said, _) in CELLS.items()}


@dataclass(frozen=True)
class Judged:
    """An answer of the model on a film whose label is confirmed. `newest`: the period has no later one on the film."""

    film_id: int
    patient_id: int
    said: str
    truth: str
    day: date
    model: str
    age: float | None
    sex: str
    view: str
    side: int
    newest: bool

    @property
    def right(self) -> bool:
        return self.said == self.truth

    @property
    def cell(self) -> str:
        return CELL_OF[self.truth, self.said]


def judged(scope: Scope) -> list[Judged]:
    """The answers of the period on films with a confirmed label, by film and the newest first.

    Three queries. The answers are looked through one after the other: asked for thousands of films by their keys,
    SQLite would compare every patient with every key.
    """
    answered = scope.predictions().judging().values_list("film", flat=True)
    labels = {found.film_id: found.label for found in confirmed(answered)}
    return list(_with_labels(scope, labels)) if labels else []


def known(scope: Scope) -> set[int]:
    """The films with a confirmed label of which an answer does not count, because its version learned from the film."""
    taught = scope.predictions().answered().filter(known=True)
    return {found.film_id for found in confirmed(taught.values_list("film", flat=True))}


COLUMNS = (
    "film_id", "film__patient_id", "label", "queued_at", "model_version__name", "film__patient__birth_date",
    "film__study__taken_on", "film__patient__sex", "film__study__view", "film__width", "film__height",
)  # fmt: skip


def _with_labels(scope: Scope, labels: Mapping[int, str]) -> Iterator[Judged]:
    answers = scope.predictions().judging().order_by("film_id", "-pk").values_list(*COLUMNS)
    before: int | None = None
    for film, patient, said, asked, model, born, taken, sex, view, width, height in answers.iterator():
        if film not in labels:
            continue
        yield Judged(
            film_id=film,
            patient_id=patient,
            said=said,
            truth=labels[film],
            day=timezone.localdate(asked),
            model=model,
            age=(taken - born).days / 365.25 if born else None,
            sex=sex,
            view=view,
            side=min(width, height),
            newest=film != before,
        )
        before = film


@dataclass(frozen=True)
class Figures:
    """Confusion matrix and rates of some answers. PPV and NPV hold for the share of pneumonia among these films."""

    films: int
    patients: int
    cells: dict[str, int]
    agreement: Rate
    sensitivity: Rate
    specificity: Rate
    ppv: Rate
    npv: Rate


RATES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "agreement": "Agreement",
}


def figures(rows: Sequence[Judged]) -> Figures:
    """All figures of some answers."""

    def share(of: Callable[[Judged], bool]) -> Rate:
        return rate((row.patient_id, row.right) for row in rows if of(row))

    cells = dict.fromkeys(CELLS, 0)
    for row in rows:
        cells[row.cell] += 1
    return Figures(
        films=len(rows),
        patients=len({row.patient_id for row in rows}),
        cells=cells,
        agreement=share(lambda row: True),
        sensitivity=share(lambda row: row.truth == "PNEUMONIA"),
        specificity=share(lambda row: row.truth == "NORMAL"),
        ppv=share(lambda row: row.said == "PNEUMONIA"),
        npv=share(lambda row: row.said == "NORMAL"),
    )


def over_time(scope: Scope, rows: Sequence[Judged]) -> list[tuple[date, Rate]]:
    """Agreement of model and reviewers for each step of the period, by when the film came in."""
    steps: defaultdict[date, list[Judged]] = defaultdict(list)
    for row in rows:
        if row.newest:
            steps[begin(row.day, scope.slow)].append(row)
    return [
        (step, rate((row.patient_id, row.right) for row in steps[step])) for step in scope.steps(scope.slow)
    ]


AGES = (
    (1, "under 1"),
    (6, "1 to 5"),
    (18, "6 to 17"),
    (40, "18 to 39"),
    (65, "40 to 64"),
    (999, "65 and over"),
)
SIDES = ((512, "under 512"), (1024, "512 to 1,023"), (2048, "1,024 to 2,047"), (10**9, "2,048 and more"))


def _age(row: Judged) -> str:
    return "not known" if row.age is None else next(name for limit, name in AGES if row.age < limit)


def _side(row: Judged) -> str:
    return next(name for limit, name in SIDES if row.side < limit)


GROUPS: dict[str, tuple[str, Callable[[Judged], str]]] = {
    "age": ("Age, years", _age),
    "sex": ("Sex", lambda row: str(Patient.Sex(row.sex).label)),
    "view": ("View", lambda row: str(Study.View(row.view).label)),
    "side": ("Shorter side, pixels", _side),
    "model": ("Model version", attrgetter("model")),
}
ORDER = [name for _, name in AGES] + [name for _, name in SIDES]


def groups(rows: Sequence[Judged]) -> list[tuple[str, str, Figures]]:
    """(kind of group, its name, figures) for each kind of patient, film and model version that there is.

    A film that several model versions have answered counts once, by its newest answer, except among the versions.
    """
    found = []
    for kind, (_, name_of) in GROUPS.items():
        counted = sorted(
            (row for row in rows if row.newest or kind == "model"), key=lambda r: _order(name_of(r))
        )
        found += [(kind, name, figures(list(members))) for name, members in groupby(counted, key=name_of)]
    return found


def _order(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def chosen(rows: Sequence[Judged], cell: str, kind: str, name: str) -> list[Judged]:
    """The answers of one cell ("" for all) of one group (`kind` "" for all), as the figures count them."""
    found = [row for row in rows if row.newest or kind == "model"]
    if kind:
        found = [row for row in found if GROUPS[kind][1](row) == name]
    return [row for row in found if not cell or row.cell == cell]
