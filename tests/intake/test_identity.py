"""Whose film a file says it is, against the patient's record."""

from datetime import date
from typing import Any

import pytest
from pydicom.dataset import Dataset

from diagnosis.intake import identity
from diagnosis.models import Patient
from ml.images.decoded import Offered
from ml.images.dicom_header import offered_of
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


def dataset_named(name: str) -> Dataset:
    dataset = Dataset()
    dataset.PatientName = name
    return dataset


SAME_NAMES = [
    ("Yamada^Tarou", "tarou  YAMADA"),
    ("山田^太郎", "山田太郎"),
    ("山田太郎", "山田\u3000太郎"),
    ("山田^太郎", "太郎 山田"),
    ("ﾔﾏﾀﾞ^ﾀﾛｳ", "やまだ たろう"),
    ("김^철수", "김철수"),
    ("MUELLER^JUERGEN", "Jürgen Müller"),
    ("MULLER^JURGEN", "Ju\u0308rgen Mu\u0308ller"),
    ("GROSS^OEZGUER", "Özgür Groß"),
    ("JOERGENSEN^SOEREN", "Søren Jørgensen"),
    ("Jörgensen^Sören", "Søren Jørgensen"),
    ("AAGAARD^ASE", "Åse Ågård"),
    ("JAEGER^BJORN", "Bjørn Jæger"),
    ("WALESA^LUKASZ", "Łukasz Wałęsa"),
    ("DJOKIC^DORDE", "Đorđe Đokić"),
    ("YILDIZ^ISIL", "Işıl Yıldız"),
    ("ILKER^IPEK", "İpek İlker"),
    ("NGUYEN^DUC", "Đức Nguyễn"),
    ("OBRIEN^MARY", "Mary O’Brien"),
    ("O BRIEN^MARY", "Mary O'Brien"),
    ("OʼBRIEN^MARY ANN", "Mary O´Brien"),
    ("DUPONT^JEANPIERRE", "Jean-Pierre Dupont"),
    ("SMITHJONES^ANNA", "Anna Smith‑Jones"),
    ("VAN DER BERG^EVA", "Eva vanderBerg"),
    ("DAngelo^Gio", "Gio D‘Angelo"),
]


@pytest.mark.parametrize(("in_file", "of_patient"), SAME_NAMES)
def test_one_name_in_two_spellings(in_file: str, of_patient: str) -> None:
    assert identity.same_name(in_file, of_patient)
    assert identity.same_name(of_patient, in_file)


OTHER_NAMES = [
    ("山田^太郎", "山田太郎子"),
    ("山田^太郎", "山田 次郎"),
    ("かとう^たろう", "がとう たろう"),
    ("MOELLER^JUERGEN", "Jürgen Müller"),
    ("BAUR^ANNA", "Anna Bauer"),
    ("LI^NA", "Lina Schmidt"),
    ("OBRIEN", "Mary O'Brien"),
    ("OBRIEN^MARY", "O'Brien"),
    ("प्रिया", "प्रय"),
    ("", "Anna"),
]


@pytest.mark.parametrize(("in_file", "of_patient"), OTHER_NAMES)
def test_another_name(in_file: str, of_patient: str) -> None:
    assert not identity.same_name(in_file, of_patient)
    assert not identity.same_name(of_patient, in_file)


def test_long_names_are_compared_quickly() -> None:
    assert identity.same_name("ü" * 100, "ue" * 100)
    assert not identity.same_name(
        " ".join("ab" * n for n in range(1, 9)), " ".join("ba" * n for n in range(1, 9))
    )
    alike = " ".join("ü" * length for length in range(1, 8))
    assert not identity.same_name(f"{alike} a", f"{alike} b")
    many = [chr(ord("a") + n) for n in range(20)]
    assert identity.same_name(" ".join(many), " ".join(reversed(many)))


@pytest.mark.parametrize("name", ["Tarou Yamada", "山田 太郎", "山田太郎", "ヤマダ タロウ", "山田\u3000太郎"])
def test_each_group_of_a_name_counts(name: str) -> None:
    offered = offered_of(dataset_named("Yamada^Tarou=山田^太郎=やまだ^たろう"))
    assert identity.differences(offered, Patient(mrn="1", name=name)) == []
    other = Patient(mrn="1", name="山田 花子")
    assert identity.differences(offered, other) == [("name", "Tarou Yamada", "山田 花子")]


@pytest.mark.parametrize(
    ("in_file", "offered"),
    [
        ("王^小明", "王小明"),
        ("=山田^太郎=やまだ^たろう", "山田太郎"),
        ("김^철수", "김철수"),
        ("佐々木^ケン", "佐々木ケン"),
        ("Yamada^Tarou=山田^太郎", "Tarou Yamada"),
        ("Müller^Anna^Maria^Dr.", "Dr. Anna Maria Müller"),
    ],
)
def test_a_cjk_name_is_offered_family_first_without_a_space(in_file: str, offered: str) -> None:
    assert offered_of(dataset_named(in_file)).name == offered


@pytest.mark.django_db
def test_a_patient_is_found_by_number_or_by_name_and_birth_date() -> None:
    by_number = PatientFactory(mrn="A1", name="One Person")
    by_name = PatientFactory(mrn="A2", name="Other Person", birth_date=date(2020, 1, 2))
    PatientFactory(mrn="A3", name="Other Person", birth_date=date(2020, 1, 3))
    offered = Offered(mrn="a1", name="Person^Other", birth_date=date(2020, 1, 2))
    assert identity.find(Patient.objects.all(), offered) == [by_number, by_name]
    assert identity.find(Patient.objects.all(), Offered()) == []
