"""Monitoring: counts, times, rates with intervals, drift against the validation films, and who may see what."""

import csv
import io
import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from diagnosis.inference import worker
from diagnosis.models import Film, ModelVersion, Patient, Prediction, Review, Study, WorkerSign
from diagnosis.monitoring import alerts, drift, heartbeat, performance, throughput
from diagnosis.monitoring.rates import Rate, effective, rate
from diagnosis.monitoring.report import Report
from diagnosis.monitoring.scope import Scope
from diagnosis.monitoring.tables import Table
from ml.evaluation import reference_histograms
from ml.images.preprocessing import AREA_MEANS, Preparation
from ml.images.radiograph import Radiograph
from ml.metrics.classification import wilson
from pneumoweb.accounts.models import Clinic, User
from tests.support.factories import (
    CARD,
    ClinicFactory,
    FilmFactory,
    ModelVersionFactory,
    PredictionFactory,
    make_user,
)
from tests.support.samples import sample_films

State = Prediction.State
EVERYTHING = Scope(30, None)


class Site:
    """A clinic whose films are rows alone: no pictures, as many as a test wants."""

    def __init__(self) -> None:
        self.clinic: Clinic = ClinicFactory()
        self.user: User = make_user("staff", self.clinic)
        self.version: ModelVersion = ModelVersionFactory(stage="production")

    def add(self, number: int = 1, *, a_patient: int = 1, **fields: Any) -> list[Prediction]:
        """Add answered films, `a_patient` of each patient; `fields` are those of the predictions."""
        patients = Patient.objects.bulk_create(
            Patient(clinic=self.clinic, mrn=uuid.uuid4().hex, name="Invented", sex="F", created_by=self.user)
            for _ in range(number // a_patient)
        )
        studies = Study.objects.bulk_create(
            Study(
                patient=patients[k // a_patient], taken_on=timezone.localdate(), upload_key=uuid.uuid4(), view="PA",
                uploaded_by=self.user,
            )
            for k in range(number)
        )  # fmt: skip
        films = Film.objects.bulk_create(
            Film(
                study=study, patient=study.patient, sha256=uuid.uuid4().hex, name="film.png", file="none.png",
                thumbnail="none.png", source_format="PNG", source_bytes=1, width=300, height=200, bits=8,
                uploaded_by=self.user,
            )
            for study in studies
        )  # fmt: skip
        answer = {"state": State.SUCCEEDED, "label": "NORMAL", "probability": 0.1, "threshold": 0.5}
        given = {"model_version": self.version, **answer, **fields}
        if given["state"] != State.SUCCEEDED:
            given |= {"label": "", "probability": None}
        return Prediction.objects.bulk_create(Prediction(film=film, **given) for film in films)

    def review(self, answers: list[Prediction], verdict: str) -> None:
        Review.objects.bulk_create(
            Review(prediction=answer, reviewer=self.user, verdict=verdict) for answer in answers
        )


@pytest.fixture
def site(db: None) -> Site:
    return Site()


# ---------------------------------------------------------------- how much and how fast


def test_films_are_counted_on_the_day_of_the_sites_time_zone(site: Site, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    with timezone.override("Asia/Kolkata"):
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        site.add(2, queued_at=midnight)
        site.add(3, queued_at=midnight - timedelta(seconds=1), label="PNEUMONIA", probability=0.9)
        site.add(4, queued_at=midnight - timedelta(days=6), state=State.REJECTED)
        site.add(5, queued_at=midnight - timedelta(days=6, seconds=1))
        spans = throughput.spans(Scope(7, None))
    assert [dict(span.kinds) for span in spans] == [
        {"rejected": 4},
        {},
        {},
        {},
        {},
        {"pneumonia": 3},
        {"normal": 2},
    ]


def test_a_day_begins_at_midnight_also_after_the_clocks_changed(settings: Any, db: None) -> None:
    settings.TIME_ZONE = "Europe/London"
    with timezone.override("Europe/London"):
        site = Site()
        scope = Scope(365, None)
        offsets = {midnight.utcoffset() for midnight in scope.midnights()}
        assert len(offsets) == 2, "a year has both summer and winter time"
        daily = Scope(90, None)
        for midnight in [*daily.midnights()][::10]:
            site.add(queued_at=midnight)
            site.add(queued_at=midnight + timedelta(hours=22.5))
        assert [span.total for span in throughput.spans(daily)][::10] == [2] * 9


def test_a_year_is_shown_by_weeks_and_nothing_is_lost(site: Site) -> None:
    scope = Scope(365, None)
    for day in (0, 1, 100, 364):
        site.add(queued_at=scope.since + timedelta(days=day, hours=1))
    site.add(queued_at=scope.since - timedelta(hours=1))
    spans = throughput.spans(scope)
    assert all(span.first.weekday() == 0 for span in spans)
    assert sum(span.total for span in spans) == 4


def test_percentiles_are_read_off_within_a_few_percent(site: Site) -> None:
    seconds = np.random.default_rng(1).lognormal(1, 1, 300)
    answers = site.add(300)
    for answer, value in zip(answers, seconds, strict=True):
        answer.waiting_seconds = float(value)
    Prediction.objects.bulk_update(answers, ["waiting_seconds"])
    whole = throughput.together(throughput.spans(EVERYTHING))
    for share in (0.5, 0.95):
        assert throughput.percentile(whole.waiting, share) == pytest.approx(
            np.quantile(seconds, share), rel=0.1
        )
    assert throughput.percentile(whole.reading, 0.5) is None


def test_reasons_that_differ_in_numbers_alone_are_one(site: Site) -> None:
    for side in (100, 110):
        site.add(state=State.REJECTED, reasons=[f"The picture is {side} x 99 pixels.", "It is blank."])
    site.add(state=State.FAILED, failure="The file cannot be read.")
    found = [(reason.words, reason.films) for reason in throughput.reasons(EVERYTHING)]
    assert found == [
        ("It is blank.", 2),
        ("The picture is … x … pixels.", 2),
        ("The file cannot be read.", 1),
    ]


def test_the_queue_tells_depth_age_and_silent_workers(site: Site) -> None:
    site.add(2, state=State.QUEUED, queued_at=timezone.now() - timedelta(minutes=12))
    queue = throughput.queue(EVERYTHING)
    assert (queue.waiting, queue.running, queue.too_long, queue.silent) == (2, 0, True, True)
    assert [alarm.level for alarm in alerts.of_queue(queue)] == ["alarm", "alarm"]
    heartbeat.leave()
    assert [alarm.title for alarm in alerts.of_queue(throughput.queue(EVERYTHING))] == [
        "A film has waited for 12\xa0minutes."
    ]


def test_a_sign_of_life_is_left_now_and_then_and_an_old_one_asks_for_another(site: Site) -> None:
    heartbeat.leave()
    first = heartbeat.last()
    heartbeat.leave()
    assert heartbeat.last() == first
    assert not heartbeat.overdue()
    WorkerSign.objects.update(at=timezone.now() - heartbeat.EVERY * 1.1)
    assert heartbeat.overdue()
    heartbeat.leave()
    assert WorkerSign.objects.count() == 1
    assert not heartbeat.overdue()


# ---------------------------------------------------------------- how right


def test_a_rate_of_single_films_has_wilsons_interval() -> None:
    found = rate((patient, patient < 18) for patient in range(20))
    assert (found.low, found.high) == pytest.approx(wilson(18, 20))
    assert not found.few
    assert rate([]) == Rate(0, 0)


def test_films_of_one_patient_are_worth_less_and_the_interval_covers() -> None:
    """Films of ten a patient, all alike within a patient: twenty patients are worth twenty films."""
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        hits = generator.random(20) < 0.7
        films = [(patient, bool(hit)) for patient, hit in enumerate(hits) for _ in range(10)]
        assert effective(films) == pytest.approx(20, rel=0.06)
        found = rate(films)
        covered += found.low is not None and found.high is not None and found.low <= 0.7 <= found.high
    assert covered >= 180
    assert effective([(1, True)] * 10) == 1


def test_figures_count_the_newest_answer_of_each_film_and_versions_apart(site: Site) -> None:
    missed = site.add(3)
    found = site.add(22, label="PNEUMONIA", probability=0.9)
    site.review(missed + found, "pneumonia")
    site.review(site.add(1), "unreadable")
    before = ModelVersionFactory()
    Prediction.objects.filter(pk=missed[0].pk).update(model_version=before)
    later = Prediction.objects.create(
        film=missed[0].film, model_version=site.version, state=State.SUCCEEDED, label="PNEUMONIA", probability=0.7,
        threshold=0.5,
    )  # fmt: skip
    rows = performance.judged(EVERYTHING)
    assert len(rows) == 26
    figures = Report(EVERYTHING).figures
    assert figures.cells == {"tn": 0, "fp": 0, "fn": 2, "tp": 23}
    assert (figures.sensitivity.hits, figures.sensitivity.n, figures.specificity.n) == (23, 25, 0)
    versions = {name: f.films for kind, name, f in performance.groups(rows) if kind == "model"}
    assert versions == {before.name: 1, site.version.name: 25}
    assert {row.film_id for row in performance.chosen(rows, "fn", "view", "PA (back to front)")} == {
        answer.film_id for answer in missed[1:]
    }
    assert later.film_id in {row.film_id for row in performance.chosen(rows, "tp", "", "")}


def test_films_that_taught_the_version_judge_it_not(site: Site, client: Client) -> None:
    taught = site.add(2, known=True)
    site.review(taught, "normal")
    client.force_login(site.user)
    page = client.get(reverse("monitoring")).content.decode()
    assert "may have learned, from the films of this period that have one" in page
    site.review(site.add(1), "normal")
    assert Report(EVERYTHING).figures.films == 1
    page = client.get(reverse("monitoring")).content.decode()
    assert "2 more do not count, because the model learned, or may have learned, from them" in page
    # Where another version answered the same film, which had not learned from it, the film counts.
    Prediction.objects.create(
        film=taught[0].film, model_version=ModelVersionFactory(), state=State.SUCCEEDED, label="NORMAL",
        probability=0.1, threshold=0.5,
    )  # fmt: skip
    assert (Report(EVERYTHING).figures.films, Report(EVERYTHING).known) == (2, 1)


def test_small_numbers_are_said_as_small_and_a_sure_fall_is_an_alarm(site: Site, client: Client) -> None:
    client.force_login(site.user)
    site.review(site.add(5), "pneumonia")
    page = client.get(reverse("monitoring")).content.decode()
    assert "0 of 5" in page
    assert "too few to say" in page
    assert "in validation it was" not in page
    site.review(site.add(20), "pneumonia")
    page = client.get(reverse("monitoring")).content.decode()
    assert "The sensitivity on reviewed films is 0 of 25; in validation it was 92%." in page


# ---------------------------------------------------------------- drift


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The reference of 400 films of 400 patients, half of them ill, whose pictures and answers differ by label."""
    generator = np.random.default_rng(3)
    targets = np.arange(400) % 2
    films = [
        Radiograph(generator.normal(100 + 30 * t, 20, (96, 96)).clip(0, 255).astype(np.uint8), 8, "PNG")
        for t in targets
    ]
    return reference_histograms.describe(
        films,
        _probabilities(targets, generator),
        targets,
        [str(n) for n in range(400)],
        Preparation(96, AREA_MEANS),
    )


def _probabilities(targets: Any, generator: np.random.Generator) -> Any:
    return np.where(targets == 1, generator.beta(6, 1, len(targets)), generator.beta(1, 6, len(targets)))


def test_a_reference_counts_every_film_once_by_label(described: dict[str, Any]) -> None:
    assert described["patients"] == {"NORMAL": 200, "PNEUMONIA": 200}
    for statistic in described["statistics"].values():
        assert sum(statistic["NORMAL"]) == sum(statistic["PNEUMONIA"]) == 200
        assert len(statistic["NORMAL"]) == len(statistic["edges"]) + 1
    assert 8 <= len(described["statistics"]["probability"]["edges"]) <= 9
    mean = described["statistics"]["mean"]
    assert (
        np.mean(np.repeat(np.arange(10), mean["PNEUMONIA"]))
        > np.mean(np.repeat(np.arange(10), mean["NORMAL"])) + 2
    )


@pytest.mark.parametrize("patients", [50, 200, 2000])
def test_chance_and_another_share_of_pneumonia_raise_no_alarm(
    described: dict[str, Any], patients: int
) -> None:
    histogram = described["statistics"]["probability"]
    generator, false = np.random.default_rng(patients), 0
    for _ in range(100):
        values = _probabilities((generator.random(patients) < 0.15).astype(int), generator)
        share = drift.mixture(histogram, values)
        assert share == pytest.approx(0.15, abs=4 * (0.15 * 0.85 / patients) ** 0.5 + 0.05)
        found = drift.compare("probability", histogram, values, share, patients, 200)
        false += found.level != "steady"
    assert false <= 3


def test_a_real_change_is_an_alarm_with_enough_patients_only(described: dict[str, Any]) -> None:
    histogram = described["statistics"]["probability"]
    generator = np.random.default_rng(4)
    unsure = generator.uniform(0.3, 0.7, 400)
    share = drift.mixture(histogram, unsure)
    assert drift.compare("probability", histogram, unsure, share, 400, 200).level == "alarm"
    assert drift.compare("probability", histogram, unsure[:40], share, 40, 200).level == "few"
    bits = described["statistics"]["bits"]
    assert drift.compare("bits", bits, np.full(400, 12.0), 0.5, 400, 200).level == "other"


def test_chi_squared_quantiles_are_those_of_the_tables() -> None:
    assert drift.chi_squared(9, 0.95) == pytest.approx(16.919, rel=0.01)
    assert drift.chi_squared(9, 0.999) == pytest.approx(27.877, rel=0.01)


def test_drift_compares_stored_statistics_with_the_card(site: Site, described: dict[str, Any]) -> None:
    site.version.card = {**CARD, "reference": described}
    generator = np.random.default_rng(5)
    for probability in _probabilities(np.arange(60) % 2, generator):
        site.add(
            label="PNEUMONIA" if probability >= 0.5 else "NORMAL", probability=probability, picture_mean=0.9,
            picture_deviation=0.08, picture_sharpness=60.0,
        )  # fmt: skip
    site.add(5)  # read before statistics were kept
    found = drift.drift(EVERYTHING, site.version)
    assert (found.films, found.patients, found.validation) == (60, 60, 0.5)
    by_name = {one.name: one for one in found.compared}
    assert by_name["mean"].level == "alarm"
    assert by_name["mean"].higher
    assert by_name["probability"].level == "steady"
    (alarm,) = (alarm for alarm in alerts.of_drift(found) if alarm.level == "alarm")
    assert "ilms are brighter" in alarm.title


@pytest.mark.django_db
@pytest.mark.usefixtures("production")
def test_the_worker_keeps_picture_statistics_and_times() -> None:
    prediction = PredictionFactory(
        film=FilmFactory(data=sample_films(1)[0]), model_version=ModelVersion.objects.get(stage="production"),
        queued_at=timezone.now() - timedelta(seconds=30),
    )  # fmt: skip
    worker.work()
    prediction.refresh_from_db()
    assert prediction.state == State.SUCCEEDED
    assert 0 < prediction.picture_mean < 1
    assert 0 < prediction.picture_deviation < 0.5
    assert prediction.picture_sharpness > 0
    assert 30 <= prediction.waiting_seconds < 60
    assert 0 < prediction.reading_seconds < 60


# ---------------------------------------------------------------- pages


def test_the_page_says_that_a_card_without_reference_has_none(site: Site, client: Client) -> None:
    client.force_login(site.user)
    site.add(3, picture_mean=0.5, picture_deviation=0.2, picture_sharpness=9.0)
    page = client.get(reverse("monitoring")).content.decode()
    assert "No reference" in page
    assert "No reviewed films yet" in page


@pytest.mark.django_db
def test_staff_see_their_clinic_alone_and_an_administrator_chooses(client: Client) -> None:
    site, other = Site(), Site.__new__(Site)
    other.clinic, other.version = ClinicFactory(), site.version
    other.user = make_user("staff", other.clinic)
    site.review(site.add(2), "normal")
    other.review(other.add(3), "normal")

    def films(**query: Any) -> int:
        answer = client.get(reverse("monitoring_films"), query)
        return answer.context["page"].paginator.count if answer.status_code == 200 else answer.status_code

    client.force_login(site.user)
    assert films() == 2
    assert films(clinic=site.clinic.pk) == 2
    assert films(clinic=other.clinic.pk) == 404
    assert films(clinic="x") == films(cell="x") == films(group="x") == 404
    client.force_login(make_user("administrator", site.clinic))
    assert films() == 5
    assert films(clinic=other.clinic.pk) == 3


def test_the_number_of_queries_does_not_grow(site: Site, client: Client, described: dict[str, Any]) -> None:
    ModelVersion.objects.filter(pk=site.version.pk).update(card={**CARD, "reference": described})
    client.force_login(site.user)
    counts = []
    for number in (1, 30):
        answers = site.add(number, picture_mean=0.4, picture_deviation=0.1, picture_sharpness=9.0)
        site.review(answers, "normal")
        for name in ("monitoring", "monitoring_films"):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(reverse(name)).status_code == 200
            counts.append(len(queries))
    assert counts[:2] == counts[2:]


def test_every_table_comes_as_csv(site: Site, client: Client) -> None:
    client.force_login(site.user)
    site.add(2, waiting_seconds=1.0, reading_seconds=0.5)
    address = reverse("monitoring_table")
    for name in ("times", "agreement", "reasons", "confusion", "figures", "drift", "histograms"):
        assert client.get(address, {"table": name}).status_code == 200
    answer = client.get(address, {"table": "films", "days": "7"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [row["Normal"] for row in rows] == ["0"] * 6 + ["2"]
    assert answer["Content-Disposition"].endswith('.csv"')
    assert client.get(address, {"table": "secrets"}).status_code == 404


def test_a_cell_is_no_formula() -> None:
    text = Table("", ["what"], [["=1+1"], [-0.5]]).as_csv()
    assert text.splitlines() == ["what", "'=1+1", "-0.5"]
