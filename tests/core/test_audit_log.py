"""The access log: a chain that shows what was changed or taken out, and that never forks."""

import multiprocessing
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client

from diagnosis.core import audit_log
from diagnosis.models import AccessLog, Patient
from pneumoweb.accounts.models import User
from tests.support.factories import PatientFactory


def entries(number: int, patient: Patient | None = None) -> list[AccessLog]:
    patient = patient or PatientFactory()
    user = patient.created_by
    return [
        audit_log.append(user, AccessLog.Action.SEEN, patient, f"film {n}", "192.0.2.1")
        for n in range(number)
    ]


def change(sql: str, row: AccessLog) -> None:
    """Do what no code of ours does: change the table behind the model."""
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} WHERE id = %s", [row.pk])


@pytest.mark.django_db
def test_an_untouched_chain_holds() -> None:
    rows = entries(5)
    assert list(audit_log.broken_links()) == []
    assert rows[0].previous == audit_log.START
    assert [row.previous for row in rows[1:]] == [row.digest for row in rows[:-1]]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE diagnosis_accesslog SET what = 'film 99'",
        "UPDATE diagnosis_accesslog SET action = 'changed'",
        "UPDATE diagnosis_accesslog SET at = '2026-01-01 00:00:00'",
        "UPDATE diagnosis_accesslog SET address = '192.0.2.9'",
        "UPDATE diagnosis_accesslog SET address = NULL",
    ],
)
def test_a_changed_row_is_found(sql: str) -> None:
    rows = entries(5)
    change(sql, rows[2])
    assert list(audit_log.broken_links()) == [rows[2]]


@pytest.mark.django_db
@pytest.mark.parametrize("place", [0, 2])
def test_a_removed_row_is_found_by_its_successor(place: int) -> None:
    rows = entries(5)
    change("DELETE FROM diagnosis_accesslog", rows[place])
    assert list(audit_log.broken_links()) == [rows[place + 1]]


@pytest.mark.django_db
def test_a_row_that_was_changed_and_sealed_again_is_found_by_its_successor() -> None:
    rows = entries(4)
    rows[1].what = "film 99"
    change(
        f"UPDATE diagnosis_accesslog SET what = 'film 99', digest = '{audit_log.digest(rows[1])}'", rows[1]
    )
    assert list(audit_log.broken_links()) == [rows[2]]


@pytest.mark.django_db
def test_rows_cannot_be_changed_or_removed_by_the_model() -> None:
    entries(1)
    with pytest.raises(TypeError, match="append-only"):
        AccessLog.objects.update(what="nothing")
    with pytest.raises(TypeError, match="append-only"):
        AccessLog.objects.all().delete()


def append_many(user: int, patient: int, results: Any) -> None:
    try:
        person, subject = User.objects.get(pk=user), Patient.objects.get(pk=patient)
        for n in range(40):
            audit_log.append(person, AccessLog.Action.SEEN, subject, f"film {n}", None)
        results.put("")
    except Exception as error:  # noqa: BLE001 - the parent reports it
        results.put(repr(error))
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_make_one_chain() -> None:
    patient = PatientFactory()
    facts = (patient.created_by.pk, patient.pk)
    # A connection must not be shared by parent and child.
    connections.close_all()
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    writers = [fork.Process(target=append_many, args=(*facts, results)) for _ in range(6)]
    for writer in writers:
        writer.start()
    assert [results.get(timeout=90) for _ in writers] == [""] * len(writers)
    for writer in writers:
        writer.join(10)
    assert AccessLog.objects.count() == 240
    assert list(audit_log.broken_links()) == []
    assert AccessLog.objects.values("previous").distinct().count() == 240


@pytest.mark.django_db
def test_the_logged_address_is_the_readers_not_the_proxys(client: Client, settings: Any) -> None:
    patient = PatientFactory()
    client.force_login(patient.created_by)
    forwarded = {"x-forwarded-for": "198.51.100.7"}
    client.get(f"/patients/{patient.pk}/", headers=forwarded)
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    client.get(f"/patients/{patient.pk}/", headers=forwarded)
    # Without a proxy the header is anybody's claim, so it counts for nothing.
    assert [row.address for row in AccessLog.objects.all()] == ["198.51.100.7", "127.0.0.1"]
