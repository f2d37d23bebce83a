"""Template filters that format numbers, dates and form fields."""

from collections.abc import Mapping
from datetime import date, datetime

from django import template
from django.forms import CheckboxInput, Select
from django.forms.boundfield import BoundField
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString

from diagnosis.core.formatting import age, percent

register = template.Library()
register.filter(percent)
register.filter(age)


@register.filter
def among(name: str | None, names: str) -> bool:
    """Whether the name is one of these; `in` would also find parts of them."""
    return name in names.split()


@register.filter
def interval(pair: list[float] | None) -> str:
    """Say a 95 % interval of a rate in percent."""
    return f"95 % CI {pair[0] * 100:.1f} to {pair[1] * 100:.1f} %" if pair else ""


@register.filter
def interval3(pair: list[float] | None) -> str:
    """Say a 95 % interval of a figure between 0 and 1."""
    return f"95 % CI {pair[0]:.3f} to {pair[1]:.3f}" if pair else ""


@register.filter
def rate(value: float | None) -> str:
    """Say a measured rate in percent, to one digit."""
    return "–" if value is None else f"{value * 100:.1f} %"


@register.filter
def seconds(value: float | None) -> str:
    """Say a duration in words short enough for a table."""
    if value is None:
        return "–"
    if value < 0.05:
        return "under 0.1 s"
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min"


@register.filter
def signed(value: float) -> str:
    """Say a figure that may be negative, with a minus that is no hyphen: no line breaks after it."""
    return f"{value:.2f}".replace("-", "−")


@register.filter
def times(value: float | None, factor: float) -> float:
    """Scale a number, for drawings."""
    return (value or 0.0) * factor


@register.simple_tag
def today() -> date:
    """Return the day in the clinic's time zone."""
    return timezone.localdate()


@register.filter
def control(field: BoundField) -> SafeString:
    """Draw a form's field with the site's own look."""
    kinds = {Select: "form-select", CheckboxInput: "form-check-input"}
    look = next(
        (name for kind, name in kinds.items() if isinstance(field.field.widget, kind)), "form-control"
    )
    return field.as_widget(attrs={"class": look})


@register.filter
def clock(moment: str) -> str:
    """Say the time of day of a moment in ISO 8601, in the clinic's time zone."""
    return timezone.localtime(datetime.fromisoformat(moment)).strftime("%H:%M:%S")


@register.filter
def age_of_request(moment: datetime) -> str:
    """Say how long ago something arrived, in one unit: what a worklist is compared by."""
    minutes = int((timezone.now() - moment).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 2880 else f"{minutes // 1440} days ago"


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
