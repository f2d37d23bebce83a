"""Verdicts: append-only, withdrawn within a minute, read blind or twice, adjudicated; films are lent one by one."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnosis import histories, loans, review, reviewqueue, worklist
from diagnosis.models import AccessLog, Prediction, Review, ReviewLoan, ReviewWithdrawal, WorklistRow
from diagnosis.reviewqueue import Kind
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


def colleague(user: User) -> User:
    return make_user("reviewer", user.clinic)


def answer_for(user: User, **fields: Any) -> Prediction:
    patient = PatientFactory(clinic=user.clinic, created_by=user)
    answer = AnswerFactory(film=FilmFactory(study=StudyFactory(patient=patient)), **fields)
    worklist.refresh([answer.film_id])
    return answer


def clinic_reads(user: User, **rules: Any) -> None:
    assert user.clinic is not None
    for name, value in rules.items():
        setattr(user.clinic, name, value)
    user.clinic.save()


def reading(answer: Prediction) -> str:
    return WorklistRow.objects.get(film=answer.film_id).reading


def page(client: Client, name: str, answer: Prediction) -> str:
    return client.get(reverse(name, args=[answer.film_id])).content.decode()


def fresh(answer: Prediction) -> Prediction:
    """The answer as a later request finds it."""
    return Prediction.objects.select_related("film__patient__clinic").get(pk=answer.pk)


# ---------------------------------------------------------------- verdicts


def test_the_last_verdict_counts_and_the_first_stays(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    for verdict in ("pneumonia", "normal"):
        client.post(reverse("review", args=[answer.pk]), {"verdict": verdict, "remark": f"looks {verdict}"})
    assert [r.verdict for r in answer.reviews.all()] == ["normal", "pneumonia"]
    assert answer.counting_review is not None
    assert answer.counting_review.verdict == "normal"
    assert answer.counting_review.agrees is False
    assert "corrects the model" in page(client, "film", answer)


def test_what_was_said_cannot_be_changed_or_deleted(reviewer: User) -> None:
    verdict = review.record(reviewer, answer_for(reviewer), "normal")
    review.withdraw(reviewer, verdict)
    for table in (Review, ReviewWithdrawal):
        with pytest.raises(TypeError, match="append-only"):
            table.objects.update(pk=1)
        with pytest.raises(TypeError, match="append-only"):
            table.objects.all().delete()


def test_no_verdict_before_an_answer(client: Client, reviewer: User) -> None:
    patient = PatientFactory(clinic=reviewer.clinic)
    waiting = PredictionFactory(film=FilmFactory(study=StudyFactory(patient=patient)))
    response = client.post(reverse("review", args=[waiting.pk]), {"verdict": "normal"}, follow=True)
    assert "no answer yet" in response.content.decode()
    assert not Review.objects.exists()
    assert client.get(reverse("review_film", args=[waiting.film_id])).status_code == 302


@pytest.mark.parametrize("verdict", ["", "perhaps"])
def test_a_verdict_must_be_one_of_four(client: Client, reviewer: User, verdict: str) -> None:
    response = client.post(
        reverse("review", args=[answer_for(reviewer).pk]), {"verdict": verdict}, follow=True
    )
    assert "Nothing was kept" in response.content.decode()
    assert not Review.objects.exists()


@pytest.mark.parametrize("verdict", ["unreadable", "not_frontal"])
def test_a_verdict_on_the_film_neither_agrees_nor_disagrees(reviewer: User, verdict: str) -> None:
    assert review.record(reviewer, answer_for(reviewer), verdict).agrees is None


# ---------------------------------------------------------------- undo


def test_a_verdict_is_taken_back_and_stays_on_record(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    client.post(reverse("review", args=[answer.pk]), {"verdict": "pneumonia"})
    assert "Kept: <strong>Pneumonia</strong>" in client.get(reverse("review_queue")).content.decode()
    response = client.post(reverse("review_withdraw", args=[Review.objects.get().pk]))
    assert response["Location"] == reverse("review_film", args=[answer.film_id])
    assert reading(answer) == "open"
    assert fresh(answer).counting_review is None
    assert "withdrawn" in page(client, "film", answer)
    assert review.undoable(reviewer) is None


def test_after_a_minute_or_by_another_a_verdict_stands(
    reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = review.record(reviewer, answer_for(reviewer), "normal")
    with pytest.raises(review.TooLate, match="Only the reviewer"):
        review.withdraw(colleague(reviewer), verdict)
    monkeypatch.setattr(review, "UNDO", timedelta(0))
    with pytest.raises(review.TooLate, match="minute"):
        review.withdraw(reviewer, verdict)
    assert review.undoable(reviewer) is None
    assert not ReviewWithdrawal.objects.exists()


def test_a_verdict_is_withdrawn_once(reviewer: User) -> None:
    verdict = review.record(reviewer, answer_for(reviewer), "normal")
    review.withdraw(reviewer, verdict)
    with pytest.raises(review.TooLate, match="already"):
        review.withdraw(reviewer, Review.objects.get(pk=verdict.pk))


# ---------------------------------------------------------------- regions

BOX = {"kind": "box", "points": [[10, 20], [60.04, 90]]}


def test_a_region_is_kept_in_pixels_of_the_film(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    outline = {"kind": "outline", "points": [[0, 0], [256, 0], [128, 256]], "extra": "dropped"}
    client.post(
        reverse("review", args=[answer.pk]), {"verdict": "pneumonia", "region": json.dumps([BOX, outline])}
    )
    assert Review.objects.get().region == [
        {"kind": "box", "points": [[10.0, 20.0], [60.0, 90.0]]},
        {"kind": "outline", "points": [[0.0, 0.0], [256.0, 0.0], [128.0, 256.0]]},
    ]


@pytest.mark.parametrize(
    "region",
    [
        "no json",
        '{"kind": "box"}',
        "[1]",
        '[{"kind": "star", "points": [[1, 1], [2, 2]]}]',
        '[{"kind": "box", "points": [[1, 1]]}]',
        '[{"kind": "box", "points": [[9, 9], [1, 1]]}]',
        '[{"kind": "box", "points": [[1, 1], [2, 257]]}]',
        '[{"kind": "box", "points": [[1, 1], [true, 2]]}]',
        '[{"kind": "box", "points": [[1, 1], [NaN, 2]]}]',
        json.dumps([BOX] * 21),
        json.dumps([{"kind": "outline", "points": [[1, 1]] * 501}]),
    ],
)
def test_a_region_that_is_none_keeps_nothing(client: Client, reviewer: User, region: str) -> None:
    answer = answer_for(reviewer)
    response = client.post(
        reverse("review", args=[answer.pk]), {"verdict": "pneumonia", "region": region}, follow=True
    )
    assert "Nothing was kept" in response.content.decode()
    assert not Review.objects.exists()


def test_what_was_drawn_and_written_is_there_again_after_undo(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    given = review.record(reviewer, answer, "normal", "left base", [BOX])
    review.withdraw(reviewer, given)
    shown = page(client, "review_film", answer)
    assert "left base</textarea>" in shown
    assert json.loads(unescape(re.findall(r'name="region" value="([^"]*)"', shown)[0])) == [BOX]


def test_an_adjudicator_sees_both_readers_regions_and_whose_they_are(client: Client, reviewer: User) -> None:
    clinic_reads(reviewer, second_share=100)
    answer = answer_for(reviewer)
    second, third = colleague(reviewer), colleague(reviewer)
    other_box = {"kind": "box", "points": [[1, 2], [3, 4]]}
    taken_back = review.record(reviewer, answer, "pneumonia", region=[other_box])
    review.withdraw(reviewer, taken_back)
    review.record(reviewer, fresh(answer), "pneumonia", region=[BOX])
    client.force_login(second)
    assert drawn_by_others(page(client, "review_film", answer)) == []
    review.record(second, fresh(answer), "normal")
    client.force_login(third)
    shown = page(client, "review_film", answer)
    assert drawn_by_others(shown) == [
        {"letter": "A", "name": str(reviewer), "verdict": "Pneumonia", "regions": [BOX]},
        {"letter": "B", "name": str(second), "verdict": "Normal", "regions": []},
    ]
    assert 'points="10,20 60.04,20 60.04,90 10,90"' in shown


def drawn_by_others(shown: str) -> Any:
    return json.loads(re.findall(r'<script id="readers" type="application/json">(.*?)</script>', shown)[0])


# ---------------------------------------------------------------- queue and loans


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
    films = lambda kind: [row.film_id for row in reviewqueue.upcoming(reviewer, kind, 9)]  # noqa: E731
    assert films(Kind.OLDEST) == [stat.film_id, *(a.film_id for a in answers.values())]
    assert films(Kind.UNCERTAIN) == [answers[p].film_id for p in (0.47, 0.3, 0.02)] + [stat.film_id]
    assert set(films(Kind.CONFIDENT)) == {stat.film_id, answers[0.02].film_id}
    assert films(Kind.DISPUTED) == []
    review.record(reviewer, answers[0.3], "pneumonia")
    assert [r.film_id for r in reviewqueue.upcoming(colleague(reviewer), Kind.DISPUTED, 9)] == [
        answers[0.3].film_id
    ]


def test_two_reviewers_never_get_the_same_film(reviewer: User) -> None:
    films = {answer_for(reviewer).film_id for _ in range(2)}
    other = colleague(reviewer)
    assert {reviewqueue.take_next(reviewer, Kind.OLDEST), reviewqueue.take_next(other, Kind.OLDEST)} == films
    assert reviewqueue.take_next(colleague(reviewer), Kind.OLDEST) is None


def test_who_loses_every_race_but_the_last_still_gets_a_film(
    reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = [answer_for(reviewer).film_id for _ in range(12)]
    lend = loans.lend

    def lend_second(user: User, film: int) -> bool:
        if film != films[-1]:
            lend(colleague(reviewer), film)
        return lend(user, film)

    monkeypatch.setattr(loans, "lend", lend_second)
    assert reviewqueue.take_next(reviewer, Kind.OLDEST) == films[-1]
    assert ReviewLoan.objects.count() == len(films)


def test_a_film_in_other_hands_is_not_judged_and_comes_back_if_left(client: Client, reviewer: User) -> None:
    answer, other = answer_for(reviewer), colleague(reviewer)
    assert loans.lend(other, answer.film_id)
    assert "In other hands" in page(client, "review_film", answer)
    with pytest.raises(review.NotReviewable, match="in hand"):
        review.record(reviewer, answer, "normal")
    ReviewLoan.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert "In other hands" not in page(client, "review_film", answer)
    assert loans.holder(answer.film_id).reviewer == reviewer  # type: ignore[union-attr]
    client.post(reverse("review_leave"))
    assert loans.lend(other, answer.film_id)


def test_a_reviewer_holds_one_film_at_a_time(reviewer: User) -> None:
    for answer in (answer_for(reviewer), answer_for(reviewer)):
        assert loans.lend(reviewer, answer.film_id)
    assert ReviewLoan.objects.get().film_id == answer.film_id


# ---------------------------------------------------------------- blind first


def test_a_blind_verdict_comes_first_and_may_be_changed(client: Client, reviewer: User) -> None:
    clinic_reads(reviewer, blind_first=True)
    answer = answer_for(reviewer, label="NORMAL", probability=0.123)
    for name in ("film", "review_film", "film_status"):
        shown = page(client, name, answer)
        assert "12 %" not in shown
        assert "answer NORMAL" not in shown
    assert client.get(reverse("heatmap", args=[answer.pk])).status_code == 404
    response = client.post(reverse("review", args=[answer.pk]), {"verdict": "pneumonia"}, follow=True)
    assert "12 %" in response.content.decode()
    assert "Keep it, next film" in response.content.decode()
    assert client.get(reverse("heatmap", args=[answer.pk])).status_code == 200
    client.post(reverse("review", args=[answer.pk]), {"verdict": "normal"})
    assert [(r.verdict, r.blind) for r in answer.reviews.order_by("pk")] == [
        ("pneumonia", True),
        ("normal", False),
    ]
    assert "1 of 1 blind readings" in client.get(reverse("readers")).content.decode()


def test_a_blind_reviewers_page_holds_no_trace_of_the_answer(client: Client, reviewer: User) -> None:
    clinic_reads(reviewer, blind_first=True)
    answer = answer_for(
        reviewer, probability=0.873, threshold=0.412, warnings=["Age."], receipt={"pixels": "abc"}
    )
    others = review.record(colleague(reviewer), answer, "normal", "clear lungs", [BOX])
    traces = [
        reverse("heatmap", args=[answer.pk]), "data-heatmap", "87 %", "0.873", "41 %", "Age.", "abc",
        "answer PNEUMONIA", str(answer.model_version), "clear lungs", str(others.reviewer),
    ]  # fmt: skip
    before = page(client, "review_film", answer)
    assert not [trace for trace in traces if trace in before]
    client.post(reverse("review", args=[answer.pk]), {"verdict": "normal"})
    after = page(client, "review_film", answer)
    assert not [trace for trace in traces if trace not in after and trace != "0.873"]


def test_who_reads_blind_cannot_choose_films_by_their_answer(client: Client, reviewer: User) -> None:
    clinic_reads(reviewer, blind_first=True)
    sure = answer_for(reviewer, probability=0.99)
    doubtful = answer_for(reviewer, probability=0.51)
    shown = client.get(reverse("review_queue"), {"kind": "uncertain"}).content.decode()
    assert "Least certain" not in shown
    response = client.post(reverse("review_next"), {"kind": "uncertain"})
    assert response["Location"] == reverse("review_film", args=[sure.film_id]) + "?kind=oldest"
    assert doubtful.film_id != sure.film_id


def test_clinicians_and_other_clinics_see_answers_as_before(client: Client, reviewer: User) -> None:
    clinic_reads(reviewer, blind_first=True)
    answer = answer_for(reviewer)
    client.force_login(make_user("clinician", reviewer.clinic))
    assert "87 %" in page(client, "film", answer)
    elsewhere = make_user("reviewer")
    client.force_login(elsewhere)
    assert "87 %" in page(client, "film", answer_for(elsewhere))


def test_a_withdrawn_blind_verdict_makes_nobody_blind_again(reviewer: User) -> None:
    clinic_reads(reviewer, blind_first=True)
    answer = answer_for(reviewer)
    first = review.record(reviewer, answer, "normal")
    review.withdraw(reviewer, first)
    assert first.blind
    assert not review.record(reviewer, fresh(answer), "pneumonia").blind


def test_concealed_films_hold_nothing_a_page_could_show(reviewer: User) -> None:
    clinic_reads(reviewer, blind_first=True)
    answer = answer_for(reviewer, warnings=["Age."], receipt={"pixels": "abc"})
    review.record(colleague(reviewer), answer, "normal")
    (film,) = histories.films_for(reviewer, answer.film.patient)
    hidden = film.latest_prediction
    assert hidden is not None
    assert hidden.concealed
    assert (hidden.label, hidden.probability, hidden.threshold, hidden.warnings, hidden.receipt) == (
        "",
        None,
        None,
        [],
        {},
    )
    assert not hidden.heatmap
    assert hidden.counting_review is None


# ---------------------------------------------------------------- second reader


def test_a_second_reader_does_not_see_the_first_and_a_third_decides(client: Client, reviewer: User) -> None:
    clinic_reads(reviewer, second_share=100)
    answer = answer_for(reviewer)
    second, third, fourth = (colleague(reviewer) for _ in range(3))
    review.record(reviewer, answer, "pneumonia", "dense left base")
    assert reading(answer) == "second"
    assert reviewqueue.upcoming(reviewer, Kind.OLDEST, 9) == []
    client.force_login(second)
    for name in ("film", "review_film", "patient"):
        key = answer.film.patient_id if name == "patient" else answer.film_id
        assert "dense left base" not in client.get(reverse(name, args=[key])).content.decode()
    client.post(reverse("review", args=[answer.pk]), {"verdict": "normal"})
    assert reading(answer) == "differ"
    assert "dense left base" in page(client, "film", answer)
    for reader in (reviewer, second):
        assert reviewqueue.upcoming(reader, Kind.OLDEST, 9) == []
    client.force_login(third)
    shown = page(client, "review_film", answer)
    assert "Two readers differ: you decide" in shown
    assert "dense left base" in shown
    client.post(reverse("review", args=[answer.pk]), {"verdict": "normal"})
    assert reading(answer) == "done"
    decided = fresh(answer).counting_review
    assert decided is not None
    assert (decided.reviewer, decided.adjudicates) == (third, True)
    assert not review.record(fourth, fresh(answer), "pneumonia").adjudicates
    assert fresh(answer).counting_review == decided


def test_two_who_agree_need_nobody_else(reviewer: User) -> None:
    clinic_reads(reviewer, second_share=100)
    answer = answer_for(reviewer)
    review.record(reviewer, answer, "pneumonia")
    review.record(colleague(reviewer), fresh(answer), "pneumonia")
    assert reading(answer) == "done"


def test_contradicting_the_model_asks_for_a_second_reader(reviewer: User) -> None:
    clinic_reads(reviewer, second_on_dispute=True)
    same, other = answer_for(reviewer), answer_for(reviewer)
    review.record(reviewer, same, "pneumonia")
    review.record(reviewer, other, "normal")
    assert (reading(same), reading(other)) == ("done", "second")


def test_a_share_is_drawn_by_film_and_stays(reviewer: User) -> None:
    draws = [worklist.draw(film, "second") for film in range(2000)]
    assert 0.17 < sum(draw * 100 < 20 for draw in draws) / 2000 < 0.23
    assert draws[:9] == [worklist.draw(film, "second") for film in range(9)]


# ---------------------------------------------------------------- outcome and rules


def test_an_outcome_is_entered_corrected_and_never_overwritten(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    address = reverse("film_outcome", args=[answer.film_id])
    entry = {"diagnosis": "pneumonia", "source": "Culture", "known_on": "2026-01-05"}
    client.post(address, entry)
    client.post(address, {**entry, "diagnosis": "other", "remark": "Atelectasis on CT"})
    assert [o.diagnosis for o in answer.film.outcomes.all()] == ["other", "pneumonia"]
    assert "Atelectasis on CT" in page(client, "film", answer)
    assert client.post(address, {**entry, "known_on": "2999-01-01"}).status_code == 422
    assert (
        AccessLog.objects.filter(what=f"film {answer.film_id}: final diagnosis", action="changed").count()
        == 2
    )


def test_an_outcome_is_kept_from_who_reads_blind(client: Client, reviewer: User) -> None:
    answer = answer_for(reviewer)
    entry = {"diagnosis": "pneumonia", "source": "Culture of sputum", "known_on": "2026-01-05"}
    client.post(reverse("film_outcome", args=[answer.film_id]), entry)
    clinic_reads(reviewer, blind_first=True)
    for name in ("film", "film_outcome", "review_film"):
        assert "Culture of sputum" not in page(client, name, answer)


def test_the_administrator_sets_the_clinics_rules(client: Client, reviewer: User) -> None:
    clinic = reviewer.clinic
    assert clinic is not None
    client.force_login(make_user("administrator", clinic))
    address = reverse("clinic_rules", args=[clinic.pk])
    assert client.post(address, {"blind_first": "on", "second_share": "101"}).status_code == 422
    client.post(address, {"blind_first": "on", "second_share": "25"})
    clinic.refresh_from_db()
    assert (clinic.blind_first, clinic.second_share, clinic.second_on_dispute) == (True, 25, False)
