"""The keys of the pages: no key means two things, every key does something, and no script knows a letter."""

import re
from collections import Counter
from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.core import shortcuts
from diagnosis.core.shortcuts import Table, Where
from diagnosis.reading import worklist
from tests.support.factories import AnswerFactory, FilmFactory, PatientFactory, StudyFactory, make_user
from tests.support.processes import ROOT

SCRIPTS = ROOT / "diagnosis" / "static" / "pneumoweb"
TABLES = {**shortcuts.PAGES, "another page": shortcuts.of_page("another page")}


def scripts() -> list[Path]:
    found = [path for path in SCRIPTS.rglob("*.js") if "vendor" not in path.parts]
    assert len(found) > 10
    return found


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_no_key_means_two_things_on_a_page(table: Table) -> None:
    everywhere = Counter(key for row in table.rows if row.where is Where.PAGE for key in row.keys)
    assert everywhere
    for where in Where:
        local = Counter(key for row in table.rows if row.where is where for key in row.keys)
        assert max(local.values(), default=1) == 1, f"twice on {where.value}: {local.most_common(1)}"
        if where is not Where.PAGE:
            assert not local.keys() & everywhere.keys(), where.value


def test_every_action_is_done_by_some_script() -> None:
    text = "\n".join(path.read_text() for path in scripts())
    assert "`verdict-${button.value}`" in text
    actions = {action for table in TABLES.values() for action in table.actions.values()}
    for action in sorted(action for action in actions if not action.startswith("verdict-")):
        assert re.search(rf'[\s{{"]{action}"?: ', text), f"nothing does “{action}”"


def test_no_script_knows_a_letter() -> None:
    letter = re.compile(r"""key(?:\.toLowerCase\(\))?\s*===?\s*["'][^ "']["']|case ["'][^ "']["']:""")
    assert letter.search('if (event.key === "l") set();')
    for path in scripts():
        assert not letter.search(path.read_text()), path.name


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["film", "side_by_side", "review_film", "review_queue", "worklist"])
def test_a_page_carries_its_table_once_and_its_buttons_are_in_it(client: Client, name: str) -> None:
    reader = make_user("reviewer")
    client.force_login(reader)
    study = StudyFactory(patient=PatientFactory(clinic=reader.clinic))
    films = [AnswerFactory(film=FilmFactory(study=study)).film for _ in range(2)]
    worklist.refresh([film.pk for film in films])
    key = {"side_by_side": [films[0].patient_id], "review_queue": [], "worklist": []}.get(name, [films[0].pk])
    page = client.get(reverse(name, args=key)).content.decode()
    assert [unescape(table) for table in re.findall(r'data-keys="([^"]*)"', page)] == [
        shortcuts.PAGES[name].as_json
    ]
    actions = set(shortcuts.PAGES[name].actions.values())
    buttons = set(re.findall(r'data-do="([\w-]+)"', page))
    assert buttons <= actions
    assert bool(buttons) is (name in ("film", "side_by_side", "review_film"))
    for row in shortcuts.PAGES[name].rows:
        assert all(cap in unescape(page) for cap in row.caps)


def test_a_key_is_told_as_it_stands_on_the_keyboard() -> None:
    table = shortcuts.of_page("review_film")
    assert (table.key_of("window"), table.key_of("left"), table.key_of("out")) == ("W", "Shift R", "−")
    with pytest.raises(KeyError):
        table.key_of("explode")
