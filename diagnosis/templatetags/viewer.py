"""What the viewer's template asks for, so that any page can include it."""

from typing import Any

from django import template

from diagnosis.inference.viewer import viewer_facts
from diagnosis.models import Film

register = template.Library()


@register.simple_tag
def facts_for_viewer(film: Film) -> dict[str, Any]:
    """Return what the viewer must know of a film."""
    return viewer_facts(film)


@register.filter
def corners(region: dict[str, Any]) -> str:
    """Return a region's corners as an SVG polygon's points, in pixels of the film."""
    points = region["points"]
    if region["kind"] == "box":
        (left, top), (right, bottom) = points
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return " ".join(f"{x},{y}" for x, y in points)
