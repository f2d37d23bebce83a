"""Patients: find, register, change, history."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from diagnosis.models import AccessLog, Patient
from diagnosis.reading.reviews import record
from pneumoweb.accounts.models import User
from tests.support.factories import (
    AnswerFactory,
    ClinicFactory,
    FilmFactory,
    PatientFactory,
    StudyFactory,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinician(client: Client) -> User:
    user = make_user("clinician")
    client.force_login(user)
    return user


def details(**changes: str) -> dict[str, str]:
    return {"mrn": "A-1", "name": "Ada Example", "birth_date": "2023-02-03", "sex": "F", **changes}


def test_register(client: Client, clinician: User) -> None:
    response = client.post(reverse("patient_new"), details(mrn="  A  1 ", name=" Ada   Example "))
    patient = Patient.objects.get()
    assert response["Location"] == reverse("upload", args=[patient.pk])
    assert (patient.mrn, patient.name, patient.birth_date) == ("A 1", "Ada Example", date(2023, 2, 3))
    assert (patient.clinic, patient.created_by) == (clinician.clinic, clinician)
    assert AccessLog.objects.get().action == "created"


def test_nobody_registers_into_another_clinic(client: Client, clinician: User) -> None:
    client.post(reverse("patient_new"), details(clinic=str(ClinicFactory().pk)))
    assert Patient.objects.get().clinic == clinician.clinic


def test_an_administrator_names_the_clinic(client: Client) -> None:
    client.force_login(make_user("administrator"))
    clinic = ClinicFactory()
    assert client.post(reverse("patient_new"), details()).status_code == 422
    client.post(reverse("patient_new"), details(clinic=str(clinic.pk)))
    assert Patient.objects.get().clinic == clinic


TOMORROW = (timezone.localdate() + timedelta(days=2)).isoformat()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mrn": ""}, "required"),
        ({"mrn": "taken"}, "belongs to Somebody Else already"),
        ({"mrn": "TAKEN"}, "belongs to Somebody Else already"),
        ({"name": ""}, "required"),
        ({"birth_date": TOMORROW}, "lies in the future"),
        ({"birth_date": "1801-01-01"}, "Check the year"),
        ({"birth_date": "31.31.2020"}, "valid date"),
        ({"sex": "X"}, "valid choice"),
        ({"mrn": "m" * 65}, "64"),
    ],
)
def test_bad_details_are_said_and_nothing_is_kept(
    client: Client, clinician: User, changes: dict[str, str], words: str
) -> None:
    PatientFactory(clinic=clinician.clinic, mrn="taken", name="Somebody Else")
    response = client.post(reverse("patient_new"), details(**changes))
    assert response.status_code == 422
    assert words in response.content.decode()
    assert Patient.objects.count() == 1


def test_the_same_number_in_another_clinic_is_another_patient(client: Client, clinician: User) -> None:
    PatientFactory(mrn="A-1")
    assert client.post(reverse("patient_new"), details()).status_code == 302
    assert Patient.objects.filter(mrn="A-1").count() == 2


def test_change_is_kept_and_logged(client: Client, clinician: User) -> None:
    patient = PatientFactory(clinic=clinician.clinic, name="Misspelt")
    client.post(reverse("patient_edit", args=[patient.pk]), details(name="Spelt"))
    patient.refresh_from_db()
    assert patient.name == "Spelt"
    assert AccessLog.objects.get().what.startswith("patient: mrn, name")


@pytest.mark.parametrize(
    ("q", "found"), [("yus", 1), ("AMINA yusuf", 1), ("77", 1), ("amina 77", 1), ("nobody", 0)]
)
def test_find_by_parts_of_name_and_number(client: Client, clinician: User, q: str, found: int) -> None:
    PatientFactory(clinic=clinician.clinic, name="Amina Yusuf", mrn="N-077")
    PatientFactory(clinic=clinician.clinic, name="Chen Wei", mrn="N-100")
    page = client.get(reverse("patients"), {"q": q}, headers={"hx-request": "true"}).content.decode()
    assert page.count("<tr>") == (found + 1 if found else 0)
    assert "<html" not in page
    assert "Chen Wei" not in page


def turn() -> int:
    """PostgreSQL is asked for the turn in the access log, in a query of its own."""
    return int(connection.vendor == "postgresql")


def test_many_patients_come_in_pages_with_a_constant_number_of_queries(
    client: Client, clinician: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(30):
        StudyFactory(patient=PatientFactory(clinic=clinician.clinic, created_by=clinician))
    with django_assert_max_num_queries(12 + turn()):
        page = client.get(reverse("patients")).content.decode()
    assert page.count("<tr>") == 26
    assert "30 patients" in page


def test_history_shows_each_study_newest_first_with_answer_version_and_review(
    client: Client, clinician: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    patient = PatientFactory(clinic=clinician.clinic)
    days = [date(2026, 1, 5), date(2026, 3, 7), date(2026, 2, 6)]
    answers = [
        AnswerFactory(film=FilmFactory(study=StudyFactory(patient=patient, taken_on=day)), probability=p)
        for day, p in zip(days, (0.61, 0.72, 0.83), strict=True)
    ]
    reviewer = make_user("reviewer", clinician.clinic, first_name="Rosa", last_name="Reader")
    record(reviewer, answers[1], "normal", "only a thymus")
    with django_assert_max_num_queries(18 + turn()):
        page = client.get(reverse("patient", args=[patient.pk])).content.decode()
    page = page.partition('class="timeline"')[2]
    assert page.index("7 Mar 2026") < page.index("6 Feb 2026") < page.index("5 Jan 2026")
    for words in ("61 %", "72 %", "83 %", answers[0].model_version.name, "Rosa Reader", "only a thymus"):
        assert words in page


def test_history_takes_no_more_queries_for_more_studies(client: Client, clinician: User) -> None:
    counts = []
    for studies in (2, 12):
        patient = PatientFactory(clinic=clinician.clinic)
        for _ in range(studies):
            AnswerFactory(film=FilmFactory(study=StudyFactory(patient=patient)))
        client.get(reverse("patient", args=[patient.pk]))
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("patient", args=[patient.pk]))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_an_empty_history_says_what_to_do_next(client: Client, clinician: User) -> None:
    patient = PatientFactory(clinic=clinician.clinic)
    assert (
        "No films of this patient yet" in client.get(reverse("patient", args=[patient.pk])).content.decode()
    )


def test_pages_about_patients_are_not_cached(client: Client, clinician: User) -> None:
    assert client.get(reverse("patients"))["Cache-Control"] == "private, no-store"
