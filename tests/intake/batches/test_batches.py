"""Many films at once: whose they are, what waits for an answer, what is sent again after a lost connection."""

import json
import shutil
import uuid
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from diagnosis.intake.batches import expiry, filenames, upload
from diagnosis.models import AccessLog, Arrival, Batch, Film, Patient, Prediction
from pneumoweb.accounts.models import User
from tests.support.factories import (
    AnswerFactory,
    BatchFactory,
    FilmFactory,
    ModelVersionFactory,
    PatientFactory,
    PredictionFactory,
    make_user,
)
from tests.support.pictures import film_array, jpeg, png

pytestmark = pytest.mark.django_db
HEAD = "file,patient number,name,birth date,sex,study date,view\n"


@pytest.fixture(autouse=True)
def _nothing_waits(private_files: Path) -> None:
    shutil.rmtree(private_files / "batches", ignore_errors=True)


@pytest.fixture(autouse=True)
def version() -> Any:
    return ModelVersionFactory(stage="production")


@pytest.fixture
def clinician(client: Client) -> User:
    user = make_user("clinician")
    client.force_login(user)
    return user


@pytest.fixture
def ann(clinician: User) -> Patient:
    return PatientFactory(clinic=clinician.clinic, mrn="P-1", name="Ann Example", sex="F")


def dicom(seed: int = 0, number: str = "", name: str = "", **tags: str) -> bytes:
    """Return a small DX file of an invented person."""
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    file.Modality, file.ViewPosition, file.PhotometricInterpretation = "DX", "PA", "MONOCHROME2"
    file.PatientID, file.PatientName, file.StudyDate = number, name, "20251101"
    for tag, value in tags.items():
        setattr(file, tag, value)
    file.Rows = file.Columns = 256
    file.SamplesPerPixel, file.PixelRepresentation = 1, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelData = (film_array(seed).astype(np.uint16) * 16).tobytes()
    buffer = BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def begin(client: Client, files: dict[str, bytes], manifest: str = "", **fields: Any) -> Any:
    films = [{"path": path, "size": len(content), "modified": "1"} for path, content in files.items()]
    data = {"taken_on": "2025-11-01", "listing": json.dumps({"films": films, "zip": None}), **fields}
    if manifest:
        data["manifest"] = SimpleUploadedFile("manifest.csv", manifest.encode())
    return client.post(reverse("batch_new"), data)


def send(client: Client, batch: int, key: str, content: bytes) -> Any:
    data = {"key": key, "film": SimpleUploadedFile("film", content)}
    return client.post(reverse("batch_receive", args=[batch]), data)


def send_all(
    client: Client, files: dict[str, bytes], manifest: str = "", **fields: Any
) -> dict[str, Arrival]:
    """Send a whole batch; return its files by name."""
    answer = begin(client, files, manifest, **fields).json()
    for row, content in zip(answer["films"], files.values(), strict=True):
        if row["state"] == "wanted":
            assert send(client, answer["batch"], row["key"], content).status_code == 200
    return {arrival.name: arrival for arrival in Arrival.objects.filter(batch=answer["batch"])}


def waiting_files(batch: int) -> list[str]:
    return (
        default_storage.listdir(f"batches/{batch}")[1] if default_storage.exists(f"batches/{batch}") else []
    )


def test_films_of_the_chosen_patient_gather_in_one_study(client: Client, ann: Patient) -> None:
    found = send_all(
        client, {"a.png": png(1), "b.jpg": jpeg(2), "broken.png": png(3)[:900]}, number="p-1", view="AP"
    )
    assert [found[name].state for name in ("a.png", "b.jpg", "broken.png")] == ["stored", "stored", "refused"]
    assert "damaged" in found["broken.png"].reason
    study = ann.studies.get()
    assert (study.films.count(), study.view, study.taken_on) == (2, "AP", date(2025, 11, 1))
    assert Prediction.objects.queued().count() == 2
    assert AccessLog.objects.filter(patient=ann, action="uploaded").count() == 2


