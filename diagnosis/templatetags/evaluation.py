"""How two versions' figures are said side by side."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from diagnosis.core.formatting import percent
from ml.metrics import paired

register = template.Library()

FEW = 50
"""Patients of a class below which a difference of a few points is chance."""
NAMES = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
}
RATES = {"accuracy", "sensitivity", "specificity"}
LOWER_IS_BETTER = {"brier", "ece"}


@register.filter
def small(part: dict[str, Any]) -> bool:
    """Return whether a part of the holdout has few patients of either kind."""
    return bool(min(part["patients_ill"], part["patients_well"]) < FEW)


@register.filter
def side(part: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one version's figures of a part."""
    found: dict[str, Any] = part[name]
    return found


@register.filter
def figures(part: dict[str, Any]) -> list[dict[str, str]]:
    """Return one row a figure: both versions, their difference, and whether it is more than chance."""
    return [_row(part, key) for key in NAMES]


@register.simple_tag
def method() -> str:
    """Return how differences and intervals were found."""
    return paired.METHOD


@register.simple_tag
def said(words: str, probability: float | None, right: bool) -> SafeString:
    """Say an answer with its probability, and by a sign and a word whether it is right."""
    score = f" {percent(probability)}" if probability is not None else ""
    mark, word = ("✓", "right") if right else ("✗", "wrong")
    return format_html(
        '{}{} <span class="judged {}"><span aria-hidden="true">{}</span> {}</span>',
        words,
        score,
        word,
        mark,
        word,
    )


def _row(part: dict[str, Any], key: str) -> dict[str, str]:
    apart = part["difference"][key]
    low, high = apart["ci"]
    if low <= 0 <= high:
        says, tone = "no clear difference", ""
    else:
        better = (apart["value"] > 0) != (key in LOWER_IS_BETTER)
        says, tone = ("better", "production") if better else ("worse", "warn")
    unit = " points" if key in RATES else ""
    return {
        "name": NAMES[key],
        **{name: _value(part[name][key], key) for name in ("production", "candidate")},
        **{f"{name}_ci": _interval(part[name].get(f"{key}_ci"), key) for name in ("production", "candidate")},
        "difference": f"{_signed(apart['value'], key)}{unit}",
        "ci": f"{_signed(low, key)} to {_signed(high, key)}",
        "says": says,
        "tone": tone,
    }


def _value(value: float, key: str) -> str:
    return f"{value * 100:.1f} %" if key in RATES else f"{value:.3f}"


def _interval(pair: list[float] | None, key: str) -> str:
    return f"{_value(pair[0], key)} to {_value(pair[1], key)}" if pair else ""


def _signed(value: float, key: str) -> str:
    text = f"{value * 100:+.1f}" if key in RATES else f"{value:+.3f}"
    return text.replace("-", "−")
