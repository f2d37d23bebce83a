"""Form fields and validators that several forms share."""

from datetime import date
from typing import Any

from django import forms
from django.utils import timezone


class DateInput(forms.DateInput):
    """The browser's own date picker."""

    input_type = "date"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%Y-%m-%d", **kwargs)


def not_in_future(day: date | None, what: str) -> date | None:
    """Return the day; raise ValidationError if it lies ahead."""
    if day and day > timezone.localdate():
        raise forms.ValidationError(f"The {what} lies in the future. Enter a day up to today.")
    return day
