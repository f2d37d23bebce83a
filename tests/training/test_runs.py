"""Training runs: one at a time, resumed after any death, and never half a version."""

import errno
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.core import queue
from diagnosis.management.commands.reconcile import once
from diagnosis.models import ModelVersion, TrainingRun
from diagnosis.registry import versions
from diagnosis.training import attempt, runs
from diagnosis.training.child_process import ChildFailed, ChildStumbled
from tests.support.factories import TrainingRunFactory, make_user
from tests.support.s3_service import Service
from tests.support.training_data import FILMS, confirm_films, epoch, wish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("training_of_few")]
State = TrainingRun.State


# ---------------------------------------------------------------- asking


def test_what_is_missing_is_said_before_anything_starts() -> None:
    confirm_films({"train": (4, 1), "validation": (2, 2)})
    with pytest.raises(runs.NotPossible, match="Training has 1 pneumonia film"):
        wish()
    with pytest.raises(runs.NotPossible, match="No version is in production"):
        wish(from_production=True)
    with pytest.raises(runs.NotPossible, match="From scratch the whole network"):
        wish(mode="head")
    assert not TrainingRun.objects.exists()


def test_the_database_allows_one_at_a_time_and_a_version_only_of_success() -> None:
    first, second = TrainingRunFactory(), TrainingRunFactory()
    assert runs.claim() == first
    assert runs.claim() is None
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingRun.objects.filter(pk=second.pk).update(state=State.SUCCEEDED)


# ---------------------------------------------------------------- ends


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, after_epochs: int = 0) -> None:
    def run(command: list[str], log: Path, heard: Callable[[Any], None], beat: Callable[[], None]) -> None:
        for number in range(after_epochs):
            heard(epoch(number + 1))
            beat()
        raise error

    monkeypatch.setattr(attempt, "run_child", run)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ChildFailed("The film is none."), "The film is none. Nothing was registered"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk of the training worker is full"),
    ],
)
def test_what_cannot_be_mended_fails_at_once_in_words(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    confirm_films(FILMS)
    run = wish()
    failing(monkeypatch, error)
    runs.work()
    run.refresh_from_db()
    assert run.state == State.FAILED
    assert words in run.failure
    assert not runs.folder_of(run).exists()
    assert ModelVersion.objects.filter(run=run).count() == 0


def test_a_child_that_dies_is_tried_three_times_unless_it_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm_films(FILMS)
    run = wish()
    failing(monkeypatch, ChildStumbled("the training process was ended by signal 9"))
    runs.work()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.FAILED, 3)
    assert "stopped 3 times" in run.failure

    getting_on = wish()
    for epochs in range(1, 6):
        failing(monkeypatch, ChildStumbled("killed"), after_epochs=epochs)
        runs.Attempt(runs.claim()).go()  # type: ignore[arg-type]
    getting_on.refresh_from_db()
    assert (getting_on.state, getting_on.attempts) == (State.QUEUED, 0)

    # From here on it only says epochs anew that it had finished before.
    runs.work()
    getting_on.refresh_from_db()
    assert (getting_on.state, getting_on.attempts) == (State.FAILED, 3)
    assert "stopped 3 times without finishing a further epoch" in getting_on.failure


def test_a_waiting_run_is_cancelled_at_once_and_an_ended_one_not() -> None:
    run, staff = TrainingRunFactory(), make_user("staff")
    assert runs.cancel(run, staff)
    run.refresh_from_db()
    assert (run.state, run.cancelled_by) == (State.CANCELLED, staff)
    assert not runs.cancel(run, staff)


