"""The access log of lists: one row for each page that names patients, with whom it showed."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.core import audit_log
from diagnosis.models import (
    AccessLog,
    Evaluation,
    EvaluationFilm,
    Listed,
    ModelVersion,
    Prediction,
    ShadowAnswer,
    ShadowRun,
)
from diagnosis.reading import worklist
from pneumoweb.accounts.models import User
from tests.support.factories import (
    AnswerFactory,
    ArrivalFactory,
    BatchFactory,
    ModelVersionFactory,
    PatientFactory,
    TrainingRunFactory,
    make_user,
)

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def staff(client: Client) -> User:
    user = make_user("administrator")
    client.force_login(user)
    return user


@pytest.fixture
def answer(staff: User) -> Prediction:
    """An answer that a reviewer has contradicted, of a film that came with a batch and that a shadow read too."""
    patient = PatientFactory(clinic=staff.clinic, created_by=staff)
    made: Prediction = AnswerFactory(film__study__patient=patient, model_version__stage="production")
    ArrivalFactory(
        batch=BatchFactory(clinic=staff.clinic, by=staff), state="stored", film=made.film,
        offered=None, decoded=None, picture="", preview="",
    )  # fmt: skip
    worklist.refresh([made.film_id])
    return made


def of_shadow(answer: Prediction) -> str:
    run = ShadowRun.objects.create(
        version=ModelVersionFactory(),
        started_by=make_user("staff"),
        started_at=answer.queued_at,
        reason="Invented",
    )
    ShadowAnswer.objects.create(
        run=run, film=answer.film, shown=answer, said="NORMAL", probability=0.1, threshold=0.5, agrees=False
    )
    return reverse("disagreements")


def of_evaluation(answer: Prediction) -> str:
    evaluation = Evaluation.objects.create(
        candidate=ModelVersionFactory(), production=answer.model_version, state="succeeded",
        finished_at=answer.queued_at, candidate_threshold=0.5, production_threshold=0.5,
        figures={"parts": {}, "corrected": {"films": 0}},
    )  # fmt: skip
    EvaluationFilm.objects.create(
        evaluation=evaluation, part="reviewed", film=answer.film, patient="1", label="NORMAL",
        candidate_said="NORMAL", candidate_probability=0.1, production_said="PNEUMONIA", production_probability=0.9,
    )  # fmt: skip
    return reverse("evaluation", args=[evaluation.pk])


def of_run(answer: Prediction) -> str:
    version: ModelVersion = ModelVersionFactory()
    run = TrainingRunFactory(
        state="succeeded", version=version, finished_at=answer.queued_at,
        disagreements=[{"film": answer.film_id, "label": "NORMAL", "probability": 0.9}],
    )  # fmt: skip
    return reverse("training_run", args=[run.pk])


def of_monitoring(answer: Prediction) -> str:
    answer.reviews.create(reviewer=make_user("reviewer"), verdict="normal")
    return reverse("monitoring_films")


PAGES: dict[str, Any] = {
    "home": lambda answer: reverse("home"),
    "worklist": lambda answer: reverse("worklist"),
    "review queue": lambda answer: reverse("review_queue"),
    "disagreements": of_shadow,
    "evaluation": of_evaluation,
    "doubts": of_run,
    "monitoring": of_monitoring,
    "batch": lambda answer: reverse("batch", args=[answer.film.arrivals.get().batch_id]),
}


def rows() -> list[AccessLog]:
    return list(AccessLog.objects.filter(action="listed"))


@pytest.mark.parametrize("kind", PAGES)
def test_a_list_of_films_leaves_one_row_that_says_whom_it_showed(
    client: Client, answer: Prediction, kind: str
) -> None:
    address = PAGES[kind](answer)
    content = client.get(address, {"after": "x"}).content.decode()
    assert f"/films/{answer.film_id}/" in content
    (row,) = rows()
    assert row.patient is None
    assert row.detail["films"] == [answer.film_id]
    assert row.detail["patients"] == [answer.film.patient_id]
    assert row.detail["asked"] == {"after": "x"}
    assert row.what.endswith("1 patient")
    client.get(address)
    assert len(rows()) == 2, "each opening counts"
    assert list(audit_log.broken_links()) == []


@pytest.mark.parametrize("what", ["patient", "study", "film", "prediction", "arrival list", "patients"])
def test_lists_of_records_say_whom_they_showed(client: Client, answer: Prediction, what: str) -> None:
    plain = {"patients": "/patients/", "arrival list": "/batches/new/"}
    client.get(plain.get(what, f"/admin/diagnosis/{what}/"), {"q": ""})
    (row,) = rows()
    assert row.detail["patients"] == [answer.film.patient_id]


def test_what_is_asked_for_while_a_page_is_open_leaves_no_row(client: Client, answer: Prediction) -> None:
    batch = answer.film.arrivals.get().batch_id
    film = answer.film_id
    for address in (
        f"/worklist/news/?since=0&waiting={film}",
        f"/batches/{batch}/status/",
        f"/batches/{batch}/undecided/",
        f"/films/{film}/status/?as=card",
        "/monitoring/queue/",
    ):
        assert client.get(address, headers=HTMX).status_code == 200
    assert rows() == []


def test_a_list_that_names_nobody_leaves_no_row(client: Client, staff: User) -> None:
    for name in ("home", "worklist", "review_queue", "patients", "batches", "training"):
        assert client.get(reverse(name)).status_code == 200
    assert client.get("/admin/diagnosis/modelversion/").status_code == 200
    assert rows() == []


def test_a_waiting_film_and_its_picture_are_logged(client: Client, staff: User) -> None:
    arrival = ArrivalFactory(batch__clinic=staff.clinic)
    client.get(reverse("batch", args=[arrival.batch_id]))
    picture = reverse("arrival_preview", args=[arrival.pk])
    sent = client.get(picture)
    client.get(picture, headers={"If-None-Match": sent["ETag"]})
    assert [(row.what, row.detail["waiting"]) for row in reversed(rows())] == [
        (f"batch {arrival.batch_id}", [arrival.pk]),
        (f"picture of a waiting film of batch {arrival.batch_id}", [arrival.pk]),
    ]


def test_the_detail_is_sealed_and_old_rows_stay_whole(client: Client, answer: Prediction) -> None:
    patient = answer.film.patient
    row = audit_log.append(answer.film.uploaded_by, "seen", patient, "film 1", None)
    assert audit_log.digest(row) == row.digest
    client.get(reverse("home"))
    (listed,) = rows()
    listed.detail["patients"] = []
    assert audit_log.digest(listed) != listed.digest


def test_who_searches_for_a_patient_finds_the_lists_that_showed_them(
    client: Client, answer: Prediction
) -> None:
    patient, other = answer.film.patient, PatientFactory(clinic=answer.film.patient.clinic)
    client.get(reverse("worklist"))
    client.get(reverse("patient", args=[patient.pk]))
    client.get(reverse("patient", args=[other.pk]))
    log = reverse("admin:diagnosis_accesslog_changelist")
    found = client.get(log, {"q": patient.mrn}).context["cl"].result_list
    assert [(row.action, row.what) for row in found] == [
        ("seen", "history"),
        ("listed", "worklist: 1 patient"),
    ]
    found = client.get(log, {"q": other.mrn}).context["cl"].result_list
    assert [row.patient for row in found] == [other]
    assert len(client.get(log, {"q": "nobody at all"}).context["cl"].result_list) == 0
    everyone = client.get(log, {"q": "@clinic.example"}).context["cl"].result_list
    assert {row.action for row in everyone} == {"seen", "listed"}
    history = client.get(reverse("patient", args=[patient.pk])).content.decode()
    assert f'href="{log}?q={patient.mrn}"' in history


def test_only_administrators_are_led_to_the_log(client: Client, answer: Prediction) -> None:
    client.force_login(make_user("clinician", answer.film.patient.clinic))
    assert "accesslog" not in client.get(reverse("patient", args=[answer.film.patient_id])).content.decode()


def test_the_index_cannot_be_changed(client: Client, answer: Prediction) -> None:
    client.get(reverse("worklist"))
    with pytest.raises(TypeError, match="append-only"):
        Listed.objects.all().delete()
