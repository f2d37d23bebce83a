"""DICOM through the pages: filed, asked about, stripped of whose it is; patients found and registered by a file."""

import importlib
import json
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.serializers.json import DjangoJSONEncoder
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from diagnosis.intake import films
from diagnosis.models import AccessLog, Film, Patient, Study
from ml.images.reader import read_radiograph
from pneumoweb.accounts.models import Clinic, User
from tests.support.dicoms import REFUSED, dx, stored
from tests.support.factories import ModelVersionFactory, PatientFactory, make_user
from tests.support.pictures import png

pytestmark = pytest.mark.django_db
TELLTALE = "Telltale"


@pytest.fixture
def patient() -> Patient:
    """The patient whom the DICOM files of the tests name."""
    ModelVersionFactory(stage="production")
    return PatientFactory(mrn="SYN-0000", name="Anna Nobody", birth_date=date(2021, 3, 15), sex="F")


@pytest.fixture
def clinician(client: Client, patient: Patient) -> User:
    user = make_user("clinician", patient.clinic)
    client.force_login(user)
    return user


def receive(user: User, patient: Patient, content: bytes, **more: Any) -> films.Received:
    options = {"taken_on": None, "upload_key": uuid.uuid4(), **more}
    return films.receive(user, patient, ContentFile(content, name="film.dcm"), **options)


def send(client: Client, patient: Patient, content: bytes, **fields: Any) -> Any:
    data = {"upload_key": str(uuid.uuid4()), "films": SimpleUploadedFile("film.dcm", content), **fields}
    headers = {"x-requested-with": "upload"}
    return client.post(reverse("upload", args=[patient.pk]), data, headers=headers)


def test_a_film_that_fits_is_filed_with_its_date_view_and_depth(
    client: Client, patient: Patient, clinician: User
) -> None:
    assert send(client, patient, dx()).status_code == 201
    film = Film.objects.get()
    assert (film.source_format, film.bits, film.study.taken_on, film.study.view) == (
        "DICOM", 12, date(2026, 11, 3), "PA",
    )  # fmt: skip
    assert film.facts["study_date"] == "2026-11-03"
    with film.values.open() as file:
        assert read_radiograph(file.read()).bits == 12
    page = client.get(reverse("film", args=[film.pk])).content.decode()
    for text in (
        "DX, digital radiography",
        "0.15 × 0.15 mm at the detector",
        "12 bits, MONOCHROME2",
        "3 Nov 2026",
    ):
        assert text in page


def test_a_month_is_kept_where_the_clinic_wants_no_more(patient: Patient, clinician: User) -> None:
    Clinic.objects.update(study_dates=Clinic.StudyDates.MONTH)
    patient.refresh_from_db()
    film = receive(clinician, patient, dx()).film
    assert film.study.taken_on == date(2026, 11, 1)
    assert film.facts["study_date"] == "2026-11"
    # A day of that month is no contradiction, and what a user enters is kept.
    assert receive(clinician, patient, dx(1), taken_on=date(2026, 11, 9)).film.study.taken_on == date(
        2026, 11, 9
    )


def test_without_any_date_it_is_today(patient: Patient, clinician: User) -> None:
    assert receive(clinician, patient, dx(StudyDate=None)).film.study.taken_on == timezone.localdate()
    assert receive(clinician, patient, png()).film.study.taken_on == timezone.localdate()


@pytest.mark.parametrize(("day", "word"), [("20200101", "before the patient"), ("29990101", "in the future")])
def test_an_impossible_date_in_the_file_is_refused(
    patient: Patient, clinician: User, day: str, word: str
) -> None:
    with pytest.raises(films.Refused, match=word):
        receive(clinician, patient, dx(StudyDate=day))
    assert not Film.objects.exists()


def test_a_date_of_tomorrow_was_taken_east_of_the_server(patient: Patient, clinician: User) -> None:
    tomorrow = timezone.localdate() + timedelta(days=1)
    film = receive(clinician, patient, dx(StudyDate=f"{tomorrow:%Y%m%d}")).film
    assert film.study.taken_on == tomorrow


def test_films_of_two_days_are_two_studies(patient: Patient, clinician: User) -> None:
    key = uuid.uuid4()
    days = ("20261103", "20261104", "20261104")
    for number, day in enumerate(days):
        receive(clinician, patient, dx(number, StudyDate=day), upload_key=key)
    assert sorted(study.films.count() for study in Study.objects.all()) == [1, 2]


