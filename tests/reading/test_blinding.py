"""Who may still have to read a film blind learns nothing of it, wherever it is named."""

from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnosis.datasets import manifest
from diagnosis.models import EvaluationFilm, Outcome, Prediction
from diagnosis.monitoring import performance
from diagnosis.reading import worklist
from pneumoweb.accounts.models import User
from tests.core.test_access_log_of_lists import of_evaluation, of_run
from tests.support.factories import (
    AnswerFactory,
    PatientFactory,
    PredictionFactory,
    TrainingRunFactory,
    make_user,
)

pytestmark = pytest.mark.django_db


def contradicted(blind_first: bool, second_wanted: bool = False) -> Prediction:
    """An answer that a reviewer has contradicted."""
    patient = PatientFactory(clinic__blind_first=blind_first)
    made: Prediction = AnswerFactory(film__study__patient=patient, model_version__stage="production")
    reviewer = make_user("reviewer", patient.clinic)
    made.reviews.create(reviewer=reviewer, verdict="normal", second_wanted=second_wanted)
    worklist.refresh([made.film_id])
    return made


@pytest.fixture
def answer() -> Prediction:
    return contradicted(blind_first=True)


@pytest.fixture(params=["staff", "administrator"])
def reader(request: pytest.FixtureRequest, client: Client, answer: Prediction) -> User:
    user = make_user(request.param, answer.film.patient.clinic)
    client.force_login(user)
    return user


def of_status(answer: Prediction) -> str:
    return f"{of_run(answer)}status/"


def of_corrected(answer: Prediction) -> str:
    address = of_evaluation(answer)
    rows = EvaluationFilm.objects.filter(film=answer.film)
    rows.update(part="corrected", corrected=True)
    evaluation = rows.get().evaluation
    evaluation.figures["corrected"] = {"films": 1, "outside": 1, "candidate_right": 1, "production_right": 0}
    evaluation.save()
    return address


def of_cell(cell: str) -> Callable[[Prediction], str]:
    return lambda answer: f"{reverse('monitoring_films')}?cell={cell}"


PAGES: dict[str, Callable[[Prediction], str]] = {
    "differences": of_evaluation,
    "corrected errors": of_corrected,
    "doubts": of_run,
    "doubts, live": of_status,
    **{f"cell {cell}": of_cell(cell) for cell in performance.CELLS},
}


def named(client: Client, address: str, answer: Prediction) -> bool:
    return f'href="/films/{answer.film_id}/"' in client.get(address).content.decode()


@pytest.mark.parametrize("of_list", PAGES.values(), ids=PAGES)
def test_no_list_that_tells_names_the_film_before_the_own_verdict(
    client: Client, answer: Prediction, reader: User, of_list: Callable[[Prediction], str]
) -> None:
    address = of_list(answer)
    assert not named(client, address, answer)
    answer.reviews.create(reviewer=reader, verdict="normal")
    # The film was called pneumonia and is confirmed as normal: it stands in one cell.
    assert named(client, address, answer) is ("cell=" not in address or "cell=fp" in address)


@pytest.mark.parametrize("of_list", [of_evaluation, of_run])
@pytest.mark.parametrize("second", [True, False])
def test_a_second_reader_is_not_told_the_first_verdict_by_a_list(
    client: Client, second: bool, of_list: Callable[[Prediction], str]
) -> None:
    answer = contradicted(blind_first=False, second_wanted=second)
    client.force_login(make_user("staff", answer.film.patient.clinic))
    assert named(client, of_list(answer), answer) is not second


def test_the_manifest_leaves_out_labels_that_are_still_to_be_read_blind(
    client: Client, answer: Prediction, reader: User
) -> None:
    films = [answer.film_id, answer.film_id + 1]
    entries = [
        manifest.Entry(
            "review", pk, "films/x.png", "PNEUMONIA", reader.pk, "2026-11-22", "1", 3.5, "train", "0"
        )
        for pk in films
    ]
    frozen = manifest.as_csv(entries)
    run = TrainingRunFactory(manifest=default_storage.save("training/blind.csv", ContentFile(frozen)))
    address = reverse("training_manifest", args=[run.pk])
    sent = client.get(address)
    assert [(row.film, row.label, row.confirmed_by) for row in manifest.from_csv(sent.content)] == [
        (films[0], "", None), (films[1], "PNEUMONIA", reader.pk),
    ]  # fmt: skip
    assert "blind-run" in sent["Content-Disposition"]
    answer.reviews.create(reviewer=reader, verdict="normal")
    assert client.get(address).content == frozen


@pytest.mark.parametrize("table", ["prediction", "review", "outcome"])
def test_the_administration_shows_no_answer_or_label_before_the_own_verdict(
    client: Client, answer: Prediction, table: str
) -> None:
    reader = make_user("administrator", answer.film.patient.clinic)
    outcome = Outcome.objects.create(
        film=answer.film, diagnosis="normal", known_on=timezone.localdate(), source="clinical", by=reader
    )
    record = {"prediction": answer, "review": answer.reviews.get(), "outcome": outcome}[table]
    client.force_login(reader)
    address = f"/admin/diagnosis/{table}/{record.pk}/change/"
    assert address not in client.get(f"/admin/diagnosis/{table}/").content.decode()
    assert client.get(address).status_code == 302
    answer.reviews.create(reviewer=reader, verdict="normal")
    assert address in client.get(f"/admin/diagnosis/{table}/").content.decode()
    assert client.get(address).status_code == 200


def test_an_older_answer_that_was_refused_does_not_open_the_outcome(
    client: Client, answer: Prediction, reader: User
) -> None:
    refused = PredictionFactory(
        film=answer.film, state="rejected", finished_at=timezone.now(), reasons=["Invented."]
    )
    Outcome.objects.create(
        film=answer.film, diagnosis="normal", known_on=timezone.localdate(), source="clinical", by=reader,
        remark="Culture was negative.",
    )  # fmt: skip
    page = client.get(reverse("film", args=[answer.film_id]), {"prediction": refused.pk})
    assert b"Culture was negative" not in page.content
