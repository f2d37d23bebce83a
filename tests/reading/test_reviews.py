"""Verdicts: append-only, withdrawn within a minute, read blind or twice, adjudicated; with outcomes and rules."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from diagnosis.models import AccessLog, Prediction, Review, ReviewWithdrawal, WorklistRow
from diagnosis.patients import history
from diagnosis.reading import review_queue, reviews, worklist
from diagnosis.reading.review_queue import Kind
from pneumoweb.accounts.models import User
from tests.support.factories import FilmFactory, PatientFactory, PredictionFactory, StudyFactory, make_user
from tests.support.reviews import BOX, answer_for, clinic_reads, colleague, fresh, page

pytestmark = pytest.mark.django_db


def reading(answer: Prediction) -> str:
    return WorklistRow.objects.get(film=answer.film_id).reading


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
    verdict = reviews.record(reviewer, answer_for(reviewer), "normal")
    reviews.withdraw(reviewer, verdict)
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
    assert reviews.record(reviewer, answer_for(reviewer), verdict).agrees is None


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
    assert reviews.undoable(reviewer) is None


def test_after_a_minute_or_by_another_a_verdict_stands(
    reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = reviews.record(reviewer, answer_for(reviewer), "normal")
    with pytest.raises(reviews.TooLate, match="Only the reviewer"):
        reviews.withdraw(colleague(reviewer), verdict)
    monkeypatch.setattr(reviews, "UNDO", timedelta(0))
    with pytest.raises(reviews.TooLate, match="minute"):
        reviews.withdraw(reviewer, verdict)
    assert reviews.undoable(reviewer) is None
    assert not ReviewWithdrawal.objects.exists()


def test_a_verdict_is_withdrawn_once(reviewer: User) -> None:
    verdict = reviews.record(reviewer, answer_for(reviewer), "normal")
    reviews.withdraw(reviewer, verdict)
    with pytest.raises(reviews.TooLate, match="already"):
        reviews.withdraw(reviewer, Review.objects.get(pk=verdict.pk))


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
    others = reviews.record(colleague(reviewer), answer, "normal", "clear lungs", [BOX])
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
    first = reviews.record(reviewer, answer, "normal")
    reviews.withdraw(reviewer, first)
    assert first.blind
    assert not reviews.record(reviewer, fresh(answer), "pneumonia").blind


def test_concealed_films_hold_nothing_a_page_could_show(reviewer: User) -> None:
    clinic_reads(reviewer, blind_first=True)
    answer = answer_for(reviewer, warnings=["Age."], receipt={"pixels": "abc"})
    reviews.record(colleague(reviewer), answer, "normal")
    (film,) = history.films_for(reviewer, answer.film.patient)
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
    reviews.record(reviewer, answer, "pneumonia", "dense left base")
    assert reading(answer) == "second"
    assert review_queue.upcoming(reviewer, Kind.OLDEST, 9) == []
    client.force_login(second)
    for name in ("film", "review_film", "patient"):
        key = answer.film.patient_id if name == "patient" else answer.film_id
        assert "dense left base" not in client.get(reverse(name, args=[key])).content.decode()
    client.post(reverse("review", args=[answer.pk]), {"verdict": "normal"})
    assert reading(answer) == "differ"
    assert "dense left base" in page(client, "film", answer)
    for reader in (reviewer, second):
        assert review_queue.upcoming(reader, Kind.OLDEST, 9) == []
    client.force_login(third)
    shown = page(client, "review_film", answer)
    assert "Two readers differ: you decide" in shown
    assert "dense left base" in shown
    client.post(reverse("review", args=[answer.pk]), {"verdict": "normal"})
    assert reading(answer) == "done"
    decided = fresh(answer).counting_review
    assert decided is not None
    assert (decided.reviewer, decided.adjudicates) == (third, True)
    assert not reviews.record(fourth, fresh(answer), "pneumonia").adjudicates
    assert fresh(answer).counting_review == decided


def test_two_who_agree_need_nobody_else(reviewer: User) -> None:
    clinic_reads(reviewer, second_share=100)
    answer = answer_for(reviewer)
    reviews.record(reviewer, answer, "pneumonia")
    reviews.record(colleague(reviewer), fresh(answer), "pneumonia")
    assert reading(answer) == "done"


def test_contradicting_the_model_asks_for_a_second_reader(reviewer: User) -> None:
    clinic_reads(reviewer, second_on_dispute=True)
    same, other = answer_for(reviewer), answer_for(reviewer)
    reviews.record(reviewer, same, "pneumonia")
    reviews.record(reviewer, other, "normal")
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
