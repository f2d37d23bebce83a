"""The worklist: what it shows, in which order, page by page, with few queries; what people change there."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from diagnosis.core.permissions import visible_films
from diagnosis.inference import requests, worker
from diagnosis.models import AccessLog, Film, ModelVersion, Prediction, WorklistRow
from diagnosis.monitoring import throughput
from diagnosis.monitoring.scope import Scope
from diagnosis.reading import reviews, worklist, worklist_page
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
OPENED = re.compile(r'data-open href="/(?:review/)?films/(\d+)/"')


@pytest.fixture
def clinician(client: Client) -> User:
    user = make_user("clinician")
    client.force_login(user)
    return user


@pytest.fixture
def version() -> ModelVersion:
    return ModelVersionFactory()


def film_of(user: User, version: ModelVersion, state: str = "succeeded", **fields: Any) -> Film:
    """A film of the user's clinic with one prediction of that state, in the worklist."""
    film_fields = {name: fields.pop(name) for name in ("priority",) if name in fields}
    name = fields.pop("patient", "Invented Patient")
    patient = PatientFactory(clinic=user.clinic, created_by=user, name=name)
    film = FilmFactory(study=StudyFactory(patient=patient), **film_fields)
    factory = AnswerFactory if state == "succeeded" else PredictionFactory
    factory(film=film, model_version=version, state=state, **fields)
    worklist.refresh([film.pk])
    return film


def listed(client: Client, **query: Any) -> list[int]:
    page = client.get(reverse("worklist"), query).content.decode()
    return [int(key) for key in OPENED.findall(page)]


def test_urgent_comes_first_then_the_most_suspicious(
    client: Client, clinician: User, version: ModelVersion
) -> None:
    normal = film_of(clinician, version, probability=0.1, label="NORMAL")
    certain = film_of(clinician, version, probability=0.99)
    likely = film_of(clinician, version, probability=0.6)
    waiting = film_of(clinician, version, "queued")
    stat = film_of(clinician, version, probability=0.05, label="NORMAL", priority=2)
    urgent = film_of(clinician, version, probability=0.05, label="NORMAL", priority=1)
    assert listed(client) == [f.pk for f in (stat, urgent, certain, likely, waiting, normal)]
    assert listed(client, sort="newest") == [f.pk for f in (urgent, stat, waiting, likely, certain, normal)]
    assert listed(client, sort="oldest", priority="0") == [f.pk for f in (normal, certain, likely, waiting)]
    assert listed(client, sort="suspicion")[0] == certain.pk


def test_a_probability_is_compared_with_its_own_models_threshold() -> None:
    def suspicion(probability: float, threshold: float) -> float:
        return worklist.suspicion_of(Prediction(probability=probability, threshold=threshold))

    assert suspicion(0.3, 0.3) == suspicion(0.7, 0.7) == 0.5
    assert suspicion(0.35, 0.3) > 0.5 > suspicion(0.65, 0.7)
    assert (suspicion(0, 0.4), suspicion(1, 0.4), suspicion(1, 1)) == (0, 1, 1)


def test_filters_and_search_narrow_it_down(client: Client, clinician: User, version: ModelVersion) -> None:
    ill = film_of(clinician, version, probability=0.9, patient="Juniper Vale")
    well = film_of(clinician, version, probability=0.1, label="NORMAL")
    waiting = film_of(clinician, version, "queued")
    failed = film_of(clinician, version, "failed")
    assert listed(client, answer="PNEUMONIA") == [ill.pk]
    assert listed(client, answer="NORMAL") == [well.pk]
    assert listed(client, state="waiting") == [waiting.pk]
    assert listed(client, state="unanswered") == [failed.pk]
    assert listed(client, q="juni vale") == [ill.pk]
    assert listed(client, q=well.patient.mrn) == [well.pk]
    worklist.assign(ill, clinician)
    assert listed(client, assigned="me") == [ill.pk]
    assert set(listed(client, assigned="nobody")) == {well.pk, waiting.pk, failed.pk}
    reviews.record(make_user("reviewer", clinician.clinic), ill.predictions.get(), "pneumonia")
    assert ill.pk not in listed(client)
    assert listed(client, show="done") == [ill.pk]
    assert len(listed(client, show="all", sort="nonsense", state="nonsense")) == 4


