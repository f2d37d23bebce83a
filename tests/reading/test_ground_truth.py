"""One confirmed label a film: outcome before adjudication before readers who agree."""

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from diagnosis.models import Outcome, Prediction, Review
from diagnosis.reading import reviews
from diagnosis.reading.ground_truth import confirmed
from pneumoweb.accounts.models import User
from tests.support.factories import AnswerFactory, make_user
from tests.support.reviews import answer_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def readers() -> list[User]:
    first = make_user("reviewer")
    return [first, *(make_user("reviewer", first.clinic) for _ in range(2))]


def say(answer: Prediction, *verdicts: tuple[User, str]) -> list[Review]:
    return [reviews.record(reader, answer, verdict) for reader, verdict in verdicts]


def enter(answer: Prediction, by: User, diagnosis: str) -> None:
    Outcome.objects.create(
        film=answer.film, diagnosis=diagnosis, source="CT", known_on=date(2026, 1, 5), by=by
    )


def truth(answer: Prediction) -> tuple[str, str, int] | None:
    found = list(confirmed([answer.film_id]))
    assert all(c.film_id == answer.film_id and c.patient_id == answer.film.patient_id for c in found)
    return (found[0].label, found[0].source, found[0].by_id) if found else None


def test_the_last_verdict_of_a_reader_counts(readers: list[User]) -> None:
    answer = answer_for(readers[0])
    assert truth(answer) is None
    say(answer, (readers[0], "normal"), (readers[0], "pneumonia"))
    assert truth(answer) == ("PNEUMONIA", "review", readers[0].pk)


def test_a_withdrawn_verdict_gives_way_to_the_one_before(readers: list[User]) -> None:
    answer = answer_for(readers[0])
    _, last = say(answer, (readers[0], "normal"), (readers[0], "pneumonia"))
    reviews.withdraw(readers[0], last)
    assert truth(answer) == ("NORMAL", "review", readers[0].pk)


def test_verdicts_on_answers_of_several_models_are_one_films(readers: list[User]) -> None:
    answer = answer_for(readers[0])
    say(answer, (readers[0], "normal"))
    say(AnswerFactory(film=answer.film), (readers[0], "pneumonia"))
    assert truth(answer) == ("PNEUMONIA", "review", readers[0].pk)


@pytest.mark.parametrize("verdict", ["unreadable", "not_frontal"])
def test_a_film_that_shows_nothing_confirms_nothing(readers: list[User], verdict: str) -> None:
    answer = answer_for(readers[0])
    say(answer, (readers[0], "normal"), (readers[0], verdict))
    assert truth(answer) is None


def test_readers_who_differ_confirm_nothing_until_one_decides(readers: list[User]) -> None:
    answer = answer_for(readers[0])
    say(answer, (readers[0], "normal"), (readers[1], "pneumonia"))
    assert truth(answer) is None
    say(answer, (readers[2], "normal"))
    assert truth(answer) == ("NORMAL", "adjudication", readers[2].pk)


def test_a_reader_who_comes_round_settles_it(readers: list[User]) -> None:
    answer = answer_for(readers[0])
    say(answer, (readers[0], "normal"), (readers[1], "pneumonia"), (readers[0], "pneumonia"))
    assert truth(answer) == ("PNEUMONIA", "review", readers[0].pk)


def test_an_adjudication_that_is_no_label_confirms_nothing(readers: list[User]) -> None:
    answer = answer_for(readers[0])
    say(answer, (readers[0], "normal"), (readers[1], "pneumonia"), (readers[2], "unreadable"))
    assert truth(answer) is None


def test_a_withdrawn_adjudication_leaves_them_differing(readers: list[User]) -> None:
    answer = answer_for(readers[0])
    *_, last = say(answer, (readers[0], "normal"), (readers[1], "pneumonia"), (readers[2], "normal"))
    reviews.withdraw(readers[2], last)
    assert truth(answer) is None


@pytest.mark.parametrize(
    ("diagnoses", "expected"),
    [(["normal"], "NORMAL"), (["normal", "pneumonia"], "PNEUMONIA"), (["other"], None)],
)
def test_the_last_outcome_counts_before_all_verdicts(
    readers: list[User], diagnoses: list[str], expected: str | None
) -> None:
    answer = answer_for(readers[0])
    say(answer, (readers[0], "normal"), (readers[1], "pneumonia"), (readers[2], "pneumonia"))
    for diagnosis in diagnoses:
        enter(answer, readers[1], diagnosis)
    assert truth(answer) == ((expected, "outcome", readers[1].pk) if expected else None)


def test_films_come_in_order_with_two_queries(readers: list[User]) -> None:
    answers = [answer_for(readers[0]) for _ in range(4)]
    for answer in answers[1:3]:
        say(answer, (readers[0], "normal"))
    enter(answers[0], readers[0], "pneumonia")
    enter(answers[3], readers[0], "pneumonia")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = list(confirmed())
    assert [c.film_id for c in found] == [a.film_id for a in answers]
    assert [c.source for c in found] == ["outcome", "review", "review", "outcome"]
    assert len(queries) == 2
    assert [c.film_id for c in confirmed([answers[2].film_id])] == [answers[2].film_id]
    assert list(confirmed([])) == []
