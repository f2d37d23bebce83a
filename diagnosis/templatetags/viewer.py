"""What the viewer's template asks for, so that any page can include it."""

from typing import Any

from django import template

from diagnosis.models import Film
from diagnosis.viewing import viewer_facts

register = template.Library()


@register.simple_tag
def facts_for_viewer(film: Film) -> dict[str, Any]:
    """Return what the viewer must know of a film."""
    return viewer_facts(film)