def test_pages_follow_each_other_without_a_gap(
    client: Client, clinician: User, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist_page, "SIZE", 3)
    # Equal places, too: the film's key decides between them.
    films = [film_of(clinician, version, probability=p) for p in (0.9, 0.7, 0.7, 0.7, 0.6, 0.8, 0.7, 0.7)]
    for sort in worklist_page.ORDERS:
        if sort == "blind":
            continue
        whole, page, steps = [], client.get(reverse("worklist"), {"sort": sort}), []
        while True:
            text = page.content.decode()
            steps.append([int(key) for key in OPENED.findall(text)])
            whole += steps[-1]
            following = re.search(r'rel="next" href="([^"]*)"', text)
            if not following:
                break
            page = client.get(following[1].replace("&amp;", "&"))
        assert sorted(whole) == sorted(f.pk for f in films)
        back = re.search(r'rel="prev" href="([^"]*)"', page.content.decode())
        assert back is not None
        previous = client.get(back[1].replace("&amp;", "&")).content.decode()
        assert [int(key) for key in OPENED.findall(previous)] == steps[-2]


@pytest.mark.parametrize(
    "place", ["x", "1~2", "nan~1", "1~99999999999999999999999", "~", "2026-01-01T00:00~1"]
)
def test_a_place_that_is_none_begins_at_the_beginning(
    client: Client, clinician: User, version: ModelVersion, place: str
) -> None:
    film_of(clinician, version)
    for sort in ("urgency", "oldest"):
        assert client.get(reverse("worklist"), {"after": place, "sort": sort}).status_code == 200


def test_the_number_of_queries_does_not_grow(client: Client, clinician: User, version: ModelVersion) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("worklist"), {"show": "all"})
        return len(captured)

    reader = make_user("reviewer", clinician.clinic)
    reviews.record(reader, film_of(clinician, version).predictions.get(), "normal")
    queries()
    few = queries()
    for _ in range(5):
        reviews.record(reader, film_of(clinician, version).predictions.get(), "normal")
    assert queries() == few


def test_who_reads_blind_cannot_sort_or_filter_by_the_answer(client: Client, version: ModelVersion) -> None:
    reviewer = make_user("reviewer")
    client.force_login(reviewer)
    normal = film_of(reviewer, version, probability=0.1, label="NORMAL")
    ill = film_of(reviewer, version, probability=0.9)
    assert listed(client) == [ill.pk, normal.pk]
    assert reviewer.clinic is not None
    reviewer.clinic.blind_first = True
    reviewer.clinic.save()
    assert listed(client) == [normal.pk, ill.pk]
    assert listed(client, answer="PNEUMONIA", sort="suspicion") == [normal.pk, ill.pk]
    assert 'name="answer"' not in client.get(reverse("worklist")).content.decode()


def test_new_films_are_announced_and_answers_come_by_themselves(
    client: Client, clinician: User, version: ModelVersion
) -> None:
    waiting = film_of(clinician, version, "queued")
    address = reverse("worklist_news")
    ask: dict[str, int | str] = {"since": waiting.pk, "waiting": waiting.pk}
    assert client.get(address, ask).content.strip() == b""
    film_of(clinician, version)
    waiting.predictions.update(state="succeeded", label="PNEUMONIA", probability=0.9, threshold=0.5)
    worklist.refresh([waiting.pk])
    news = client.get(address, ask).content.decode()
    assert "1 new, show" in news
    assert f'id="answer-{waiting.pk}" hx-swap-oob="true"' in news
    assert "90 %" in news
    assert "new, show" not in client.get(address, {**ask, "q": "nobody of this name"}).content.decode()
    assert client.get(address, {"since": "x"}).status_code == 400


