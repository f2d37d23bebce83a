"""The page's figures as plain tables: what a plot draws, a screen reader reads and a spreadsheet opens."""

from collections.abc import Callable
from dataclasses import dataclass

from diagnosis.core.csv_export import Cell, to_csv
from diagnosis.monitoring import performance, throughput
from diagnosis.monitoring.rates import Rate
from diagnosis.monitoring.report import PERCENTILES, Report

KINDS = {
    "normal": "Normal",
    "pneumonia": "Pneumonia",
    "rejected": "Not answered",
    "failed": "Failed",
    "waiting": "Waiting",
}


@dataclass(frozen=True)
class Table:
    """Rows under named columns."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]

    def as_csv(self) -> str:
        return to_csv([self.columns, *self.rows])


def films(report: Report) -> Table:
    rows: list[list[Cell]] = [
        [span.first, *(span.kinds[kind] for kind in KINDS), span.total] for span in report.spans
    ]
    return Table(f"Films by {report.scope.daily}", [_step(report.scope.daily), *KINDS.values(), "All"], rows)


def times(report: Report) -> Table:
    columns = [f"{what} {name}, s" for what in ("Waiting", "Reading") for _, name in PERCENTILES]
    rows: list[list[Cell]] = [
        [
            span.first,
            *(
                throughput.rounded(throughput.percentile(bins, share))
                for bins in (span.waiting, span.reading)
                for share, _ in PERCENTILES
            ),
        ]
        for span in report.spans
    ]
    return Table("Waiting and reading times", [_step(report.scope.daily), *columns], rows)


def agreement(report: Report) -> Table:
    rows: list[list[Cell]] = [[step, *_cells(rate)] for step, rate in report.agreement]
    return Table("Agreement of model and reviewers", [_step(report.scope.slow), *RATE], rows)


def reasons(report: Report) -> Table:
    rows: list[list[Cell]] = [[reason.kind, reason.words, reason.films] for reason in report.reasons]
    return Table("Films that were not answered", ["State", "Reason", "Films"], rows)


def confusion(report: Report) -> Table:
    rows: list[list[Cell]] = [
        [truth, said, name, report.figures.cells[cell]]
        for cell, (truth, said, name) in performance.CELLS.items()
    ]
    return Table("Confusion matrix", ["Confirmed", "Model", "Called", "Films"], rows)


def figures(report: Report) -> Table:
    groups = [("all", "all", report.figures), *report.groups]
    rows: list[list[Cell]] = [
        [kind, name, title, *_cells(getattr(found, figure))]
        for kind, name, found in groups
        for figure, title in performance.RATES.items()
    ]
    return Table("Figures on reviewed films", ["Group", "Of", "Figure", *RATE], rows)


def drift(report: Report) -> Table:
    rows: list[list[Cell]] = [
        [one.title, round(one.psi, 3), round(one.limit, 3), one.level]
        for one in (report.drift.compared if report.drift else ())
    ]
    return Table(
        "Drift against the validation films", ["Statistic", "PSI", "Chance alone", "Judgement"], rows
    )


def histograms(report: Report) -> Table:
    rows: list[list[Cell]] = [
        [one.title, name, observed, expected]
        for one in (report.drift.compared if report.drift else ())
        for name, observed, expected in zip(one.bins, one.observed, one.expected, strict=True)
    ]
    columns = ["Statistic", "Bin", "Share of films now", "Share expected from validation"]
    return Table("Histograms behind the drift", columns, rows)


TABLES: dict[str, Callable[[Report], Table]] = {
    "films": films,
    "times": times,
    "agreement": agreement,
    "reasons": reasons,
    "confusion": confusion,
    "figures": figures,
    "drift": drift,
    "histograms": histograms,
}
RATE = ["Films", "Of", "Rate", "95 % from", "to"]


def _cells(rate: Rate) -> list[Cell]:
    numbers = (rate.value, rate.low, rate.high)
    return [rate.hits, rate.n, *(None if number is None else round(number, 4) for number in numbers)]


def _step(step: str) -> str:
    return {"day": "Day", "week": "Week from", "month": "Month from"}[step]
