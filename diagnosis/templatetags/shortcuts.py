"""A page's keys in its templates: the help, and the letter on a button."""

from typing import Any

from django import template

from diagnosis.core import shortcuts

register = template.Library()


def _table(context: dict[str, Any]) -> shortcuts.Table:
    match = context["request"].resolver_match
    return shortcuts.of_page(match.url_name if match else None)


@register.inclusion_tag("core/_shortcuts.html", takes_context=True)
def key_help(context: dict[str, Any]) -> dict[str, shortcuts.Table]:
    """Draw the help of this page's keys, which carries the table for the scripts too. Once a page."""
    return {"table": _table(context)}


@register.simple_tag(takes_context=True)
def key(context: dict[str, Any], action: str) -> str:
    """Return what stands on the key of an action."""
    return _table(context).key_of(action)
