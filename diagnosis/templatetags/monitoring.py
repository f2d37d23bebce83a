"""How the monitoring page says what its tables hold."""

from collections.abc import Mapping
from datetime import date

from django import template
from django.utils.formats import date_format

register = template.Library()


@register.filter
def told(cell: str | int | float | date | None) -> str:
    """Say one cell of a table: days as 22 Nov 2026, numbers to three digits that count, – for nothing."""
    if cell is None:
        return "–"
    if isinstance(cell, date):
        return date_format(cell)
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


@register.filter
def lookup(names: Mapping[str, str], key: str) -> str:
    """The name that a key stands for."""
    return names[key]
