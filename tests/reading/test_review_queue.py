"""The review queue: films are lent one by one, each kind in its order, and nobody gets one in other hands."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnosis.models import ReviewLoan
from diagnosis.reading import locks, review_queue, reviews, worklist
from diagnosis.reading.review_queue import Kind
from pneumoweb.accounts.models import User
from tests.support.reviews import answer_for, colleague, page

pytestmark = pytest.mark.django_db


def test_the_queue_is_walked_film_by_film_and_ends(client: Client, reviewer: User) -> None:
    first, second = answer_for(reviewer), answer_for(reviewer)
    response = client.post(reverse("review_next"))
    assert response["Location"].startswith(reverse("review_film", args=[first.film_id]))
    response = client.post(reverse("review", args=[first.pk]), {"verdict": "unreadable"})
    assert response["Location"].startswith(reverse("review_film", args=[second.film_id]))
    response = client.post(reverse("review", args=[second.pk]), {"verdict": "normal"}, follow=True)
    assert "Everything is reviewed" in response.content.decode()


def test_each_kind_gives_its_films_in_its_order(reviewer: User) -> None:
    answers = {p: answer_for(reviewer, probability=p, label="NORMAL") for p in (0.02, 0.3, 0.47)}
    stat = answer_for(reviewer, probability=0.99)
    worklist.set_priority(stat.film, 2)
    films = lambda kind: [row.film_id for row in review_queue.upcoming(reviewer, kind, 9)]  # noqa: E731
    assert films(Kind.OLDEST) == [stat.film_id, *(a.film_id for a in answers.values())]
    assert films(Kind.UNCERTAIN) == [answers[p].film_id for p in (0.47, 0.3, 0.02)] + [stat.film_id]
    assert set(films(Kind.CONFIDENT)) == {stat.film_id, answers[0.02].film_id}
    assert films(Kind.DISPUTED) == []
    reviews.record(reviewer, answers[0.3], "pneumonia")
    assert [r.film_id for r in review_queue.upcoming(colleague(reviewer), Kind.DISPUTED, 9)] == [
        answers[0.3].film_id
    ]


def test_two_reviewers_never_get_the_same_film(reviewer: User) -> None:
    films = {answer_for(reviewer).film_id for _ in range(2)}
    other = colleague(reviewer)
    assert {
        review_queue.take_next(reviewer, Kind.OLDEST),
        review_queue.take_next(other, Kind.OLDEST),
    } == films
    assert review_queue.take_next(colleague(reviewer), Kind.OLDEST) is None


def test_who_loses_every_race_but_the_last_still_gets_a_film(
    reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = [answer_for(reviewer).film_id for _ in range(12)]
    lend = locks.lend

    def lend_second(user: User, film: int) -> bool:
        if film != films[-1]:
            lend(colleague(reviewer), film)
        return lend(user, film)

    monkeypatch.setattr(locks, "lend", lend_second)
    assert review_queue.take_next(reviewer, Kind.OLDEST) == films[-1]
    assert ReviewLoan.objects.count() == len(films)


def test_a_film_in_other_hands_is_not_judged_and_comes_back_if_left(client: Client, reviewer: User) -> None:
    answer, other = answer_for(reviewer), colleague(reviewer)
    assert locks.lend(other, answer.film_id)
    assert "In other hands" in page(client, "review_film", answer)
    with pytest.raises(reviews.NotReviewable, match="in hand"):
        reviews.record(reviewer, answer, "normal")
    ReviewLoan.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert "In other hands" not in page(client, "review_film", answer)
    assert locks.holder(answer.film_id).reviewer == reviewer  # type: ignore[union-attr]
    client.post(reverse("review_leave"))
    assert locks.lend(other, answer.film_id)


def test_a_reviewer_holds_one_film_at_a_time(reviewer: User) -> None:
    for answer in (answer_for(reviewer), answer_for(reviewer)):
        assert locks.lend(reviewer, answer.film_id)
    assert ReviewLoan.objects.get().film_id == answer.film_id
