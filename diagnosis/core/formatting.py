"""Format numbers and ages for people."""

from datetime import date


def percent(value: float | None, digits: int = 0) -> str:
    """Say a probability in percent. Never 0 % or 100 %: no model is that sure."""
    if value is None:
        return "–"
    smallest = 10.0**-digits
    shown = value * 100
    if shown < smallest:
        return f"< {smallest:g} %"
    if shown > 100 - smallest:
        return f"> {100 - smallest:g} %"
    return f"{shown:.{digits}f} %"


def age(birth_date: date | None, day: date) -> str:
    """Say the age on a day as one does of children: in months below two years."""
    if birth_date is None:
        return "age not known"
    months = (day.year - birth_date.year) * 12 + day.month - birth_date.month - (day.day < birth_date.day)
    return f"{max(months, 0)} months" if months < 24 else f"{months // 12} years"
