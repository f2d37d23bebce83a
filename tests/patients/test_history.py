"""A patient's history: side by side, reading again, timeline, export."""

import csv
import io
from datetime import date
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from diagnosis.inference.viewer import viewer_facts
from diagnosis.models import AccessLog, Film, Patient, Prediction
from diagnosis.patients import pdf_report, timeline
from diagnosis.patients.history import films_for
from diagnosis.reading.reviews import record
from pneumoweb.accounts.models import User
from tests.support.factories import (
    AnswerFactory,
    FilmFactory,
    ModelVersionFactory,
    PatientFactory,
    StudyFactory,
    make_user,
)
from tests.support.pictures import encoded, film_array

pytestmark = pytest.mark.django_db
DAYS = [date(2026, 1, 5), date(2026, 2, 6), date(2026, 3, 7)]


@pytest.fixture
def clinician(client: Client) -> User:
    user = make_user("clinician", first_name="Cleo", last_name="Marsh")
    client.force_login(user)
    return user


@pytest.fixture
def patient(clinician: User) -> Patient:
    """A patient with three films, answered by one version in the order of DAYS."""
    patient = PatientFactory(clinic=clinician.clinic, name="=Ada Ωmega", mrn="A-1")
    version = ModelVersionFactory(name="first-1")
    for day, probability in zip(DAYS, (0.2, 0.9, 0.6), strict=True):
        film = FilmFactory(study=StudyFactory(patient=patient, taken_on=day))
        label = "PNEUMONIA" if probability > 0.5 else "NORMAL"
        AnswerFactory(
            film=film, model_version=version, probability=probability, label=label, receipt={"weights": "abc"}
        )
    return patient


def films_of(patient: Patient) -> list[Film]:
    return list(patient.films.order_by("study__taken_on"))


# ---------------------------------------------------------------- side by side


def sides(client: Client, patient: Patient, **query: int) -> list[int]:
    response = client.get(reverse("side_by_side", args=[patient.pk]), query)
    assert response.status_code == 200
    return [film.pk for film in response.context["sides"]]


def test_the_newest_film_stands_beside_the_one_before_it(client: Client, patient: Patient) -> None:
    _, second, third = (film.pk for film in films_of(patient))
    assert sides(client, patient) == [second, third]
    assert AccessLog.objects.get().what == f"films {second} and {third} side by side"


def test_any_two_films_of_the_patient_can_be_chosen(client: Client, patient: Patient) -> None:
    first, second, third = (film.pk for film in films_of(patient))
    assert sides(client, patient, right=second) == [first, second]
    assert sides(client, patient, right=first) == [second, first]
    assert sides(client, patient, left=third, right=first) == [third, first]


@pytest.mark.parametrize("wrong", ["foreign", "999999", "x", "1" * 30, "-1"])
def test_a_film_of_another_patient_does_not_stand_beside(
    client: Client, patient: Patient, wrong: str
) -> None:
    other = FilmFactory(study__patient__clinic=patient.clinic)
    query = {"left": str(other.pk) if wrong == "foreign" else wrong}
    assert client.get(reverse("side_by_side", args=[patient.pk]), query).status_code == 404


def test_one_film_alone_says_what_to_do(client: Client, clinician: User) -> None:
    film = FilmFactory(study__patient__clinic=clinician.clinic)
    page = client.get(reverse("side_by_side", args=[film.patient_id])).content.decode()
    assert "Two films are needed" in page
    assert "data-viewer" not in page


# ---------------------------------------------------------------- the viewer's facts


def test_the_values_are_those_of_the_detector_where_they_were_sent(client: Client, patient: Patient) -> None:
    film = films_of(patient)[0]
    address = reverse("film_values", args=[film.pk])
    assert b"".join(client.get(address).streaming_content) == film.file.open().read()  # type: ignore[attr-defined]
    film.values.name = default_storage.save("films/values.png", ContentFile(b"the detector's"))
    film.save()
    response = client.get(address)
    assert b"".join(response.streaming_content) == b"the detector's"  # type: ignore[attr-defined]
    assert response["Cache-Control"] == "private, no-cache"
    assert AccessLog.objects.first().what == f"values of film {film.pk}"  # type: ignore[union-attr]


def test_facts_of_a_dicom_film_and_of_a_picture() -> None:
    window = {"center": 10.0, "width": 20.0, "function": "SIGMOID", "source": "file"}
    facts = {
        "pixel_spacing_mm": [0.2, 0.1], "pixel_spacing_from": "Imager Pixel Spacing", "photometric": "MONOCHROME1",
        "values": {"offset": -1024, "slope": 2, "bits": 12}, "window": window,
    }  # fmt: skip
    dicom = viewer_facts(Film(width=3, height=4, bits=12, values="v.png", facts=facts))
    assert (dicom["slope"], dicom["offset"], dicom["inverse"], dicom["window"]) == (2, -1024, True, window)
    assert dicom["spacing"] == {"row": 0.2, "column": 0.1, "detector": True}
    picture = viewer_facts(Film(width=3, height=4, bits=12))
    assert picture["slope"] * 65535 == 4095
    assert (picture["offset"], picture["inverse"], picture["window"], picture["spacing"]) == (
        0,
        False,
        None,
        None,
    )


