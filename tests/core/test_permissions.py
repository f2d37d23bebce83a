"""Every address x every role x own or foreign clinic."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from diagnosis.core.permissions import visible_films, visible_patients
from diagnosis.models import (
    AccessLog,
    Arrival,
    Evaluation,
    EvaluationFilm,
    Patient,
    Prediction,
    PromotionRequest,
    Review,
    ShadowRun,
    TrainingRun,
)
from diagnosis.reading import worklist
from pneumoweb.accounts.models import Clinic
from pneumoweb.accounts.roles import roles_of
from tests.support.factories import (
    AnswerFactory,
    ArrivalFactory,
    ClinicFactory,
    FilmFactory,
    ModelVersionFactory,
    PatientFactory,
    StudyFactory,
    TrainingRunFactory,
    make_user,
)

pytestmark = pytest.mark.django_db
ROLES = ["", "clinician", "reviewer", "staff", "administrator"]
INSIDE = ["clinician", "reviewer", "staff", "administrator"]
REVIEWERS = ["reviewer", "staff", "administrator"]
STAFF = ["staff", "administrator"]
ADMINISTRATORS = ["administrator"]


@dataclass(frozen=True)
class Address:
    """One address: who may use it, what a permitted user gets, and whose patient it names."""

    name: str
    about: str | None
    roles: list[str]
    status: int = 200
    method: str = "get"
    data: dict[str, Any] = field(default_factory=dict)


ADDRESSES = [
    Address("home", None, INSIDE),
    Address("patients", None, INSIDE),
    Address("patient_new", None, INSIDE),
    Address("patient_new", None, INSIDE, 422, "post"),
    Address("patient", "patient", INSIDE),
    Address("patient_from_dicom", None, INSIDE),
    Address("patient_from_dicom", None, INSIDE, 422, "post"),
    Address("patient_edit", "patient", INSIDE),
    Address("patient_edit", "patient", INSIDE, 422, "post"),
    Address("patient_again", "patient", INSIDE, 302, "post"),
    Address("side_by_side", "patient", INSIDE),
    Address("history_csv", "patient", INSIDE),
    Address("history_pdf", "patient", INSIDE),
    Address("upload", "patient", INSIDE),
    Address("upload", "patient", INSIDE, 422, "post"),
    Address("batches", None, INSIDE),
    Address("batch_new", None, INSIDE),
    Address("batch_new", None, INSIDE, 422, "post"),
    Address("batch", "batch", INSIDE),
    Address("batch_status", "batch", INSIDE),
    Address("batch_undecided", "batch", INSIDE),
    Address("batch_announce", "batch", INSIDE, 422, "post"),
    Address("batch_receive", "batch", INSIDE, 404, "post"),
    Address("batch_part", "batch", INSIDE, 200, "post"),
    Address("batch_assign", "batch", INSIDE, 302, "post"),
    Address("batch_give_up", "batch", INSIDE, 302, "post"),
    Address("arrival_preview", "arrival", INSIDE),
    Address("film", "film", INSIDE),
    Address("film_status", "film", INSIDE),
    Address("film_again", "film", INSIDE, 302, "post"),
    Address("film_image", "film", INSIDE),
    Address("film_values", "film", INSIDE),
    Address("film_preview", "film", INSIDE),
    Address("heatmap", "prediction", INSIDE),
    Address("film_priority", "film", INSIDE, 302, "post", {"priority": "2"}),
    Address("film_assign", "film", INSIDE, 302, "post", {"to": "me"}),
    Address("film_outcome", "film", INSIDE),
    Address("film_outcome", "film", INSIDE, 422, "post"),
    Address("worklist", None, INSIDE),
    Address("worklist_news", None, INSIDE, data={"since": "0"}),
    Address("review_queue", None, REVIEWERS),
    Address("review_next", None, REVIEWERS, 302, "post"),
    Address("review_leave", None, REVIEWERS, 302, "post"),
    Address("review_film", "film", REVIEWERS),
    Address("review_withdraw", "review", REVIEWERS, 302, "post"),
    Address("readers", None, REVIEWERS),
    Address("clinic_rules", "clinic", ADMINISTRATORS),
    Address("clinic_rules", "clinic", ADMINISTRATORS, 422, "post"),
    Address("review", "prediction", REVIEWERS, 302, "post", {"verdict": "normal"}),
    Address("models", None, STAFF),
    Address("model", "model", STAFF),
    Address("model_production", None, STAFF, 302),
    Address("model_compare", None, STAFF),
    Address("model_failures", "model", STAFF, 404),
    Address("model_promote", "model", STAFF, 302, "post"),
    Address("model_gate", "model", STAFF),
    Address("model_evaluate", "model", STAFF, 302, "post"),
    Address("model_shadow", "model", STAFF),
    Address("shadow_start", "model", STAFF, 302, "post"),
    Address("shadow_end", "shadow", STAFF, 302, "post"),
    Address("model_roll_back", None, STAFF, 302, "post"),
    Address("promotion_rules", None, STAFF),
    Address("promotion_rules", None, STAFF, 422, "post"),
    Address("promotion_decide", "request", STAFF, 302, "post"),
    Address("operating_point", None, STAFF),
    Address("operating_choose", None, STAFF, 302, "post"),
    Address("evaluation", "evaluation", STAFF),
    Address("base_picture", "base film", STAFF, 404),
    Address("disagreements", None, REVIEWERS),
    Address("training", None, STAFF),
    Address("training", None, STAFF, 422, "post"),
    Address("training_run", "run", STAFF),
    Address("training_status", "run", STAFF),
    Address("training_manifest", "run", STAFF),
    Address("training_cancel", "run", STAFF, 302, "post"),
    Address("monitoring", None, STAFF),
    Address("monitoring_queue", None, STAFF),
    Address("monitoring_films", None, STAFF),
    Address("monitoring_table", None, STAFF, data={"table": "films"}),
]


@dataclass
class World:
    """A clinic with one answered film."""

    clinic: Clinic
    patient: Patient
    prediction: Prediction
    evaluation: Evaluation
    shadow: ShadowRun
    request: PromotionRequest
    arrival: Arrival
    run: TrainingRun

    def pk(self, about: str | None) -> dict[str, int]:
        keys = {
            "patient": self.patient.pk,
            "film": self.prediction.film_id,
            "prediction": self.prediction.pk,
            "batch": self.arrival.batch_id,
            "arrival": self.arrival.pk,
            "model": self.prediction.model_version_id,
            "evaluation": self.evaluation.pk,
            "base film": self.evaluation.films.get().pk,
            "shadow": self.shadow.pk,
            "request": self.request.pk,
            "run": self.run.pk,
            "review": self.prediction.reviews.get().pk,
            "clinic": self.clinic.pk,
        }
        return {"pk": keys[about]} if about else {}


@pytest.fixture
def world() -> World:
    return make_world()


def make_world() -> World:
    """Make the rows that the addresses name; the walk of all pages in a browser uses them too."""
    clinic = ClinicFactory()
    patient = PatientFactory(clinic=clinic)
    answer = AnswerFactory(
        film=FilmFactory(study=StudyFactory(patient=patient)), model_version__stage="production"
    )
    Review.objects.create(prediction=answer, reviewer=make_user("reviewer", clinic), verdict="unreadable")
    worklist.refresh([answer.film_id])
    candidate = ModelVersionFactory()
    evaluation = Evaluation.objects.create(candidate=candidate, production=answer.model_version)
    EvaluationFilm.objects.create(
        evaluation=evaluation, part="base", name="NORMAL/1.png", patient="base 1", label="NORMAL"
    )
    by = make_user("staff", clinic)
    shadow = ShadowRun.objects.create(
        version=candidate, started_by=by, started_at=answer.queued_at, reason="Invented"
    )
    request = PromotionRequest.objects.create(version=candidate, requested_by=by, reason="Invented")
    arrival = ArrivalFactory(batch__clinic=clinic)
    return World(clinic, patient, answer, evaluation, shadow, request, arrival, TrainingRunFactory())


def ask(client: Client, address: Address, world: World) -> int:
    call = getattr(client, address.method)
    return int(call(reverse(address.name, kwargs=world.pk(address.about)), address.data).status_code)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: f"{a.method} {a.name}")
def test_own_clinic(client: Client, world: World, address: Address, role: str) -> None:
    client.force_login(make_user(role, world.clinic))
    assert ask(client, address, world) == (address.status if role in address.roles else 403)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "address",
    [
        a
        for a in ADDRESSES
        if a.about not in (None, "model", "run", "evaluation", "base film", "shadow", "request")
    ],
    ids=lambda a: f"{a.method} {a.name}",
)
def test_foreign_clinic_does_not_exist(client: Client, world: World, address: Address, role: str) -> None:
    client.force_login(make_user(role, ClinicFactory()))
    refused = 404 if role in address.roles else 403
    assert ask(client, address, world) == (address.status if role == "administrator" else refused)


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda a: f"{a.method} {a.name}")
def test_nobody_passes_without_logging_in(client: Client, world: World, address: Address) -> None:
    call = getattr(client, address.method)
    response = call(reverse(address.name, kwargs=world.pk(address.about)), address.data)
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


def test_every_address_of_the_application_is_in_the_table() -> None:
    def names(patterns: list[URLPattern | URLResolver]) -> set[str]:
        return {p.name for p in patterns if isinstance(p, URLPattern) and p.name}

    application = next(
        p for p in get_resolver().url_patterns if isinstance(p, URLResolver) and str(p.pattern) == ""
    )
    assert names(application.url_patterns) == {a.name for a in ADDRESSES}


@pytest.mark.parametrize(
    "address", [a for a in ADDRESSES if a.method == "post" and a.status == 302], ids=lambda a: a.name
)
def test_what_changes_something_refuses_get(client: Client, world: World, address: Address) -> None:
    client.force_login(make_user("administrator", world.clinic))
    assert client.get(reverse(address.name, kwargs=world.pk(address.about))).status_code == 405


@pytest.mark.parametrize(
    ("role", "status"), [("clinician", 302), ("reviewer", 302), ("staff", 200), ("administrator", 200)]
)
def test_the_admin_shows_a_member_of_staff_no_records_without_permission(
    client: Client, world: World, role: str, status: int
) -> None:
    client.force_login(make_user(role, world.clinic))
    assert client.get("/admin/").status_code == status
    expected = {"administrator": 200, "staff": 403}.get(role, 302)
    assert client.get("/admin/diagnosis/patient/").status_code == expected


def test_lists_name_only_patients_of_the_own_clinic(client: Client, world: World) -> None:
    foreign = PatientFactory(name="Somebody Elsewhere")
    version = world.prediction.model_version
    films = [
        AnswerFactory(film__study__patient=p, model_version=version).film for p in (foreign, world.patient)
    ]
    worklist.refresh(film.pk for film in films)
    client.force_login(make_user("reviewer", world.clinic))
    for name in ("home", "patients", "worklist", "review_queue"):
        page = client.get(reverse(name)).content.decode()
        assert world.patient.name in page
        assert "Somebody Elsewhere" not in page
    assert "Somebody Elsewhere" not in client.get(reverse("patients"), {"q": "Somebody"}).content.decode()


# Pages that say how a whole clinic's films were answered, not how one film was: for staff, who know.
ABOUT_MODELS = {"models", "model", "model_production", "model_compare"}
# Words in a PDF are packed; tests/test_review.py looks at the films that it is made from.
PACKED = {"history_pdf"}


@pytest.mark.parametrize("role", REVIEWERS)
@pytest.mark.parametrize(
    "address",
    [a for a in ADDRESSES if a.method == "get" and a.name not in ABOUT_MODELS | PACKED],
    ids=lambda a: a.name,
)
def test_who_reads_blind_first_is_sent_no_answer(
    client: Client, world: World, address: Address, role: str
) -> None:
    clinic_reads(world.clinic, blind_first=True)
    Prediction.objects.update(probability=0.8765, threshold=0.4321, warnings=["Said by the model."])
    client.force_login(make_user(role, world.clinic))
    if role not in address.roles:
        return
    response = client.get(reverse(address.name, kwargs=world.pk(address.about)), address.data)
    if address.name == "heatmap":
        assert response.status_code == 404
        return
    sent = b"".join(response) if response.streaming else response.content
    for told in (b"88 %", b"0.87", b"43 %", b"Said by the model", b"answer PNEUMONIA", b"heatmap.png"):
        assert told not in sent


def clinic_reads(clinic: Clinic, **rules: Any) -> None:
    Clinic.objects.filter(pk=clinic.pk).update(**rules)


def test_a_user_without_clinic_sees_nobody(world: World) -> None:
    user = make_user("clinician")
    user.clinic = None
    user.save()
    assert not visible_patients(user).exists()
    assert not visible_films(user).exists()


@pytest.mark.parametrize(
    ("role", "roles"),
    [
        ("", set()),
        ("clinician", {"clinician"}),
        ("reviewer", {"clinician", "reviewer"}),
        ("staff", {"clinician", "reviewer", "staff"}),
        ("administrator", {"clinician", "reviewer", "staff", "administrator"}),
    ],
)
def test_a_role_includes_those_below_it(role: str, roles: set[str]) -> None:
    assert roles_of(make_user(role)) == roles


def test_a_closed_account_cannot_log_in(client: Client, world: World) -> None:
    user = make_user("clinician", world.clinic, is_active=False)
    client.post("/accounts/login/", {"login": user.email, "password": "a-long-enough-password-7"})
    assert client.get("/patients/").status_code == 302


def test_a_record_opened_in_the_administration_is_logged(client: Client, world: World) -> None:
    administrator = make_user("administrator", world.clinic)
    client.force_login(administrator)
    for address in (f"patient/{world.patient.pk}", f"prediction/{world.prediction.pk}"):
        assert client.get(f"/admin/diagnosis/{address}/change/").status_code == 200
    rows = AccessLog.objects.filter(user=administrator, patient=world.patient, action="seen")
    assert sorted(row.what.split()[0] for row in rows) == ["patient", "prediction"]
