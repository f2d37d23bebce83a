"""Leases: of several workers one holds a row; what is held expires, is given back, retried or failed."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.core.leases import Leases
from diagnosis.inference.worker import LEASES
from diagnosis.intake.batches import unpack
from diagnosis.models import Batch, Evaluation, Prediction
from diagnosis.promotion import evaluation
from diagnosis.training import attempt
from tests.support.factories import BatchFactory, ModelVersionFactory, PredictionFactory, TrainingRunFactory

pytestmark = pytest.mark.django_db
State = Prediction.State


def claimed(number: int = 1) -> list[Prediction]:
    for _ in range(number):
        PredictionFactory(model_version=ModelVersionFactory())
    token = LEASES.claim(Prediction.objects.all())
    assert token
    return list(LEASES.claimed(token).order_by("pk"))


def expire(row: Prediction) -> None:
    Prediction.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_of_two_workers_one_wins() -> None:
    (held,) = claimed()
    assert LEASES.claim(Prediction.objects.filter(pk=held.pk)) is None
    assert LEASES.claim(Prediction.objects.none()) is None
    held.refresh_from_db()
    assert (held.state, held.attempts) == (State.RUNNING, 1)


def test_a_second_worker_changes_nothing_of_the_first_one_s() -> None:
    (held,) = claimed()
    expire(held)
    LEASES.requeue(held)
    (second,) = claimed(0)
    assert second.lease_token != held.lease_token
    assert not LEASES.renew(held)
    assert not LEASES.release(held, State.FAILED, failure="too late")
    assert not LEASES.give_back(held)
    second.refresh_from_db()
    assert (second.state, second.failure, second.attempts) == (State.RUNNING, "", 2)


def test_a_lease_expires_unless_it_is_renewed(settings: Any) -> None:
    settings.LEASE_SECONDS = 60
    first, second = claimed(2)
    assert not LEASES.expired().exists()
    expire(first)
    expire(second)
    assert LEASES.renew(second)
    assert list(LEASES.expired()) == [first]


def test_a_row_given_back_costs_no_attempt() -> None:
    (held,) = claimed()
    assert LEASES.give_back(held)
    held.refresh_from_db()
    assert (held.state, held.attempts, held.lease_token, held.lease_until) == (State.QUEUED, 0, None, None)


def test_the_last_attempt_fails_the_row() -> None:
    (held,) = claimed()
    assert not LEASES.retry_or_fail(held, 2, State.FAILED, failure="It broke off.")
    held.refresh_from_db()
    assert (held.state, held.attempts) == (State.QUEUED, 1)
    (held,) = claimed(0)
    assert LEASES.retry_or_fail(held, 2, State.FAILED, failure="It broke off.")
    held.refresh_from_db()
    assert (held.state, held.failure, held.lease_token) == (State.FAILED, "It broke off.", None)


@pytest.mark.parametrize("state", ["running", "queued"])
def test_the_database_allows_a_lease_if_and_only_if_the_row_is_running(state: str) -> None:
    (held,) = claimed()
    wrong = {"lease_token": None, "lease_until": None} if state == "running" else {"state": state}
    with pytest.raises(IntegrityError), transaction.atomic():
        Prediction.objects.filter(pk=held.pk).update(**wrong)


def leased_tables() -> list[tuple[Leases[Any], Any]]:
    version = ModelVersionFactory(stage="production")
    compared = Evaluation.objects.create(
        candidate=ModelVersionFactory(), production=version, queued_at=timezone.now()
    )
    return [
        (LEASES, PredictionFactory(model_version=version)),
        (unpack.LEASES, BatchFactory(zip_state=Batch.Zip.WAITING)),
        (evaluation.LEASES, compared),
        (attempt.LEASES, TrainingRunFactory()),
    ]


def test_every_kind_of_work_is_leased_in_the_same_way() -> None:
    for leases, row in leased_tables():
        rows = leases.model._default_manager.filter(pk=row.pk)
        token = leases.claim(rows)
        assert token, leases.model
        assert leases.claim(rows) is None, leases.model
        held = leases.claimed(token).get()
        assert leases.give_back(held), leases.model
        assert leases.claim(rows), leases.model
