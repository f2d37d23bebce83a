"""Long lists stay quick: how the database reads them. SQLite plans alike for few and for many rows."""

from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from diagnosis import admin
from diagnosis.core import audit_log, pagination, querysets
from diagnosis.models import WorklistRow
from diagnosis.patients import search
from diagnosis.reading import review_queue, worklist, worklist_page
from pneumoweb.accounts.models import Clinic, User
from tests.support.factories import ClinicFactory, FilmFactory, PatientFactory, StudyFactory, make_user

pytestmark = pytest.mark.django_db
FILTERS = [
    ({}, ""),
    ({"state": "waiting"}, "worklist_state"),
    ({"state": "answered"}, "worklist_state"),
    ({"answer": "PNEUMONIA"}, "worklist_label"),
    ({"priority": "2"}, "priority=?"),
    ({"assigned": "me"}, "worklist_assigned"),
    ({"assigned": "nobody"}, "worklist_assigned"),
    # Two at once: the rarer one leads.
    ({"assigned": "me", "state": "answered", "priority": "0"}, "worklist_assigned"),
    ({"state": "waiting", "answer": "NORMAL", "assigned": "nobody"}, "worklist_state"),
]
SHOWS = {
    "todo": "", "all": "", "done": "", "overdue": "worklist_todo_blind",
    "second": "queue_", "differ": "queue_",
}  # fmt: skip
only_sqlite = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="PostgreSQL plans by what is in the tables"
)


@pytest.fixture
def reviewer() -> User:
    return make_user("reviewer")


def plan(rows: QuerySet[Any, Any]) -> str:
    return rows.explain()


def asked(**chosen: str) -> dict[str, str]:
    return {"q": "", "show": "todo", "sort": "urgency", **chosen}


@only_sqlite
@pytest.mark.parametrize(("chosen", "index"), FILTERS)
@pytest.mark.parametrize("show", SHOWS)
def test_many_films_are_read_in_order_and_few_are_looked_up(
    reviewer: User, chosen: dict[str, str], index: str, show: str
) -> None:
    lookup = plan(worklist_page.filtered(reviewer, asked(show=show, **chosen)).order_by())
    assert "SEARCH" in lookup
    assert "SCAN" not in lookup
    assert "clinic_id=?" in lookup
    if index and not SHOWS[show]:
        assert index in lookup
    if SHOWS[show] and not chosen:
        assert SHOWS[show] in lookup
    for sort, order in worklist_page.ORDERS.items():
        (part,) = worklist_page.in_order(reviewer, asked(show=show, sort=sort, **chosen))
        for place in (None, [0] * len(order)):
            following = (
                part.filter(pagination.beyond(order, place))
                if place and sort in ("urgency", "suspicion")
                else part
            )
            reading = plan(following.order_by(*order)[:50])
            assert "USING INDEX worklist_" in reading
            assert "B-TREE" not in reading


@only_sqlite
def test_the_review_queue_is_read_in_order(reviewer: User) -> None:
    for kind in review_queue.Kind:
        order = review_queue.ORDERS[kind].by
        for part in review_queue.parts(reviewer, kind):
            reading = plan(part.order_by(*order)[:12])
            assert "USING INDEX queue_" in reading
            assert "B-TREE" not in reading


@only_sqlite
def test_a_search_reads_only_the_index_of_names_and_numbers(reviewer: User) -> None:
    administrator = make_user("administrator")
    for user, index in ((reviewer, "patient_search"), (administrator, "patient_search_everywhere")):
        reading = plan(querysets.matching(user, ["ada", "77"]).values_list("pk"))
        assert f"USING COVERING INDEX {index}" in reading
        reading = plan(querysets.matching(user, []).order_by(*search.ORDER)[:25])
        assert index in reading
        assert "B-TREE" not in reading


