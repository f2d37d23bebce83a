"""The film's page, its live state, and the private way of pictures to the browser."""

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.models import AccessLog, ModelVersion, Prediction
from pneumoweb.accounts.models import User
from tests.support.factories import (
    AnswerFactory,
    FilmFactory,
    ModelVersionFactory,
    PatientFactory,
    PredictionFactory,
    StudyFactory,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinician(client: Client) -> User:
    user = make_user("clinician")
    client.force_login(user)
    return user


@pytest.fixture
def answer(clinician: User) -> Prediction:
    patient = PatientFactory(clinic=clinician.clinic)
    return AnswerFactory(
        film=FilmFactory(study=StudyFactory(patient=patient)),
        warnings=["Age 7 is outside."],
        receipt={"runtime": "litert"},
    )


def waiting(user: User, **fields: object) -> Prediction:
    patient = PatientFactory(clinic=user.clinic)
    return PredictionFactory(film=FilmFactory(study=StudyFactory(patient=patient)), **fields)


def page(client: Client, shown: Prediction, **query: str) -> str:
    return client.get(reverse("film", args=[shown.film_id]), query).content.decode()


def test_an_answer_is_shown_in_words_with_number_threshold_heatmap_and_statement(
    client: Client, answer: Prediction
) -> None:
    shown = page(client, answer)
    for words in (
        "Pneumonia",
        "87 %",
        "threshold 50 %",
        answer.model_version.name,
        "the model took 4 ms",
        "Decision support, not a diagnosis",
        "Age 7 is outside.",
        reverse("heatmap", args=[answer.pk]),
        reverse("film_image", args=[answer.film_id]),
    ):
        assert words in shown
    assert 'hx-trigger="every' not in shown


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "waits for a worker"),
        ({"state": "rejected", "reasons": ["This is a photograph."]}, "This is a photograph."),
        ({"state": "failed", "failure": "The worker stopped."}, "The worker stopped."),
    ],
)
def test_other_states_say_why_and_show_no_score(
    client: Client, clinician: User, fields: dict[str, object], words: str
) -> None:
    shown = page(client, waiting(clinician, **fields))
    assert words in shown
    assert "probability of pneumonia" not in shown
    assert "Decision support" in shown


@pytest.mark.parametrize("kind", ["", "row", "card", "line"])
def test_a_fragment_asks_again_until_the_state_is_final(client: Client, clinician: User, kind: str) -> None:
    prediction = waiting(clinician)
    address = reverse("film_status", args=[prediction.film_id])
    query = {"as": kind} if kind else {}
    assert 'hx-trigger="every' in client.get(address, query).content.decode()
    Prediction.objects.filter(pk=prediction.pk).update(state="rejected", reasons=["No film."])
    final = client.get(address, query).content.decode()
    assert "hx-trigger" not in final
    assert "<html" not in final


def test_an_older_answer_can_be_looked_at(client: Client, answer: Prediction) -> None:
    newer = AnswerFactory(film=answer.film, probability=0.12, label="NORMAL")
    assert "12 %" in page(client, newer)
    assert "87 %" in page(client, newer, prediction=str(answer.pk)).split("Answers of other versions")[0]


def test_read_again_is_offered_only_for_a_new_production_model(client: Client, answer: Prediction) -> None:
    again = reverse("film_again", args=[answer.film_id])
    assert again not in page(client, answer)
    ModelVersionFactory(name="newer-2", stage="production")
    assert "Read with newer-2" in page(client, answer)
    client.post(again)
    assert again not in page(client, answer)
    assert list(answer.film.predictions.values_list("state", flat=True)) == ["queued", "succeeded"]


def test_a_review_is_shown_only_to_whom_may_give_one(
    client: Client, answer: Prediction, clinician: User
) -> None:
    address = reverse("review_film", args=[answer.film_id])
    assert address not in page(client, answer)
    client.force_login(make_user("reviewer", clinician.clinic))
    assert address in page(client, answer)


def test_the_picture_is_private_unchanged_and_logged(client: Client, answer: Prediction) -> None:
    response = client.get(reverse("film_image", args=[answer.film_id]))
    with answer.film.file.open() as file:
        assert b"".join(response.streaming_content) == file.read()  # type: ignore[attr-defined]
    assert response["Content-Type"] == "image/png"
    assert response["Cache-Control"] == "private, no-cache"
    assert AccessLog.objects.get().what == f"picture of film {answer.film_id}"


def test_a_small_picture_is_logged_unless_it_is_part_of_a_page(client: Client, answer: Prediction) -> None:
    address = reverse("film_preview", args=[answer.film_id])
    etag = client.get(address, headers={"sec-fetch-dest": "image"})["ETag"]
    client.get(address, headers={"if-none-match": etag})
    assert not AccessLog.objects.exists()
    client.get(address, headers={"sec-fetch-dest": "document"})
    client.get(address)
    assert [row.what for row in AccessLog.objects.all()] == [f"small picture of film {answer.film_id}"] * 2


def test_a_browser_may_keep_a_picture_but_must_ask(client: Client, answer: Prediction) -> None:
    address = reverse("film_preview", args=[answer.film_id])
    etag = client.get(address)["ETag"]
    assert client.get(address, headers={"if-none-match": etag}).status_code == 304
    client.force_login(make_user("clinician"))
    assert client.get(address, headers={"if-none-match": etag}).status_code == 404


def test_files_have_no_address_of_their_own(client: Client, answer: Prediction) -> None:
    for prefix in ("/media/", "/files/", "/static/", "/"):
        assert client.get(f"{prefix}{answer.film.file.name}").status_code == 404


def test_a_picture_that_is_gone_is_404_not_500(client: Client, answer: Prediction) -> None:
    Path(answer.film.file.path).unlink()
    assert client.get(reverse("film_image", args=[answer.film_id])).status_code == 404


def test_no_heatmap_no_picture(client: Client, clinician: User) -> None:
    assert client.get(reverse("heatmap", args=[waiting(clinician).pk])).status_code == 404


def test_without_production_model_reading_again_says_so(client: Client, answer: Prediction) -> None:
    assert not ModelVersion.objects.filter(stage="production").exists()
    response = client.post(reverse("film_again", args=[answer.film_id]), follow=True)
    assert "No model is in production" in response.content.decode()
