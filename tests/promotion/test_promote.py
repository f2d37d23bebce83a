"""The gate of promotion: rules, a second person, the way back."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnosis.core import queue
from diagnosis.inference import requests
from diagnosis.models import (
    Evaluation,
    ModelVersion,
    OperatingPoint,
    Prediction,
    PromotionRequest,
    PromotionRules,
    StageChange,
)
from diagnosis.promotion import promote
from diagnosis.registry import versions
from diagnosis.registry.versions import PromotionRefused
from ml.artifact import folder
from tests.support.factories import FilmFactory, ModelVersionFactory, PredictionFactory, make_user
from tests.support.processes import WORKER, Broker, Child, wait_for
from tests.support.samples import sample_films
from tests.support.versions import candidate_artifact, candidate_of, finished, pretend_production, two_staff

GOOD = {"litert": {"agrees": True, "sentence": "They agree."}}
RULES = ["compared", "patients", "sensitivity", "specificity", "gate", "export", "receipts"]


def with_card(**changes: Any) -> ModelVersion:
    version = ModelVersionFactory()
    version.card = {**version.card, "agreement": GOOD, "runtime": "litert", **changes}
    version.save()
    return version


def failing(version: ModelVersion) -> list[str]:
    return [name for name, c in zip(RULES, promote.check(version), strict=True) if not c.passed]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("facts", "broken"),
    [
        ({}, []),
        ({"patients": 19}, ["patients", "sensitivity", "specificity"]),
        ({"missed": 1}, ["sensitivity"]),
        ({"patients": 50, "missed": 1}, []),
        ({"missed": 3, "missed_before": 3}, []),
        ({"refused": 2}, ["gate"]),
        ({"refused": 1}, []),
        ({"again": 7}, ["receipts"]),
        ({"run": 0}, ["receipts"]),
    ],
)
def test_each_rule_catches_its_own_fault(facts: dict[str, int], broken: list[str]) -> None:
    candidate = with_card()
    finished(candidate, pretend_production(), **facts)
    assert failing(candidate) == broken


@pytest.mark.django_db
def test_a_version_that_was_never_compared_fails_whatever_needs_figures() -> None:
    pretend_production()
    assert failing(with_card()) == ["compared", "patients", "sensitivity", "specificity", "gate", "receipts"]


@pytest.mark.django_db
def test_an_evaluation_against_an_earlier_version_or_threshold_is_out_of_date() -> None:
    candidate, current = with_card(), pretend_production()
    finished(candidate, current)
    assert promote.current_evaluation(candidate)
    staff = make_user("staff")
    OperatingPoint.objects.create(
        version=current, promotion=StageChange.objects.get(), threshold=0.3, by=staff, reason="Find more"
    )
    assert promote.current_evaluation(candidate) is None
    Evaluation.objects.update(production_threshold=0.3)
    assert promote.current_evaluation(candidate)
    versions.switch(with_card(), staff, "Newer")
    assert promote.current_evaluation(candidate) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("card", "passes"),
    [
        ({"agreement": {"litert": {"agrees": False, "sentence": "Apart."}}}, False),
        ({"agreement": {"litert": {"agrees": False, "sentence": "Apart."}}, "runtime": "keras"}, True),
        ({"agreement": {}}, False),
    ],
)
def test_an_export_that_differs_is_not_served(card: dict[str, Any], passes: bool) -> None:
    candidate = with_card(**card)
    finished(candidate, pretend_production())
    assert (failing(candidate) == []) is passes


@pytest.mark.django_db
def test_the_lower_limit_asks_for_proof() -> None:
    candidate, staff = with_card(), make_user("staff")
    finished(candidate, pretend_production())
    assert failing(candidate) == []
    promote.set_rules(staff, by_lower_limit=True, reason="Proof, please")
    # No film differs, but 40 patients cannot exclude a loss of two points.
    assert failing(candidate) == ["sensitivity", "specificity"]
    promote.set_rules(staff, by_lower_limit=True, sensitivity_loss=10, specificity_loss=10, reason="Milder")
    assert failing(candidate) == []
    with pytest.raises(TypeError, match="append-only"):
        PromotionRules.objects.all().delete()


@pytest.mark.django_db
def test_a_version_that_meets_the_rules_is_promoted_by_one(production: ModelVersion, tmp_path: Path) -> None:
    candidate = candidate_of(tmp_path)
    finished(candidate, production)
    done = promote.promote(candidate, make_user("staff"), "Fewer false alarms")
    assert isinstance(done, ModelVersion)
    assert versions.production() == candidate


@pytest.mark.django_db
def test_against_the_rules_it_takes_a_second_person_and_a_reason(
    production: ModelVersion, tmp_path: Path
) -> None:
    candidate = candidate_of(tmp_path)
    asking, second = two_staff()
    asked = promote.promote(candidate, asking, "The film processor was replaced")
    assert isinstance(asked, PromotionRequest)
    assert versions.production() == production
    with pytest.raises(PromotionRefused, match="waits for a second person already"):
        promote.promote(candidate, second, "Me too")
    with pytest.raises(PromotionRefused, match="A second member of staff"):
        promote.approve(asked, asking, "I agree with myself")
    with pytest.raises(PromotionRefused, match="Say why you approve"):
        promote.approve(asked, second, " ")
    promote.approve(asked, second, "Seen, right")
    assert versions.production() == candidate
    change = StageChange.objects.filter(version=candidate).first()
    assert change
    assert change.by == asking
    assert f"approved by {second}" in change.reason
    with pytest.raises(PromotionRefused):
        promote.approve(asked, second, "Again")


@pytest.mark.django_db
def test_the_database_lets_nobody_approve_their_own_request() -> None:
    asking, second = two_staff()
    asked = PromotionRequest.objects.create(version=with_card(), requested_by=asking, reason="Why not")
    decided = {"state": "approved", "decided_at": timezone.now(), "remark": "Yes"}
    with pytest.raises(IntegrityError), transaction.atomic():
        PromotionRequest.objects.filter(pk=asked.pk).update(decided_by=asking, **decided)
    with pytest.raises(IntegrityError), transaction.atomic():
        PromotionRequest.objects.filter(pk=asked.pk).update(decided_by=None, **decided)
    assert PromotionRequest.objects.filter(pk=asked.pk).update(decided_by=second, **decided)


@pytest.mark.django_db
def test_the_only_member_of_staff_may_act_alone_and_it_is_recorded(
    production: ModelVersion, tmp_path: Path
) -> None:
    candidate, only = candidate_of(tmp_path), make_user("administrator")
    asked = promote.promote(candidate, only, "A site of one")
    assert isinstance(asked, PromotionRequest)
    other = make_user("staff")
    with pytest.raises(PromotionRefused, match="A second member of staff"):
        promote.approve(asked, only, "There is nobody else")
    other.is_active = False
    other.save()
    promote.approve(asked, only, "There is nobody else")
    asked.refresh_from_db()
    assert asked.alone
    assert versions.production() == candidate
    change = StageChange.objects.filter(version=candidate).first()
    assert change
    assert "alone, as the only member of staff" in change.reason


@pytest.mark.django_db
def test_a_request_ends_with_a_week_and_with_another_promotion(
    production: ModelVersion, tmp_path: Path
) -> None:
    asking, second = two_staff()
    candidate = candidate_of(tmp_path)
    asked = promote.promote(candidate, asking, "Soon")
    assert isinstance(asked, PromotionRequest)
    week_ago = timezone.now() - timedelta(days=8)
    PromotionRequest.objects.update(requested_at=week_ago)
    with pytest.raises(PromotionRefused, match="no longer open"):
        promote.approve(asked, second, "Late")
    again = promote.promote(candidate, asking, "Once more")
    assert isinstance(again, PromotionRequest)
    promote.put_into_production(candidate_of(tmp_path, "other-1"), asking, "Another came first")
    again.refresh_from_db()
    assert again.state == "expired"


@pytest.mark.django_db
def test_rolling_back_takes_one_step_and_then_the_next(tmp_path: Path) -> None:
    staff = make_user("staff")
    first, second, third = (candidate_of(tmp_path, name) for name in ("first", "second", "third"))
    with pytest.raises(PromotionRefused, match="No version was in production before"):
        promote.roll_back(staff, "Worse")
    for version in (first, second, third):
        versions.promote(version, staff, "Better")
    with pytest.raises(PromotionRefused, match="Say why"):
        promote.roll_back(staff, " ")
    assert promote.roll_back(staff, "Worse") == second
    assert promote.roll_back(staff, "Worse still") == first
    assert promote.before() is None
    change = StageChange.objects.first()
    assert change
    assert change.reason == "Rolled back from second: Worse still"
    # A version that is promoted once more is a step like any other.
    versions.promote(third, staff, "Mended")
    versions.promote(first, staff, "The old one, for a test")
    assert promote.roll_back(staff, "Enough") == third


@pytest.mark.django_db
def test_a_version_that_is_damaged_cannot_be_rolled_back_to(production: ModelVersion, tmp_path: Path) -> None:
    first, second = candidate_of(tmp_path, "first"), candidate_of(tmp_path, "second")
    staff = make_user("staff")
    for version in (first, second):
        versions.promote(version, staff, "Better")
    shutil.rmtree(default_storage.path(f"models/{first.artifact_hash}"))
    with pytest.raises(PromotionRefused, match="not whole"):
        promote.roll_back(staff, "Worse")
    assert versions.production() == second


@pytest.mark.django_db
def test_films_that_wait_go_over_to_the_new_version_and_those_in_hand_do_not(
    production: ModelVersion, tmp_path: Path
) -> None:
    waiting, known, running = (PredictionFactory(model_version=production) for _ in range(3))
    candidate = candidate_of(tmp_path)
    PredictionFactory(film=known.film, model_version=candidate)
    Prediction.objects.filter(pk=running.pk).update(
        state="running", lease_token="0" * 32, lease_until=timezone.now()
    )
    versions.promote(candidate, None, "Better")
    for prediction, version in ((waiting, candidate), (known, production), (running, production)):
        prediction.refresh_from_db()
        assert prediction.model_version == version


@pytest.mark.django_db
def test_a_damaged_copy_on_a_worker_is_fetched_again(
    production: ModelVersion, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
    # Any storage that is no folder of this host: S3 in earnest.
    monkeypatch.setattr(versions, "FileSystemStorage", type("Elsewhere", (), {}))
    copy = versions.local_artifact(production)
    assert copy.is_relative_to(tmp_path)
    (copy / "model.tflite").write_bytes(b"cut off")
    assert versions.local_artifact(production) == copy
    folder.check(copy)


@pytest.mark.django_db
def test_the_command_promotes_by_the_same_rules(production: ModelVersion, tmp_path: Path) -> None:
    source = candidate_artifact(tmp_path / "source", "from-elsewhere")
    with pytest.raises(CommandError, match="rules keep it out of production") as refused:
        call_command("import_model", source, promote=True, reason="Trained on a larger machine")
    assert "At least 20 holdout patients" in str(refused.value)
    version = ModelVersion.objects.get(name="from-elsewhere")
    assert version.stage == "candidate"
    Evaluation.objects.all().delete()
    finished(version, production)
    out = StringIO()
    call_command("import_model", source, promote=True, reason="Compared", stdout=out)
    assert out.getvalue().startswith("from-elsewhere\tproduction\t")


@pytest.mark.django_db
def test_the_pages_lead_from_rules_to_a_second_person(
    client: Client, production: ModelVersion, tmp_path: Path
) -> None:
    candidate = candidate_of(tmp_path)
    asking, second = two_staff()
    client.force_login(asking)
    page = client.get(reverse("model_gate", args=[candidate.pk])).content.decode()
    assert "6 of 7 rules are not met" in page
    page = client.post(
        reverse("model_promote", args=[candidate.pk]), {"reason": "New machine"}, follow=True
    ).content.decode()
    assert "waits for a second person" in page
    assert "Take it back" in page
    client.force_login(second)
    assert "asks for a second person" in client.get(reverse("models")).content.decode()
    asked = PromotionRequest.objects.get()
    decide = reverse("promotion_decide", args=[asked.pk])
    assert "Say why you approve" in client.post(decide, {"decision": "approve"}, follow=True).content.decode()
    client.post(decide, {"decision": "approve", "remark": "Seen"})
    assert versions.production() == candidate
    page = client.post(
        reverse("model_roll_back"), {"reason": "Too many alarms"}, follow=True
    ).content.decode()
    assert "is in production again" in page
    assert versions.production() == production


@pytest.mark.django_db
def test_a_request_can_be_declined(client: Client, production: ModelVersion, tmp_path: Path) -> None:
    asking, second = two_staff()
    asked = promote.promote(candidate_of(tmp_path), asking, "Now")
    assert isinstance(asked, PromotionRequest)
    client.force_login(second)
    client.post(reverse("promotion_decide", args=[asked.pk]), {"decision": "refuse", "remark": "Too early"})
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by) == ("refused", second)
    assert versions.production() == production


@pytest.mark.django_db
def test_new_rules_are_in_force_and_old_ones_stay(client: Client) -> None:
    client.force_login(make_user("staff"))
    address = reverse("promotion_rules")
    rules = {
        "sensitivity_loss": 1, "specificity_loss": 4, "patients_each": 30, "refused_more": 1, "receipts": 5,
    }  # fmt: skip
    assert client.post(address, rules).status_code == 422
    for why in ("Stricter", "Stricter still"):
        client.post(address, {**rules, "reason": why})
    assert PromotionRules.in_force().sensitivity_loss == 1
    page = client.get(address).content.decode()
    assert "Stricter still" in page
    assert PromotionRules.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_running_workers_switch_between_two_batches_within_five_seconds(
    production: ModelVersion, broker: Broker, start: Callable[..., Child], tmp_path: Path
) -> None:
    films = [FilmFactory(data=data) for data in sample_films(24)]
    worker = start(*WORKER, INFERENCE_BATCH="2")
    first = requests.again(films[0], production)
    wait_for(lambda: Prediction.objects.get(pk=first.pk).is_final, 60)
    # A threshold of its own marks what the new version says, beside its name in the receipt.
    candidate = candidate_of(tmp_path, threshold=0.987)
    for film in films[1:]:
        Prediction.objects.create(film=film, model_version=production)
    queue.notify_worker()
    versions.promote(candidate, None, "Better")
    promoted = timezone.now()
    late = FilmFactory(data=sample_films(25)[24])
    requests.again(late, candidate)
    wait_for(lambda: Prediction.objects.filter(state__in=["queued", "running"]).count() == 0, 60)
    answers = list(Prediction.objects.select_related("model_version"))
    assert len(answers) == 25
    for answer in answers:
        assert answer.state == "succeeded", answer.failure
        assert answer.receipt["model"] == answer.model_version.name
        assert answer.threshold == answer.model_version.card["threshold"]
    switched = [a.finished_at - promoted for a in answers if a.model_version == candidate and a.finished_at]
    assert switched
    assert min(switched) < timedelta(seconds=5)
    stragglers = [a.started_at for a in answers if a.model_version == production and a.started_at]
    assert max(stragglers) < promoted + timedelta(seconds=5)
    assert worker.process.poll() is None