def test_another_patients_film_waits_for_an_answer(client: Client, patient: Patient, clinician: User) -> None:
    content = dx(PatientName="Other^Person", PatientID="SYN-0001")
    before = stored_files()
    response = send(client, patient, content)
    assert response.status_code == 409
    page = response.content.decode()
    for text in ("Person Other", "Anna Nobody", "SYN-0001", "SYN-0000", "It is this patient"):
        assert text in page
    assert not Film.objects.exists()
    assert stored_files() == before
    assert send(client, patient, content, answered="1").status_code == 201
    film = Film.objects.get()
    assert film.notes[-1] == "filed under this patient though the file says otherwise: patient number, name"
    row = AccessLog.objects.get(action="uploaded")
    assert row.what == f"film {film.pk}, answered for: patient number, name"


def test_another_date_than_the_files_is_asked_about(
    client: Client, patient: Patient, clinician: User
) -> None:
    response = send(client, patient, dx(), taken_on="2026-11-05")
    assert response.status_code == 409
    assert "Take the file" in response.content.decode()
    assert send(client, patient, dx(), taken_on="2026-11-05", answered="1").status_code == 201
    assert Study.objects.get().taken_on == date(2026, 11, 5)


def test_without_script_the_answer_is_a_page(client: Client, patient: Patient, clinician: User) -> None:
    data = {"upload_key": str(uuid.uuid4()), "films": SimpleUploadedFile("film.dcm", dx(PatientSex="M"))}
    response = client.post(reverse("upload", args=[patient.pk]), data)
    assert response.status_code == 422
    assert "0 of 1 film taken in" in response.content.decode()
    assert "Male" in response.content.decode()


def test_one_instance_has_one_set_of_pixels(patient: Patient, clinician: User) -> None:
    first = receive(clinician, patient, dx())
    # Another header around the same pixels is the same film.
    assert receive(clinician, patient, dx(StationName="other")).film == first.film
    with pytest.raises(films.Refused, match="its pixels are others"):
        receive(clinician, patient, dx(pixels=stored(7)))
    other = PatientFactory(
        clinic=patient.clinic, name=patient.name, birth_date=patient.birth_date, mrn="SYN-0000 "
    )
    with pytest.raises(films.Mismatch) as caught:
        receive(clinician, other, dx())
    assert [what for what, _, _ in caught.value.differences] == ["film"]
    assert Film.objects.count() == 1
    # In another clinic it is nobody's business.
    assert receive(
        clinician, PatientFactory(mrn="SYN-0000", name=patient.name, birth_date=patient.birth_date), dx()
    )


@pytest.mark.parametrize("what", ["CT slice", "lateral", "truncated", "declares 4 GB"])
def test_what_is_refused_leaves_nothing(client: Client, patient: Patient, clinician: User, what: str) -> None:
    before = stored_files()
    content, _, words = REFUSED[what]
    response = send(client, patient, content)
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Film.objects.exists()
    assert stored_files() == before


def test_nothing_that_says_whose_film_it_is_survives(
    client: Client, patient: Patient, clinician: User
) -> None:
    """Every element of the standard's profile (PS3.15 table E.1-1) and private ones hold a word that must be gone."""
    content, elements = marked_film()
    assert elements > 500
    assert content.count(TELLTALE.encode()) > 300
    before = set(stored_files())
    assert send(client, patient, content, answered="1").status_code == 201
    new = [Path(default_storage.path(name)).read_bytes() for name in set(stored_files()) - before]
    assert len(new) == 3
    rows = json.dumps(
        [list(model._default_manager.values()) for model in apps.get_models()],
        cls=DjangoJSONEncoder,
        ensure_ascii=False,
    )
    assert patient.name in rows
    assert "MONOCHROME2" in rows
    for telltale in TELLTALES:
        assert telltale.lower() not in rows.lower()
        assert not any(telltale.encode() in file for file in new)


TELLTALES = (TELLTALE, "18990509", "1899-05-09", "1.2.826.0.1.3680043.9.99", "1731820651", "7318.20651")
_BY_VR: dict[str, Any] = {
    "DA": "18990509", "DT": "18990509101112", "TM": "101112", "UI": "1.2.826.0.1.3680043.9.99.1", "IS": "1731820651",
    "DS": "7318.20651", "AS": "127Y", "PN": f"{TELLTALE}^Person", "CS": TELLTALE.upper(), "UR": f"http://{TELLTALE}",
}  # fmt: skip
_NUMBERS = {
    "US": 31337,
    "SS": -31337,
    "UL": 1731820651,
    "SL": 1731820651,
    "FL": 7318.20651,
    "FD": 7318.20651,
    "UV": 1,
}