# ---------------------------------------------------------------- timeline


def plot_of(patient: Patient) -> timeline.Plot | None:
    return timeline.plot(films_for(patient.created_by, patient))


def test_figures_of_different_versions_are_never_joined(patient: Patient) -> None:
    newer = ModelVersionFactory(name="second-2")
    for film in films_of(patient)[1:]:
        AnswerFactory(film=film, model_version=newer, probability=0.5)
    plot = plot_of(patient)
    assert plot is not None
    assert [(s.name, len(s.points), len(s.segments)) for s in plot.series] == [
        ("first-1", 3, 2),
        ("second-2", 2, 1),
    ]
    for series in plot.series:
        for a, b in series.segments:
            assert a.prediction.model_version_id == b.prediction.model_version_id
            assert a.taken_on < b.taken_on
    assert len({s.mark for s in plot.series}) == 2


def test_the_plot_is_to_scale(patient: Patient) -> None:
    plot = plot_of(patient)
    assert plot is not None
    first, second, third = plot.series[0].points
    assert (first.x, third.x) == (timeline.LEFT, timeline.RIGHT)
    assert (second.x - first.x) / (third.x - first.x) == pytest.approx(32 / 61)
    height = timeline.BOTTOM - timeline.TOP
    assert (timeline.BOTTOM - second.y) / height == pytest.approx(0.9)


def test_the_history_shows_every_answer_and_verdict_and_the_plot_as_a_table(
    client: Client, clinician: User, patient: Patient
) -> None:
    film = films_of(patient)[2]
    old = film.predictions.get()
    record(make_user("reviewer", clinician.clinic, first_name="Rosa"), old, "normal", "only a thymus")
    AnswerFactory(film=film, model_version__name="second-2", probability=0.4)
    page = client.get(reverse("patient", args=[patient.pk])).content.decode()
    for words in (
        "only a thymus",
        "second-2",
        "40 %",
        "60 %",
        "The same as a table",
        f"?prediction={old.pk}",
    ):
        assert words in page


