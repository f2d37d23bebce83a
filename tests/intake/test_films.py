"""A film arrives through the page: good, bad, double, many; nothing half-written stays."""

import io
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from diagnosis.inference import requests
from diagnosis.intake import films as intake_films
from diagnosis.models import Film, ModelVersion, Patient, Prediction, Study
from ml.images.reader import read_radiograph
from pneumoweb.accounts.models import User
from tests.support.factories import ModelVersionFactory, PatientFactory, make_user
from tests.support.pictures import animated_png, bomb_png, encoded, film_array, jpeg, png

pytestmark = pytest.mark.django_db


@pytest.fixture
def version() -> ModelVersion:
    return ModelVersionFactory(stage="production")


@pytest.fixture
def patient(version: ModelVersion) -> Patient:
    return PatientFactory()


@pytest.fixture
def clinician(client: Client, patient: Patient) -> User:
    user = make_user("clinician", patient.clinic)
    client.force_login(user)
    return user


def stored_files() -> list[str]:
    return sorted(str(p) for p in Path(default_storage.path("")).rglob("*") if p.is_file())


@pytest.fixture
def _only_new_files() -> Iterator[None]:
    """A refused upload leaves the storage as it was."""
    before = stored_files()
    yield
    assert stored_files() == before


def send(client: Client, patient: Patient, *files: tuple[str, bytes], **fields: Any) -> Any:
    data = {
        "taken_on": timezone.localdate().isoformat(),
        "upload_key": str(uuid.uuid4()),
        "films": [SimpleUploadedFile(name, content) for name, content in files],
        **fields,
    }
    return client.post(reverse("upload", args=[patient.pk]), data)


def receive(
    user: User, patient: Patient, content: bytes, name: str = "film.png", **more: Any
) -> intake_films.Received:
    upload = ContentFile(content, name=name)
    options = {"taken_on": timezone.localdate(), "upload_key": uuid.uuid4(), **more}
    return intake_films.receive(user, patient, upload, **options)


@pytest.mark.parametrize(("name", "content"), [("a.png", png()), ("b.jpg", jpeg())], ids=["png", "jpeg"])
def test_a_film_is_stored_and_queued_for_the_production_model(
    client: Client, patient: Patient, clinician: User, version: ModelVersion, name: str, content: bytes
) -> None:
    response = send(client, patient, (name, content), view="PA", note="cough")
    assert response.status_code == 200
    film = Film.objects.get()
    assert (film.name, film.patient, film.uploaded_by, film.source_bytes) == (
        name,
        patient,
        clinician,
        len(content),
    )
    assert (film.study.view, film.study.note, film.width, film.height) == ("PA", "cough", 256, 256)
    prediction = film.predictions.get()
    assert (prediction.state, prediction.model_version) == ("queued", version)
    with film.file.open() as file:
        assert np.array_equal(read_radiograph(file.read()).pixels, read_radiograph(content).pixels)


BAD = {
    "empty": (b"", "empty"),
    "one pixel": (encoded(Image.new("L", (1, 1))), "pixel"),
    "text": (b"This is no picture at all.", "PNG or JPEG"),
    "truncated JPEG": (jpeg()[:2000], "damaged"),
    "truncated PNG": (png()[:2000], "damaged"),
    "GIF": (encoded(Image.fromarray(film_array()), "GIF"), "GIF"),
    "SVG": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "animated PNG": (animated_png(), "animation"),
    "bomb": (bomb_png(), "megapixel"),
    "50 MB": (png() + bytes(50 * 1024**2), "40 MB"),
}


