"""A manifest is judged whole, with its lines, before anything is taken in."""

import pytest

from diagnosis.intake.batches import manifest
from pneumoweb.accounts.models import Clinic
from tests.support.factories import ClinicFactory, PatientFactory

pytestmark = pytest.mark.django_db
HEAD = "file,patient number,name,birth date,sex,study date,view\n"


@pytest.fixture
def clinic() -> Clinic:
    return ClinicFactory()


def faults(text: str, clinic: Clinic) -> list[str]:
    with pytest.raises(manifest.BadManifest) as refused:
        manifest.read(text.encode(), clinic)
    return refused.value.faults


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_in_any_order_with_any_separator(clinic: Clinic, separator: str) -> None:
    head = "\ufeffPatient Number,File,Sex,Study date,View,Birth date,Name\n"
    text = f"{head}P-7,a/One.PNG,female,22 Nov 2025,pa,2023-05-01,Ann Example\n"
    rows = manifest.read(text.replace(",", separator).encode(), clinic)
    row = manifest.row_of(rows, "A/one.png")
    assert row is not None
    assert (row.mrn, row.name, row.sex, row.view) == ("P-7", "Ann Example", "F", "PA")
    assert (str(row.birth_date), str(row.study_date)) == ("2023-05-01", "2025-11-22")
    assert manifest.row_of(rows, "one.png") is None


def test_what_one_line_of_a_patient_says_holds_for_the_others(clinic: Clinic) -> None:
    rows = manifest.read(f"{HEAD}a.png,P-1,Ann Example,2023-05-01,F,,\nb.png,p-1,,,,,\n".encode(), clinic)
    row = manifest.row_of(rows, "b.png")
    assert row is not None
    assert (row.name, row.sex, str(row.birth_date)) == ("Ann Example", "F", "2023-05-01")


LINES = {
    "no number": ("a.png,,Ann,,,,", "Line 2: the patient number is empty."),
    "no file": (",P-1,Ann,,,,", "Line 2: the file is empty."),
    "sex": ("a.png,P-1,Ann,,X,,", "Line 2: the sex “X”"),
    "view": ("a.png,P-1,Ann,,,,lateral", "Line 2: the view “lateral”"),
    "ambiguous day": ("a.png,P-1,Ann,03/04/2023,,,", "Line 2: the birth date “03/04/2023” is not a day"),
    "future": ("a.png,P-1,Ann,,,2999-01-01,", "Line 2: the study date 2999-01-01 lies in the future."),
    "before birth": (
        "a.png,P-1,Ann,2024-01-02,,2024-01-01,",
        "Line 2: the study date lies before the birth date.",
    ),
    "unknown without name": (
        "a.png,P-1,,,,,",
        "Line 2: the patient P-1 is not registered, so the name is needed.",
    ),
    "file twice": (
        "a.png,P-1,Ann,,,,\nA.png,P-2,Bea,,,,",
        "Line 3: the file A.png stands in line 2 already.",
    ),
    "two names": (
        "a.png,P-1,Ann,,,,\nb.png,P-1,Bea,,,,",
        "Line 3: the name of patient P-1 is another one than in line 2.",
    ),
    "nothing": ("", "The manifest names no file"),
}


@pytest.mark.parametrize(("lines", "sentence"), LINES.values(), ids=LINES.keys())
def test_a_fault_is_said_with_its_line(clinic: Clinic, lines: str, sentence: str) -> None:
    assert any(fault.startswith(sentence) for fault in faults(HEAD + lines, clinic))


def test_all_faults_are_told_at_once(clinic: Clinic) -> None:
    found = faults(HEAD + "a.png,,Ann,,,,\nb.png,P-1,Ann,,X,,\n", clinic)
    assert [fault.partition(":")[0] for fault in found] == ["Line 2", "Line 3"]
    many = faults(HEAD + "".join(f"{n}.png,,,,,,\n" for n in range(50)), clinic)
    assert many[-1] == "… and 30 more."


def test_a_registered_patient_needs_no_name(clinic: Clinic) -> None:
    PatientFactory(clinic=clinic, mrn="P-1")
    assert manifest.read(f"{HEAD}a.png,p-1,,,,,\n".encode(), clinic)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("name,file\n", "“patient number” is missing"),
        ("file,patient number,ward\n", "the column “ward” is not known"),
        ("file,patient number,mrn\n", "two columns for the number"),
    ],
)
def test_a_wrong_header_names_the_columns(clinic: Clinic, content: str, word: str) -> None:
    found = faults(content + "a.png,P-1,x\n", clinic)
    assert word in " ".join(found)
    assert found[-1].startswith("The columns are: file, patient number")


@pytest.mark.parametrize(
    "content", ["file,patient number\nä.png,1\n".encode("latin-1"), "file\n".encode("utf-16")]
)
def test_what_is_no_utf8_text_is_refused_in_words(clinic: Clinic, content: bytes) -> None:
    with pytest.raises(manifest.BadManifest, match="CSV UTF-8"):
        manifest.read(content, clinic)