def test_the_newest_answers_are_drawn_and_the_rest_is_said(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST", 2)
    plot = plot_of(patient)
    assert plot is not None
    assert ([a.probability for a in plot.rows], plot.left_out) == ([0.6, 0.9], 1)


def test_a_patient_without_answers_has_no_plot(clinician: User) -> None:
    assert plot_of(PatientFactory(clinic=clinician.clinic)) is None


# ---------------------------------------------------------------- reading again


def test_all_films_are_read_again_once_by_a_new_version(client: Client, patient: Patient) -> None:
    address = reverse("patient_again", args=[patient.pk])
    assert address not in client.get(reverse("patient", args=[patient.pk])).content.decode()
    version = ModelVersionFactory(name="second-2", stage="production")
    assert "Read 3 films with second-2" in client.get(reverse("patient", args=[patient.pk])).content.decode()
    for _ in range(2):
        client.post(address)
    assert Prediction.objects.filter(model_version=version, state="queued").count() == 3
    assert Prediction.objects.filter(state="succeeded").count() == 3
    assert address not in client.get(reverse("patient", args=[patient.pk])).content.decode()


def test_without_production_model_reading_again_says_so(client: Client, patient: Patient) -> None:
    response = client.post(reverse("patient_again", args=[patient.pk]), follow=True)
    assert "No model is in production" in response.content.decode()


# ---------------------------------------------------------------- CSV


def rows(client: Client, patient: Patient) -> list[dict[str, str]]:
    response = client.get(reverse("history_csv", args=[patient.pk]))
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


def test_the_table_has_a_line_for_every_verdict(client: Client, clinician: User, patient: Patient) -> None:
    answer = films_of(patient)[0].predictions.get()
    reviewer = make_user("reviewer", clinician.clinic)
    record(reviewer, answer, "unreadable", "moved,\n“again”")
    record(reviewer, answer, "normal")
    FilmFactory(study=StudyFactory(patient=patient, taken_on=date(2026, 5, 1)))
    found = rows(client, patient)
    assert [(r["study date"], r["verdict"]) for r in found] == [
        ("2026-01-05", "Unreadable"), ("2026-01-05", "Normal"), ("2026-02-06", ""), ("2026-03-07", ""),
        ("2026-05-01", ""),
    ]  # fmt: skip
    assert found[0]["remark"] == "moved,\n“again”"
    assert (found[2]["probability of pneumonia"], found[2]["answer"], found[4]["answer"]) == (
        "0.900000",
        "Pneumonia",
        "",
    )
    assert {r["patient number"] for r in found} == {"A-1"}
    assert AccessLog.objects.get().action == AccessLog.Action.EXPORTED


def test_no_cell_becomes_a_formula(client: Client, clinician: User, patient: Patient) -> None:
    answer = films_of(patient)[0].predictions.get()
    record(make_user("reviewer", clinician.clinic), answer, "normal", '=HYPERLINK("https://x.example")')
    first = rows(client, patient)[0]
    assert first["name"] == "'=Ada Ωmega"
    assert first["remark"] == '\'=HYPERLINK("https://x.example")'


def test_exports_take_no_more_queries_for_more_films(client: Client, clinician: User) -> None:
    counts: dict[str, list[int]] = {"history_csv": [], "history_pdf": []}
    for studies in (1, 4):
        patient = PatientFactory(clinic=clinician.clinic)
        for _ in range(studies):
            AnswerFactory(film=FilmFactory(study=StudyFactory(patient=patient)))
        for name, found in counts.items():
            with CaptureQueriesContext(connection) as queries:
                client.get(reverse(name, args=[patient.pk]))
            found.append(len(queries))
    assert all(few == many for few, many in counts.values())


# ---------------------------------------------------------------- PDF


def pages(content: bytes) -> int:
    return content.count(b"/Type /Page\n")


def test_the_report_holds_films_and_heatmaps_and_is_logged(client: Client, patient: Patient) -> None:
    response = client.get(reverse("history_pdf", args=[patient.pk]))
    assert response["Content-Type"] == "application/pdf"
    assert patient.mrn not in response["Content-Disposition"]
    assert response.content.startswith(b"%PDF-")
    assert response.content.count(b"/Subtype /Image") == 6
    assert (AccessLog.objects.get().action, AccessLog.objects.get().what) == ("exported", "history as PDF")


def test_the_report_of_one_film(client: Client, patient: Patient) -> None:
    film = films_of(patient)[1]
    address = reverse("history_pdf", args=[patient.pk])
    assert client.get(address, {"film": film.pk}).content.count(b"/Subtype /Image") == 2
    assert AccessLog.objects.get().what == f"report of film {film.pk}"
    for wrong in (str(FilmFactory(study__patient__clinic=patient.clinic).pk), "x"):
        assert client.get(address, {"film": wrong}).status_code == 404


def test_what_the_report_says(patient: Patient, clinician: User, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    words = pdf_report._words

    def listen(text: str, style: str) -> Any:
        said.append(text)
        return words(text, style)

    monkeypatch.setattr(pdf_report, "_words", listen)
    film = films_of(patient)[2]
    record(
        make_user("reviewer", clinician.clinic, first_name="Rosa"),
        film.predictions.get(),
        "normal",
        "<b>a & b",
    )
    AnswerFactory(film=film, model_version__name="second-2", probability=0.999, warnings=["Too old."])
    monkeypatch.setattr(pdf_report, "MOST_FILMS", 2)
    content = pdf_report.history_pdf(patient, films_for(clinician, patient), made_by=clinician)
    everything = "\n".join(said)
    for text in (
        "=Ada Ωmega", "A-1", "Cleo Marsh", "1 older film is left out", "> 99 %", "threshold 50 %", "Too old.",
        "second-2", "first-1: Pneumonia: probability of pneumonia 60 %", "Normal, Rosa", "<b>a & b", "Not reviewed",
        "weights", "abc", pdf_report.STATEMENT,
    ):  # fmt: skip
        assert text in everything, text
    assert pages(content) >= 1


def test_a_missing_or_deep_picture_spoils_no_report(patient: Patient, clinician: User) -> None:
    missing, deep, _ = films_of(patient)
    missing.file.name = "films/gone.png"
    missing.save()
    grey = Image.fromarray(film_array(3, 300).astype("uint16") * 257)
    deep.file.name = default_storage.save("films/deep.png", ContentFile(encoded(grey)))
    deep.save()
    content = pdf_report.history_pdf(patient, films_for(clinician, patient), made_by=clinician)
    assert content.count(b"/Subtype /Image") == 4


def test_reports_wait_for_each_other_and_say_so(
    client: Client, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_report, "WAIT", 0.01)
    with pdf_report._one_at_a_time():
        response = client.get(reverse("history_pdf", args=[patient.pk]), follow=True)
    assert "Other reports are being made" in response.content.decode()
    assert not AccessLog.objects.filter(action="exported").exists()


def test_letters_that_the_font_lacks_are_not_lost() -> None:
    assert pdf_report._printable("Ωmega Šaß") == "Ωmega Šaß"
    assert pdf_report._printable("明") == "[U+660E]"