@pytest.mark.usefixtures("_only_new_files")
@pytest.mark.parametrize(("content", "word"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_gets_a_sentence_and_leaves_nothing(
    client: Client, patient: Patient, clinician: User, content: bytes, word: str
) -> None:
    response = send(client, patient, ("film.png", content))
    assert response.status_code in (413, 422)
    assert word.lower() in response.content.decode().lower()
    assert not Film.objects.exists()
    assert not Study.objects.exists()
    assert not Prediction.objects.exists()


def test_the_other_files_of_an_upload_go_on(client: Client, patient: Patient, clinician: User) -> None:
    bad = [(f"bad{i}.png", content) for i, (content, _) in enumerate(BAD.values())]
    response = send(client, patient, ("good1.png", png(1)), *bad, ("good2.jpg", jpeg(2)))
    assert response.status_code == 422
    assert {film.name for film in Film.objects.all()} == {"good1.png", "good2.jpg"}
    assert Study.objects.count() == 1
    assert f"2 of {len(bad) + 2} films taken in" in response.content.decode()


def test_200_files_at_once(client: Client, patient: Patient, clinician: User) -> None:
    response = send(client, patient, *[(f"{i}.png", png(i, 96)) for i in range(200)])
    assert response.status_code == 200
    assert Film.objects.count() == Prediction.objects.queued().count() == 200
    assert Study.objects.count() == 1


def test_more_files_than_allowed_are_refused_in_words(
    client: Client, patient: Patient, clinician: User, settings: Any
) -> None:
    settings.MAX_FILMS_PER_UPLOAD = 2
    response = send(client, patient, *[(f"{i}.png", png(i)) for i in range(3)])
    assert response.status_code == 413
    assert "at most 2" in response.content.decode()
    assert not Film.objects.exists()


def test_the_same_film_twice_is_found_not_stored_again(
    client: Client, patient: Patient, clinician: User
) -> None:
    send(client, patient, ("a.png", png(5)))
    files = stored_files()
    response = send(client, patient, ("other name.png", png(5)))
    assert response.status_code == 200
    assert "was here already" in response.content.decode()
    assert Film.objects.count() == Prediction.objects.count() == Study.objects.count() == 1
    assert stored_files() == files


def test_the_same_film_of_another_patient_is_another_film(patient: Patient, clinician: User) -> None:
    other = PatientFactory(clinic=patient.clinic)
    assert receive(clinician, patient, png(6)).created
    assert receive(clinician, other, png(6)).created


def test_films_sent_one_by_one_gather_in_one_study(patient: Patient, clinician: User) -> None:
    key = uuid.uuid4()
    films = [receive(clinician, patient, png(i), upload_key=key).film for i in (1, 2, 3)]
    assert len({film.study_id for film in films}) == 1
    assert receive(clinician, patient, png(4)).film.study_id != films[0].study_id


ODD_NAMES = [
    "../../etc/passwd.png",
    "C:\\films\\x.png",
    'it\'s "quoted".png',
    "🫁 film.png",
    "n" * 300 + ".png",
    "line\nbreak.png",
    "<script>alert(1)</script>.png",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_is_only_a_label(client: Client, patient: Patient, clinician: User, name: str) -> None:
    received = receive(clinician, patient, png(), name=name)
    stored = received.film
    assert len(stored.name) <= 200
    assert not set(stored.name) & set("/\\\n")
    assert str(stored.file.name).startswith(f"films/{patient.pk}/")
    page = client.get(reverse("film", args=[stored.pk])).content.decode()
    assert "<script>alert" not in page


@given(st.text())
def test_any_name_can_be_cleaned(name: str) -> None:
    clean = intake_films.clean_name(name)
    assert 0 < len(clean) <= 200
    assert "/" not in clean
    assert all(unicodedata.category(character)[0] != "C" for character in clean)
    assert intake_films.clean_name(clean) == clean


def test_nothing_of_the_source_but_the_picture_is_kept(patient: Patient, clinician: User) -> None:
    info = PngInfo()
    info.add_text("PatientName", "Secret^Name")
    exif = Image.Exif()
    exif[0x010E] = "Secret^Name"
    picture = Image.fromarray(film_array())
    for content in (
        encoded(picture, pnginfo=info),
        encoded(picture, "JPEG", exif=exif, comment=b"Secret^Name"),
    ):
        assert b"Secret^Name" in content
        film = receive(clinician, patient, content).film
        for stored in (film.file, film.thumbnail):
            with stored.open() as file:
                assert b"Secret" not in file.read()


def test_16_bits_are_kept(patient: Patient, clinician: User) -> None:
    deep = (film_array().astype(np.uint16) * 257).astype(np.uint16)
    film = receive(clinician, patient, encoded(Image.fromarray(deep))).film
    assert film.bits == 16
    with film.file.open() as file:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(file.read()))), deep)


def test_colour_is_remembered_though_it_is_not_stored(patient: Patient, clinician: User) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    film = receive(clinician, patient, encoded(Image.fromarray(noise))).film
    assert film.colourfulness > 0.1


def test_without_a_model_in_production_nothing_is_taken_in(
    client: Client, clinician: User, patient: Patient
) -> None:
    ModelVersion.objects.update(stage="retired")
    response = send(client, patient, ("a.png", png()))
    assert response.status_code == 422
    assert "No model is in production" in response.content.decode()
    assert not Film.objects.exists()


@pytest.mark.usefixtures("_only_new_files")
def test_a_failing_database_leaves_no_file(
    patient: Patient, clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("the disk of the database is full")

    monkeypatch.setattr(Prediction.objects, "create", broken)
    with pytest.raises(RuntimeError):
        receive(clinician, patient, png(8))
    assert not Film.objects.exists()
    assert not Study.objects.exists()


def test_an_upload_for_a_date_before_birth_or_in_the_future_is_refused(
    client: Client, patient: Patient, clinician: User
) -> None:
    for day, word in (
        ("1990-01-01", "older than the patient"),
        ("2190-01-01", "future"),
        ("tomorrow", "valid date"),
    ):
        response = send(client, patient, ("a.png", png()), taken_on=day)
        assert response.status_code == 422
        assert word in response.content.decode()
    assert not Film.objects.exists()


def test_the_pages_script_gets_the_films_row_alone(client: Client, patient: Patient, clinician: User) -> None:
    for content, status in ((png(), 201), (png(), 200), (b"no picture", 422)):
        response = client.post(
            reverse("upload", args=[patient.pk]),
            {
                "taken_on": timezone.localdate().isoformat(),
                "upload_key": str(uuid.uuid4()),
                "films": SimpleUploadedFile("a.png", content),
            },
            headers={"x-requested-with": "upload"},
        )
        assert response.status_code == status
        assert response.content.decode().strip().startswith("<li")


def test_reading_again_keeps_the_earlier_answer(patient: Patient, clinician: User) -> None:
    film = receive(clinician, patient, png()).film
    ModelVersion.objects.update(stage="retired")
    newer = ModelVersionFactory(stage="production")
    first = requests.again(film, newer)
    assert requests.again(film, newer) == first
    assert film.predictions.count() == 2
    assert default_storage.exists(str(film.file.name))
