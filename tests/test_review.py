"""Verdicts: append-only, the last one counts; the queue holds what nobody has reviewed."""

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis import review
from diagnosis.models import Prediction, Review
from pneumoweb.accounts.models import User
from tests.factories import (
    AnswerFactory,
    FilmFactory,
    PatientFactory,
    PredictionFactory,
    StudyFactory,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def reviewer(client: Client) -> User:
    user = make_user("reviewer")
    client.force_login(user)
    return user


def answer_for(user: User) -> Prediction:
    return AnswerFactory(film=FilmFactory(study=StudyFactory(patient=PatientFactory(clinic=user.clinic))))


def test_the_last_verdict_counts_and_the_first_stays(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    for verdict in ("pneumonia", "normal"):
        client.post(reverse("review", args=[answer.pk]), {"verdict": verdict, "remark": f"looks {verdict}"})
    assert [r.verdict for r in answer.reviews.all()] == ["normal", "pneumonia"]
    assert answer.counting_review is not None
    assert answer.counting_review.verdict == "normal"
    assert answer.counting_review.agrees is False
    assert "corrects the model" in client.get(reverse("film", args=[answer.film_id])).content.decode()


def test_a_review_cannot_be_changed_or_deleted(reviewer: User) -> None:
    review.record(reviewer, answer_for(reviewer), "normal")
    with pytest.raises(TypeError, match="append-only"):
        Review.objects.update(verdict="pneumonia")
    with pytest.raises(TypeError, match="append-only"):
        Review.objects.all().delete()


def test_no_verdict_before_an_answer(client: Client, reviewer: User) -> None:
    patient = PatientFactory(clinic=reviewer.clinic)
    waiting = PredictionFactory(film=FilmFactory(study=StudyFactory(patient=patient)))
    response = client.post(reverse("review", args=[waiting.pk]), {"verdict": "normal"}, follow=True)
    assert "no answer yet" in response.content.decode()
    assert not Review.objects.exists()


@pytest.mark.parametrize("verdict", ["", "perhaps"])
def test_a_verdict_must_be_one_of_three(client: Client, reviewer: User, verdict: str) -> None:
    response = client.post(
        reverse("review", args=[answer_for(reviewer).pk]), {"verdict": verdict}, follow=True
    )
    assert "Choose a verdict" in response.content.decode()
    assert not Review.objects.exists()


def test_the_queue_is_walked_film_by_film_and_ends(client: Client, reviewer: User) -> None:
    first, second = answer_for(reviewer), answer_for(reviewer)
    assert list(review.waiting_for_review(reviewer)) == [first, second]
    response = client.post(reverse("review", args=[first.pk]), {"verdict": "unreadable", "next": "1"})
    assert response["Location"] == reverse("film", args=[second.film_id])
    response = client.post(
        reverse("review", args=[second.pk]), {"verdict": "normal", "next": "1"}, follow=True
    )
    assert "Everything is reviewed" in response.content.decode()


def test_unreadable_neither_agrees_nor_disagrees(reviewer: User) -> None:
    assert review.record(reviewer, answer_for(reviewer), "unreadable").agrees is None