def test_a_manifest_finds_and_registers_patients(client: Client, clinician: User, ann: Patient) -> None:
    manifest = f"{HEAD}x/a.png,P-1,,,,2025-10-02,PA\nx/b.png,P-2,Bea New,2023-01-02,F,,\nx/c.png,P-2,,,,,\n"
    send_all(client, {"x/a.png": png(1), "x/b.png": png(2), "x/c.png": png(3)}, manifest)
    assert str(ann.studies.get().taken_on) == "2025-10-02"
    bea = Patient.objects.get(mrn="P-2")
    assert (bea.name, bea.sex, bea.clinic, bea.films.count()) == ("Bea New", "F", clinician.clinic, 2)
    assert AccessLog.objects.filter(patient=bea, action="created").count() == 1


def test_a_wrong_manifest_takes_nothing(client: Client, clinician: User) -> None:
    response = begin(client, {"a.png": png()}, f"{HEAD}a.png,,,,,,\n")
    assert response.status_code == 422
    assert response.json()["faults"] == ["Manifest: Line 2: the patient number is empty."]
    assert not Batch.objects.exists()


def test_a_manifest_that_contradicts_the_record_waits_for_an_answer(client: Client, ann: Patient) -> None:
    arrival = send_all(client, {"a.png": png()}, f"{HEAD}a.png,P-1,Another Name,,M,,\n")["a.png"]
    assert (arrival.state, arrival.patient) == ("mismatch", ann)
    assert {what for what, _, _ in arrival.differences} == {"name", "sex"}
    assert not Prediction.objects.exists()
    page = client.get(reverse("batch", args=[arrival.batch_id])).content.decode()
    assert "Another Name" in page
    answer(client, arrival.batch_id, [arrival], f"patient:{ann.pk}")
    arrival.refresh_from_db()
    assert (arrival.state, arrival.film.patient if arrival.film else None) == ("stored", ann)
    assert (arrival.offered, arrival.differences, arrival.picture.name) == (None, [], "")
    assert waiting_files(arrival.batch_id) == []
    logged = AccessLog.objects.get(patient=ann, action="uploaded").what
    assert "name, sex" in logged


def answer(client: Client, batch: int, arrivals: list[Arrival], action: str, **more: str) -> str:
    data = {"arrivals": [a.pk for a in arrivals], "action": action, **more}
    return str(client.post(reverse("batch_assign", args=[batch]), data, follow=True).content.decode())


def test_tags_decide_whose_film_it_is(client: Client, ann: Patient) -> None:
    files = {
        "ann.dcm": dicom(1, "P-1", "EXAMPLE^ANN"),
        "bea.dcm": dicom(2, "P-2", "NEW^BEA", PatientSex="F", PatientBirthDate="20230102"),
        "bea2.dcm": dicom(3, "P-2", "NEW^BEA", PatientSex="F", PatientBirthDate="20230102"),
        "nobody.png": png(4),
    }
    found = send_all(client, files)
    assert {name: a.state for name, a in found.items()} == {
        "ann.dcm": "stored", "bea.dcm": "unassigned", "bea2.dcm": "unassigned", "nobody.png": "unassigned",
    }  # fmt: skip
    film = ann.films.get()
    assert (str(film.study.taken_on), film.study.view, film.bits) == ("2025-11-01", "PA", 12)
    assert Prediction.objects.count() == 1
    batch = found["bea.dcm"].batch_id
    page = answer(client, batch, [found["bea.dcm"], found["bea2.dcm"]], "register")
    assert "2 films are filed" in page
    bea = Patient.objects.get(mrn="P-2")
    assert (bea.films.count(), bea.sex, str(bea.birth_date)) == (2, "F", "2023-01-02")
    assert all(film.values for film in bea.films.all())
    assert "1 film is filed under Ann Example" in answer(
        client, batch, [found["nobody.png"]], "number", number="p-1"
    )
    assert waiting_files(batch) == []
    assert not Arrival.objects.exclude(offered=None).exists()


def test_tags_of_another_than_the_chosen_patient_wait(client: Client, ann: Patient) -> None:
    found = send_all(client, {"bea.dcm": dicom(1, "P-2", "NEW^BEA")}, number="P-1")["bea.dcm"]
    assert (found.state, found.patient) == ("mismatch", ann)
    assert {what for what, _, _ in found.differences} == {"patient number", "name"}
    assert "left out" in answer(client, found.batch_id, [found], "leave")
    found.refresh_from_db()
    assert (found.state, found.offered, found.film) == ("refused", None, None)
    assert found.reason.startswith("Left out by")
    assert waiting_files(found.batch_id) == []
    assert not Film.objects.exists()


