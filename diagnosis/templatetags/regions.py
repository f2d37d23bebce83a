"""Regions in drawings that need no script."""

from typing import Any

from django import template

register = template.Library()


@register.filter
def corners(region: dict[str, Any]) -> str:
    """Return a region's corners as an SVG polygon's points, in pixels of the film."""
    points = region["points"]
    if region["kind"] == "box":
        (left, top), (right, bottom) = points
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return " ".join(f"{x},{y}" for x, y in points)