def marked_film() -> tuple[bytes, int]:
    """A film whose every element of the profile, and a private block, an overlay and a curve, holds a telltale."""
    base = "dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c"
    profile = [pair for pair in importlib.import_module(base).ALL_TAGS if len(pair) == 2]
    # Groups 0000 and 0002 are those of messages and of the file itself.
    kept = (Tag("PixelData"), Tag("StudyDate"))
    tags = [tag for tag in map(Tag, profile) if tag.group > 2 and tag not in kept]
    marked: dict[str, Any] = {}
    holder = Dataset()
    for tag in tags:
        mark(holder, tag)
    mark(holder, Tag(0x50000022))
    holder.add_new(0x60000010, "US", 8)
    holder.add_new(0x60003000, "OB", TELLTALE.encode())
    mark(holder, Tag(0x60001500))
    holder.private_block(0x0011, TELLTALE, create=True).add_new(1, "LO", TELLTALE)
    for keyword in ("StationName", "ProtocolName", "ImageComments"):
        marked[keyword] = TELLTALE
    return dx(**marked, merged=holder), len(holder)


def mark(holder: Dataset, tag: Any) -> None:
    kind = dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "LO"
    if kind == "SQ":
        item = Dataset()
        item.PatientComments = TELLTALE
        value: Any = Sequence([item])
    elif kind in _NUMBERS:
        value = _NUMBERS[kind]
    elif kind in ("OB", "OW", "UN", "OF", "OD"):
        value = TELLTALE.encode()
    else:
        value = _BY_VR.get(kind, TELLTALE)
    holder.add_new(tag, kind, value)


def stored_files() -> list[str]:
    root = Path(default_storage.path(""))
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def ask(client: Client, content: bytes) -> Any:
    return client.post(reverse("patient_from_dicom"), {"film": SimpleUploadedFile("film.dcm", content)})


def test_a_new_patient_is_offered_from_a_file(client: Client, patient: Patient, clinician: User) -> None:
    before = stored_files()
    response = ask(client, dx(PatientID="NEW-1", PatientName="Fresh^Face", PatientSex="M"))
    page = response.content.decode()
    assert response.status_code == 200
    for text in ('value="NEW-1"', 'value="Face Fresh"', 'value="2021-03-15"', '<option value="M" selected>'):
        assert text in page
    assert "Registered already" not in page
    assert Patient.objects.count() == 1
    assert stored_files() == before


def test_a_name_in_further_scripts_is_shown_beside_the_field(
    client: Client, patient: Patient, clinician: User
) -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    page = ask(
        client, dx(PatientID="NEW-1", PatientName=name, SpecificCharacterSet="ISO_IR 192")
    ).content.decode()
    assert 'value="Tarou Yamada"' in page
    assert "Also in the file: 山田太郎, やまだたろう" in page
    page = ask(client, dx(PatientName="=山田^太郎", SpecificCharacterSet="ISO_IR 192")).content.decode()
    assert 'value="山田太郎"' in page
    assert "Also in the file" not in page


def test_a_patient_who_is_there_is_found_and_the_look_is_logged(
    client: Client, patient: Patient, clinician: User
) -> None:
    PatientFactory(mrn="SYN-0000", name="Somebody Elsewhere")
    page = ask(client, dx(PatientSex="M")).content.decode()
    assert "Registered already" in page
    assert reverse("upload", args=[patient.pk]) in page
    assert "Sex in the file" in page
    assert "Somebody Elsewhere" not in page
    assert AccessLog.objects.get(patient=patient).what == "patient, found by a DICOM file"


@pytest.mark.parametrize(
    ("content", "word"),
    [(png(), "no DICOM file"), (dx(ViewPosition="LL"), "lateral"), (b"text", "text file")],
)
def test_a_file_that_does_not_help_is_refused(
    client: Client, patient: Patient, clinician: User, content: bytes, word: str
) -> None:
    response = ask(client, content)
    assert response.status_code == 422
    assert word in response.content.decode()
