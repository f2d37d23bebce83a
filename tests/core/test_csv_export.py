"""CSV for spreadsheets."""

import csv
from datetime import date
from io import StringIO

import pytest

from diagnosis.core.csv_export import Cell, escape_formula, to_csv


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
@pytest.mark.parametrize("before", ["", " ", "  ", "\u00a0", "\u3000"])
def test_text_that_starts_a_formula_gets_an_apostrophe(before: str, sign: str) -> None:
    # After white space, a tab or line break is harmless unless a formula follows.
    cell = f"{before}{sign}=1+1"
    assert escape_formula(cell) == f"'{cell}"
    assert escape_formula(f"a{cell}") == f"a{cell}"


@pytest.mark.parametrize("cell", ["", " ", "Ada", " Ada", "1-1", "−1", "'=1"])
def test_other_text_stays(cell: str) -> None:
    assert escape_formula(cell) == cell


def test_cells_are_written_and_read_back() -> None:
    rows: list[list[Cell]] = [
        ["what", "a, b"],
        ['=HYPERLINK("x")', -0.5],
        [None, date(2026, 1, 2)],
        ["two\nlines", 7],
    ]
    text = to_csv(rows)
    assert list(csv.reader(StringIO(text, newline=""))) == [
        ["what", "a, b"],
        ['\'=HYPERLINK("x")', "-0.5"],
        ["", "2026-01-02"],
        ["two\nlines", "7"],
    ]
    assert text.startswith('what,"a, b"\r\n')
