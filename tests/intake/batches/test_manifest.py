"""A manifest is judged whole, with its lines, before anything is taken in."""

from datetime import UTC, datetime, timedelta

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


def test_a_patient_may_be_spelled_in_two_ways(clinic: Clinic) -> None:
    lines = "a.png,1,Jürgen Müller,,,,\nb.png,1,MUELLER Juergen,,,,\n"
    assert manifest.read((HEAD + lines).encode(), clinic)


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


UNREADABLE = {
    "cp1251": "file,patient number\nИванов.png,1\n".encode("cp1251"),
    "cp1250": "file,patient number\nPaweł.png,1\n".encode("cp1250"),
    "shift-jis": "file,patient number\n山田太郎.png,1\n".encode("cp932"),
    "binary": b"PK\x03\x04\0\0\0",
    "utf-16 cut off": "file,patient number\n".encode("utf-16")[:-1],
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_text_that_cannot_be_read_for_sure_is_refused_in_words(clinic: Clinic, content: bytes) -> None:
    with pytest.raises(manifest.BadManifest, match="CSV UTF-8"):
        manifest.read(content, clinic)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("sep", ["", "sep={}\r\n", '"sep={}"\r\n'])
def test_what_spreadsheets_write_is_read(clinic: Clinic, encoding: str, separator: str, sep: str) -> None:
    text = "file,patient number,name\r\nÄpfel.png,0012,Jürgen Groß\r\n".replace(",", separator)
    row = manifest.row_of(manifest.read((sep.format(separator) + text).encode(encoding), clinic), "äpfel.png")
    assert row is not None
    assert (row.mrn, row.name) == ("0012", "Jürgen Groß")


def test_the_line_that_names_the_separator_is_counted(clinic: Clinic) -> None:
    assert faults("sep=;\nfile;patient number\na.png;\n", clinic) == ["Line 3: the patient number is empty."]
    assert faults("sep=;\nfile;ward\n", clinic)[0].startswith("Line 2: the column “ward”")


DAYS = [
    "1970-02-13", "1970-2-13", "1970/02/13", "1970.02.13", "1970. 02. 13.", "19700213", "13.02.1970", "13.2.1970",
    "13. 2. 1970", "13 Feb 1970", "13-Feb-1970", "13. February 1970", "Feb 13, 1970", "February 13, 1970",
    "13/02/1970", "02/13/1970",
    "2/13/1970", "13-02-1970", "1970-02-13 00:00:00", "1970-02-13T10:30", "13.02.1970 00:00", "2/13/1970 0:00",
]  # fmt: skip


@pytest.mark.parametrize("day", DAYS)
def test_days_as_spreadsheets_write_them(clinic: Clinic, day: str) -> None:
    content = f"file;patient number;name;birth date\na.png;1;Ann;{day}\n"
    row = manifest.row_of(manifest.read(content.encode(), clinic), "a.png")
    assert row is not None
    assert str(row.birth_date) == "1970-02-13"


@pytest.mark.parametrize(
    "day", ["01.02.70", "31.02.1970", "13/13/1970", "1970213", "32/01/1970", "13.02/1970", "25569"]
)
def test_what_is_no_day_is_refused(clinic: Clinic, day: str) -> None:
    assert faults(f"{HEAD}a.png,P-1,Ann,{day},,,\n", clinic)[0].startswith(
        f"Line 2: the birth date “{day}” is not a day"
    )


def test_days_of_a_column_have_one_order(clinic: Clinic) -> None:
    lines = (
        "a.png,1,Ann,11/22/2020,,22/11/2025,\nb.png,2,Bea,05/05/2021,,,\nc.png,3,Cleo,1/31/2022,,30/1/2025,\n"
    )
    rows = manifest.read((HEAD + lines).encode(), clinic)
    read = [manifest.row_of(rows, f"{name}.png") for name in "abc"]
    assert [str(row.birth_date) for row in read if row] == ["2020-11-22", "2021-05-05", "2022-01-31"]
    assert [str(row.study_date) for row in read if row] == ["2025-11-22", "None", "2025-01-30"]


def test_days_that_can_be_read_in_two_ways_are_refused(clinic: Clinic) -> None:
    lines = "a.png,1,Ann,11/22/2020,,,\nb.png,2,Bea,03/04/2021,,,\n"
    assert faults(HEAD + lines, clinic) == [
        "Line 3: the birth date “03/04/2021” is not a day that can be read in one way only: "
        "it may be 3 Apr 2021 or 4 Mar 2021. Write it as 2026-11-22."
    ]
    found = faults(HEAD + "a.png,1,Ann,11/22/2020,,,\nb.png,2,Bea,22/11/2020,,,\n", clinic)
    assert [fault.partition("has another order")[1] for fault in found] == ["has another order"] * 2


@pytest.mark.parametrize(("days", "taken"), [(0, True), (1, True), (2, False)])
def test_tomorrow_is_today_further_east(
    clinic: Clinic, days: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
    monkeypatch.setattr(manifest.timezone, "now", lambda: now)
    content = f"{HEAD}a.png,1,Ann,,,{now.date() + timedelta(days=days)},\n"
    if taken:
        assert manifest.read(content.encode(), clinic)
    else:
        assert "lies in the future" in faults(content, clinic)[0]