def test_a_film_that_waits_too_long_is_marked(client: Client, clinician: User, version: ModelVersion) -> None:
    film = film_of(clinician, version)
    film_of(clinician, version)
    assert "waits too long" not in client.get(reverse("worklist")).content.decode()
    Film.objects.filter(pk=film.pk).update(created_at=timezone.now() - timedelta(minutes=45))
    worklist.refresh([film.pk])
    assert listed(client, show="overdue") == []
    worklist.set_priority(film, 2)
    assert listed(client, show="overdue") == [film.pk]
    assert client.get(reverse("worklist")).content.decode().count("waits too long") == 1


def test_a_film_without_an_answer_waits_too_long_by_the_limit_that_monitoring_has(
    client: Client, clinician: User, version: ModelVersion, settings: Any
) -> None:
    film = film_of(clinician, version, state="queued", queued_at=timezone.now() - timedelta(minutes=8))
    film_of(clinician, version, state="queued")
    for minutes, late in ((5, [film.pk]), (10, [])):
        settings.WAIT_LIMIT_MINUTES = {**settings.WAIT_LIMIT_MINUTES, "answer": minutes}
        assert listed(client, show="overdue") == late
        assert client.get(reverse("worklist")).content.decode().count("waits too long") == len(late)
        assert throughput.queue(Scope(7, None)).too_long is bool(late)


def test_assigning_and_priority_change_the_row_and_are_logged(
    client: Client, clinician: User, version: ModelVersion
) -> None:
    film = film_of(clinician, version, "queued")
    htmx = {"hx-request": "true"}
    row = client.post(reverse("film_assign", args=[film.pk]), {"to": "me"}, headers=htmx).content.decode()
    assert row.strip().startswith("<tr")
    assert ">Me</button>" in row
    client.post(reverse("film_priority", args=[film.pk]), {"priority": "2"}, headers=htmx)
    client.post(reverse("film_priority", args=[film.pk]), {"priority": "9"}, headers=htmx)
    assert film.predictions.get().priority == WorklistRow.objects.get().priority == 2
    logged = AccessLog.objects.filter(action="changed", patient=film.patient).values_list("what", flat=True)
    assert set(logged) == {f"film {film.pk}: assigned to {clinician}", f"film {film.pk}: priority stat"}


def test_a_search_is_logged_once(client: Client, clinician: User) -> None:
    for words in ("juniper", "juniper", "vale"):
        client.get(reverse("worklist"), {"q": words})
    client.get(reverse("patients"), {"q": "juniper"})
    logged = AccessLog.objects.filter(action="searched", patient=None).order_by("pk")
    assert [row.what for row in logged] == ["worklist: juniper", "worklist: vale", "patients: juniper"]


def test_the_worker_takes_stat_first(clinician: User, version: ModelVersion) -> None:
    films = [film_of(clinician, version, "queued", priority=p) for p in (0, 2, 1, 0)]
    Prediction.objects.filter(film=films[1]).update(priority=2)
    Prediction.objects.filter(film=films[2]).update(priority=1)
    assert [p.film_id for p in worker.claim(limit=2)] == [films[1].pk, films[2].pk]
    assert [p.film_id for p in worker.claim()] == [films[0].pk, films[3].pk]


def test_rows_that_were_missed_are_mended(clinician: User, version: ModelVersion) -> None:
    missing = FilmFactory(study=StudyFactory(patient=PatientFactory(clinic=clinician.clinic)))
    behind = film_of(clinician, version, "queued")
    behind.predictions.update(state="rejected")
    assert worklist.mend() == 2
    assert set(WorklistRow.objects.values_list("film", "state")) == {
        (missing.pk, "waiting"), (behind.pk, "unanswered"),
    }  # fmt: skip
    assert worklist.mend() == 0


def test_reading_again_puts_a_film_back_among_the_waiting(clinician: User, version: ModelVersion) -> None:
    film = film_of(clinician, version, priority=1)
    requests.again(visible_films(clinician).get(), ModelVersionFactory())
    assert WorklistRow.objects.get().state == "waiting"
    assert film.predictions.latest("pk").priority == 1