def test_the_same_instance_with_other_pixels_is_refused(client: Client, ann: Patient) -> None:
    uid = generate_uid()
    found = send_all(client, {f"{n}.dcm": dicom(n, "P-1", "EXAMPLE^ANN", SOPInstanceUID=uid) for n in (1, 2)})
    assert [found["1.dcm"].state, found["2.dcm"].state] == ["stored", "refused"]
    assert "SOP Instance UID" in found["2.dcm"].reason


def test_nobody_files_under_a_patient_of_another_clinic(client: Client, ann: Patient) -> None:
    found = send_all(client, {"a.png": png()})["a.png"]
    foreign = PatientFactory(mrn="F-1")
    batch = reverse("batch_assign", args=[found.batch_id])
    assert client.post(batch, {"arrivals": [found.pk], "action": f"patient:{foreign.pk}"}).status_code == 404
    assert "No patient of this clinic" in answer(client, found.batch_id, [found], "number", number="F-1")
    other = send_all(client, {"b.png": png(2)})["b.png"]
    assert "No film was ticked" in answer(client, found.batch_id, [other], "leave")
    assert Arrival.objects.undecided().count() == 2


def test_what_has_arrived_is_not_sent_again(client: Client, ann: Patient) -> None:
    files = {f"{n}.png": png(n) for n in range(3)} | {".DS_Store": b"x", "sub/Thumbs.db": b"x"}
    first = begin(client, files, number="P-1").json()
    assert [row["state"] for row in first["films"]] == ["wanted"] * 3 + ["aside"] * 2
    send(client, first["batch"], first["films"][0]["key"], files["0.png"])
    films = [{"path": p, "size": len(c), "modified": "1"} for p, c in files.items()]
    listing = json.dumps({"films": films, "zip": None})
    second = client.post(reverse("batch_announce", args=[first["batch"]]), {"listing": listing}).json()
    assert [row["state"] for row in second["films"]] == ["here", "wanted", "wanted", "aside", "aside"]
    # A film that comes twice all the same, because its answer was lost, changes nothing.
    again = send(client, first["batch"], first["films"][0]["key"], files["0.png"])
    assert again.json() == {"state": "stored", "reason": ""}
    assert Film.objects.count() == 1
    assert Arrival.objects.count() == 3
    assert Batch.objects.get().skipped == 2


def test_a_film_whose_row_was_lost_with_its_process_is_told_from_one_known_before(
    client: Client, ann: Patient
) -> None:
    first = send_all(client, {"a.png": png(1), "copy.png": png(1)}, number="P-1")
    assert sorted(a.state for a in first.values()) == ["known", "stored"]
    Arrival.objects.all().update(state="expected", film=None)
    for arrival in Arrival.objects.order_by("pk"):
        send(client, arrival.batch_id, arrival.key, png(1))
    assert list(Arrival.objects.order_by("pk").values_list("state", flat=True)) == ["stored", "known"]
    second = send_all(client, {"a.png": png(1)}, number="P-1")
    assert second["a.png"].state == "known"


def test_more_films_than_a_batch_takes_are_refused_before_anything_is_sent(
    client: Client, ann: Patient, settings: Any
) -> None:
    settings.MAX_FILMS_PER_UPLOAD = 2
    response = begin(client, {f"{n}.png": b"x" for n in range(3)}, number="P-1")
    assert response.status_code == 422
    assert "3 films are too many" in response.json()["faults"][0]
    assert not Batch.objects.exists()


def test_without_a_model_films_stay_expected(client: Client, ann: Patient, version: Any) -> None:
    first = begin(client, {"a.png": png()}, number="P-1").json()
    version.stage = "retired"
    version.save()
    response = send(client, first["batch"], first["films"][0]["key"], png())
    assert (response.status_code, Arrival.objects.get().state) == (503, "expected")


def test_a_zip_among_the_films_is_named(client: Client, ann: Patient) -> None:
    found = send_all(client, {"a.zip": b"PK\x03\x04" + bytes(100)}, number="P-1")
    assert "a zip among the films" in found["a.zip"].reason


def test_the_form_works_without_script(client: Client, ann: Patient) -> None:
    files = [
        SimpleUploadedFile("a.png", png(1)),
        SimpleUploadedFile("a.png", png(2)),
        SimpleUploadedFile("t.txt", b"x"),
    ]
    data = {"taken_on": "2025-11-01", "number": "P-1", "films": files}
    response = client.post(reverse("batch_new"), data, follow=True)
    assert "Not taken in: 1" in response.content.decode()
    assert ann.films.count() == 2


