"""Whose film a file says it is, against the patient's record."""

from datetime import date
from typing import Any

import pytest

from diagnosis.intake import identity
from diagnosis.models import Patient
from ml.images.decoded import Offered
from tests.support.factories import PatientFactory

PATIENT = Patient(mrn="MRN-7", name="Anna Müller", birth_date=date(2021, 3, 15), sex="F")


@pytest.mark.parametrize(
    "offered",
    [
        {},
        {"mrn": "mrn-7", "name": "MULLER ANNA", "birth_date": date(2021, 3, 15), "sex": "F"},
        {"mrn": " MRN-7 ", "name": "Müller, Anna Maria"},
        {"name": "anna-müller"},
    ],
)
def test_the_same_person_written_otherwise(offered: dict[str, Any]) -> None:
    assert identity.differences(Offered(**offered), PATIENT) == []


@pytest.mark.parametrize(
    ("offered", "what", "in_file", "of_patient"),
    [
        ({"mrn": "MRN-8"}, "patient number", "MRN-8", "MRN-7"),
        ({"name": "Anna Möller"}, "name", "Anna Möller", "Anna Müller"),
        ({"name": "Müller"}, "name", "Müller", "Anna Müller"),
        ({"birth_date": date(2021, 5, 13)}, "birth date", "13 May 2021", "15 Mar 2021"),
        ({"sex": "M"}, "sex", "Male", "Female"),
    ],
)
def test_another_person(offered: dict[str, Any], what: str, in_file: str, of_patient: str) -> None:
    assert identity.differences(Offered(**offered), PATIENT) == [(what, in_file, of_patient)]


def test_what_the_record_does_not_know_is_no_difference() -> None:
    unknown = Patient(mrn="MRN-7", name="Anna Müller", sex="U")
    assert identity.differences(Offered(birth_date=date(2021, 3, 15), sex="M"), unknown) == []


@pytest.mark.django_db
def test_a_patient_is_found_by_number_or_by_name_and_birth_date() -> None:
    by_number = PatientFactory(mrn="A1", name="One Person")
    by_name = PatientFactory(mrn="A2", name="Other Person", birth_date=date(2020, 1, 2))
    PatientFactory(mrn="A3", name="Other Person", birth_date=date(2020, 1, 3))
    offered = Offered(mrn="a1", name="Person^Other", birth_date=date(2020, 1, 2))
    assert identity.find(Patient.objects.all(), offered) == [by_number, by_name]
    assert identity.find(Patient.objects.all(), Offered()) == []