@only_sqlite
def test_what_is_new_is_read_from_the_newest(reviewer: User) -> None:
    for chosen, _ in FILTERS:
        assert "film_id>?" in plan(worklist_page.news(reviewer, asked(**chosen), 7).order_by())


def test_a_search_in_the_worklist_finds_few_and_many_alike(
    client: Client, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic: Clinic | None = reviewer.clinic
    assert clinic is not None
    wanted = [film_in(clinic, name) for name in ("Juniper Vale", "Juno Hill", "Junia Moor")]
    film_in(clinic, "Somebody Else")
    film_in(ClinicFactory(), "Juniper Elsewhere")
    chosen = asked(q="JUN")
    few = [line.row.film_id for line in worklist_page.page(reviewer, chosen).lines]
    monkeypatch.setattr(worklist_page, "FEW", 1)
    monkeypatch.setattr(worklist_page, "COUNTED", 1)
    page = worklist_page.page(reviewer, chosen)
    assert [line.row.film_id for line in page.lines] == few == sorted(wanted, reverse=True)
    assert page.many
    assert worklist_page.news(reviewer, chosen, wanted[0]).count() == 2


def test_an_administrator_sees_the_clinics_in_one_order(client: Client) -> None:
    clinics = [ClinicFactory() for _ in range(3)]
    films = [film_in(clinics[n % 3], f"Patient {n}") for n in range(7)]
    WorklistRow.objects.filter(film=films[2]).update(urgency=4.5)
    administrator = make_user("administrator")
    rows = pagination.first(
        worklist_page.in_order(administrator, asked()), worklist_page.ORDERS["urgency"], 4
    )
    assert [row.film_id for row in rows] == [films[2], films[6], films[5], films[4]]


def test_patients_follow_each_other_without_a_gap(
    client: Client, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SIZE", 2)
    for name in ("Same Name", "Same Name", "Same Name", "Another", "Zoe"):
        PatientFactory(clinic=reviewer.clinic, name=name)
    seen, page, back = [], search.page(reviewer, []), []
    while True:
        seen += [patient.pk for patient in page.patients]
        if page.after is None:
            break
        back.append([patient.pk for patient in page.patients])
        page = search.page(reviewer, [], after=str(page.after))
    assert len(seen) == len(set(seen)) == 5
    while page.before is not None:
        page = search.page(reviewer, [], before=str(page.before))
        assert [patient.pk for patient in page.patients] == back.pop()
    assert not back
    for nonsense in ("x", "99999999", "9" * 30, "²"):
        assert search.page(reviewer, [], after=nonsense).before is None
    client.force_login(reviewer)
    text = client.get(reverse("patients"), {"q": "same"}).content.decode()
    assert "3 patients" in text
    assert 'rel="next"' in text


def film_in(clinic: Clinic, name: str) -> int:
    film = FilmFactory(study=StudyFactory(patient=PatientFactory(clinic=clinic, name=name)))
    worklist.refresh([film.pk])
    return int(film.pk)


def test_the_access_log_is_searched_by_user_and_by_patient(
    client: Client, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(make_user("administrator"))
    one, other = PatientFactory(mrn="ONE-1"), PatientFactory(mrn="OTHER-2")
    for patient, what in ((one, "first thing"), (other, "second thing")):
        audit_log.append(reviewer, "seen", patient, what, None)
    audit_log.append(make_user("clinician"), "seen", one, "third thing", None)
    address = reverse("admin:diagnosis_accesslog_changelist")

    def things(words: str) -> set[str]:
        page = client.get(address, {"q": words}).content.decode()
        return {word for word in ("first", "second", "third") if f"{word} thing" in page}

    assert things("") == {"first", "second", "third"}
    assert things("one-1") == {"first", "third"}
    assert things(reviewer.email) == {"first", "second"}
    assert things("nobody") == set()
    monkeypatch.setattr(admin, "COUNTED", 2)
    assert "2 access logs" in client.get(address).content.decode()