def test_a_running_one_ends_at_its_next_sign_of_life(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run, staff = wish(), make_user("staff")

    def cancelled_meanwhile(command: list[str], log: Path, heard: Any, beat: Any) -> None:
        heard({"stage": "Training"})
        assert runs.cancel(run, staff)
        heard(epoch(1))
        beat()
        pytest.fail("it went on")

    monkeypatch.setattr(attempt, "run_child", cancelled_meanwhile)
    before = ModelVersion.objects.count()
    runs.work()
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert ModelVersion.objects.count() == before
    assert not runs.folder_of(run).exists()


def test_cancelled_while_the_candidate_is_stored_leaves_no_version(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run, staff = wish(), make_user("staff")
    store = versions.store

    def slow(directory: Path) -> str:
        runs.cancel(run, staff)
        return store(directory)

    monkeypatch.setattr(versions, "store", slow)
    runs.work()
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert ModelVersion.objects.count() == 1, "the one of the reviewed predictions"


def test_a_worker_that_lost_its_lease_changes_nothing(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run = wish()
    claimed = runs.claim()
    assert claimed
    TrainingRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert runs.reconcile() == {"runs reclaimed": 1, "runs to start": 1}
    other = runs.claim()
    runs.Attempt(claimed).go()
    run.refresh_from_db()
    assert other
    assert run.lease_token == other.lease_token
    assert run.state == State.RUNNING
    assert ModelVersion.objects.count() == 1, "the one of the reviewed predictions"


def test_a_stopped_worker_gives_the_run_back_without_counting(child: list[list[str]]) -> None:
    confirm_films(FILMS)
    run = wish()
    claimed = runs.claim()
    assert claimed
    runs.Attempt(claimed, stopping=lambda: True).go()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.QUEUED, 0)


def test_a_film_that_vanishes_after_the_freeze_is_named(child: list[list[str]]) -> None:
    films = confirm_films(FILMS)
    run = wish()
    claimed = runs.claim()
    assert claimed
    runs.Attempt(claimed, stopping=lambda: bool(TrainingRun.objects.get().manifest)).go()
    shutil.rmtree(runs.folder_of(run), ignore_errors=True)
    default_storage.delete(str(films[1].file.name))
    runs.work()
    run.refresh_from_db()
    assert f"Film {films[1].pk} of the manifest is gone" in run.failure


def test_a_run_waits_for_a_bucket_that_is_away(child: list[list[str]], bucket: Service) -> None:
    confirm_films(FILMS)
    run = wish()
    bucket.stop()
    for _ in range(5):
        runs.work()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.QUEUED, 0)
    words = [line["words"] for line in run.log]
    assert (
        words.count("The storage of films does not answer. The run rests, and goes on as soon as it can.")
        == 1
    )
    bucket.start()
    runs.work()
    run.refresh_from_db()
    assert (run.state, run.failure) == (State.SUCCEEDED, "")
    assert run.version
    assert versions.local_artifact(run.version).is_dir()


def test_what_was_learned_waits_for_room_in_the_storage(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run = wish()
    with monkeypatch.context() as patched:
        # Full from the moment at which the network has learned.
        patched.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=0 if child else 10**12))
        for _ in range(5):
            runs.work()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.QUEUED, 0)
    assert run.log[-1]["words"].startswith("The storage of films is full.")
    runs.work()
    run.refresh_from_db()
    assert (run.state, run.failure) == (State.SUCCEEDED, "")
    assert len(child) == 1, "nothing was learned twice"


# ---------------------------------------------------------------- reconcile


def test_reconcile_ends_what_was_cancelled_or_died_too_often(settings: Any) -> None:
    for attempts, cancelled, expected in (
        (1, None, "queued"),
        (3, None, "failed"),
        (1, make_user("staff"), "cancelled"),
    ):
        TrainingRun.objects.all().delete()
        TrainingRunFactory()
        runs.claim()
        TrainingRun.objects.update(
            attempts=attempts, cancelled_by=cancelled, lease_until=timezone.now() - timedelta(seconds=1)
        )
        runs.reconcile()
        assert TrainingRun.objects.get().state == expected


def test_the_training_worker_is_woken_only_when_a_run_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[bool] = []
    monkeypatch.setattr(queue, "notify_training_worker", lambda: woken.append(True))
    once()
    assert not woken
    TrainingRunFactory()
    TrainingRunFactory()
    once()
    assert woken == [True]
    runs.claim()
    once()
    assert woken == [True]
