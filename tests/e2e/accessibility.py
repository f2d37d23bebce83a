"""What axe-core finds on a page against WCAG 2.2 A and AA."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
SWITCH = """
    const root = document.documentElement;
    root.dataset.bsTheme = root.dataset.bsTheme === "dark" ? "light" : "dark";
    document.dispatchEvent(new Event("themechange"));
"""


def breaches(page: Page) -> list[str]:
    """In the theme that the page has, and of the other theme its colours: nothing else changes with it."""
    # On the way from one colour to another a button has neither.
    page.emulate_media(reduced_motion="reduce")
    found = _breaches(page, WCAG)
    page.evaluate(SWITCH)
    found += _breaches(page, COLOURS)
    page.evaluate(SWITCH)
    return found


def _breaches(page: Page, options: dict[str, Any]) -> list[str]:
    theme = page.evaluate("document.documentElement.dataset.bsTheme")
    found = Axe().run(page, options=options).response["violations"]
    return [f"{theme}: {fault['id']}: {fault['nodes'][0]['html'][:120]}" for fault in found]
