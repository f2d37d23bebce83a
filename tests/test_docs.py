"""README and docs name only what exists: links, files, modules, management commands and make targets."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.support.processes import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:diagnosis|ml|pneumoweb|tests|templates|docs)/[\w./-]+\.\w+)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_modules_and_commands_exist(page: Path) -> None:
    text = page.read_text()
    modules = set(re.findall(r"python -m ([\w.]+)", text)) | set(re.findall(r"`(ml\.[\w.]+)`", text))
    assert [module for module in modules if find_spec(module) is None] == []
    commands = set(re.findall(r"manage\.py (\w+)", text))
    assert commands <= set(get_commands())
    assert set(re.findall(r"make ([a-z]+)(?= |`|$)", text)) <= TARGETS | {"run"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150
