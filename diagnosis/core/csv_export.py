"""CSV for people who open it in a spreadsheet (RFC 4180). No cell can become a formula (OWASP, CSV Injection)."""

import csv
from collections.abc import Iterable
from datetime import date
from io import StringIO

Cell = str | int | float | date | None

BYTE_ORDER_MARK = "\ufeff"
"""Without it, spreadsheets read UTF-8 as a local 8-bit encoding."""
FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def to_csv(rows: Iterable[Iterable[Cell]]) -> str:
    """Return the rows as CSV with CRLF line ends; text goes through `escape_formula`, numbers and dates do not."""
    text = StringIO(newline="")
    csv.writer(text).writerows(
        [escape_formula(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return text.getvalue()


def escape_formula(cell: str) -> str:
    """Put an apostrophe before text that a spreadsheet could read as a formula, also after leading white space."""
    is_formula = cell.startswith(FORMULA_START) or cell.lstrip().startswith(FORMULA_START)
    return f"'{cell}" if is_formula else cell