def test_progress_counts_and_stops_asking(client: Client, ann: Patient) -> None:
    found = send_all(client, {"a.png": png(1), "b.png": png(2), "no.png": b"no"}, number="P-1")
    status = reverse("batch_status", args=[found["a.png"].batch_id])
    page = client.get(status).content.decode()
    assert "1 of 3 done" in page
    assert "every 2s" in page
    Prediction.objects.filter(film=found["a.png"].film).update(state="rejected", finished_at=timezone.now())
    assert "left" in client.get(status).content.decode()
    Prediction.objects.all().update(state="rejected", finished_at=timezone.now())
    page = client.get(status).content.decode()
    assert "All 3 done" in page
    assert "every 2s" not in page


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


def test_lists_ask_the_database_a_constant_number_of_times(
    client: Client, ann: Patient, version: Any
) -> None:
    counted = []
    for films in (2, 8):
        batch = BatchFactory(clinic=ann.clinic, by=ann.created_by)
        for n in range(films):
            film = FilmFactory(study__patient=ann)
            PredictionFactory(film=film, model_version=version)
            Arrival.objects.create(
                batch=batch, key=str(n), name=f"{n}.png", size=1, state="stored", film=film
            )
        addresses = (reverse("batch", args=[batch.pk]), reverse("batches"))
        counted.append([queries_of(client, address) for address in addresses])
    assert counted[0] == counted[1]


def test_a_clinic_that_reads_blind_shows_no_answer_on_the_batch(client: Client, ann: Patient) -> None:
    film = FilmFactory(study__patient=ann)
    AnswerFactory(film=film)
    batch = BatchFactory(clinic=ann.clinic)
    Arrival.objects.create(batch=batch, key="1", name="1.png", size=1, state="stored", film=film)
    client.force_login(make_user("reviewer", ann.clinic))
    address = reverse("batch", args=[batch.pk])
    assert "87 %" in client.get(address).content.decode()
    ann.clinic.blind_first = True
    ann.clinic.save()
    page = client.get(address).content.decode()
    assert "Hidden until your verdict" in page
    assert "87 %" not in page


def test_what_nobody_comes_back_for_is_erased(client: Client, ann: Patient) -> None:
    answered = begin(client, {"a.png": png(1), "b.png": png(2)}, f"{HEAD}x.png,P-1,,,,,\n").json()
    batch = Batch.objects.get()
    send(client, batch.pk, answered["films"][0]["key"], png(1))
    assert len(waiting_files(batch.pk)) == 2
    assert expiry.expire() == 0
    Batch.objects.update(touched_at=timezone.now() - timedelta(days=8))
    assert expiry.expire() == 2
    assert waiting_files(batch.pk) == []
    batch.refresh_from_db()
    assert batch.manifest == {}
    assert [a.state for a in batch.arrivals.all()] == ["refused", "refused"]
    assert "within 7 days" in batch.arrivals.all()[0].reason
    assert expiry.expire() == 0


def test_old_files_that_no_row_names_go(
    client: Client, ann: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = send_all(client, {"a.png": png(1)})["a.png"]
    default_storage.save(f"batches/{found.batch_id}/orphan.png", ContentFile(b"left over"))
    assert expiry.remove_orphans() == 0
    monkeypatch.setattr(expiry, "OLD_ENOUGH", timedelta(0))
    expiry.remove_orphans()
    assert "orphan.png" not in waiting_files(found.batch_id)
    assert len(waiting_files(found.batch_id)) == 2


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("../../x", "x"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\films\\a.png", "C:/films/a.png"),
        ("a\x00b\n.png", "ab.png"),
        ("", "unnamed"),
        ("n" * 400, "…" + "n" * 299),
    ],
)
def test_a_name_is_a_label(path: str, shown: str) -> None:
    assert filenames.label(path) == shown


def test_the_key_of_a_file_is_the_same_another_day() -> None:
    one = upload.Announced("sub/a.png", 10, "1700000000000")
    assert one.key == upload.Announced("sub\\a.png", 10, "1700000000000").key
    assert one.key != upload.Announced("sub/a.png", 11, "1700000000000").key
    assert uuid.UUID(one.key[:32])
