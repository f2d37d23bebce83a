"""Training runs: one at a time, resumed after any death, and never half a version."""

import csv
import errno
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis import registry, tasks, training, training_attempt, training_child
from diagnosis.management.commands.reconcile import once
from diagnosis.models import ModelVersion, Patient, Study, TrainingRun
from diagnosis.training_child import ChildFailed, ChildStumbled
from ml import artifact, known
from ml.fingerprint import fingerprint
from ml.images import read_radiograph
from pneumoweb.processes import command_of
from tests.buckets import Service
from tests.factories import TrainingRunFactory, make_user
from tests.processes import descendants
from tests.training_data import confirm_films

pytestmark = pytest.mark.django_db
State = TrainingRun.State
FILMS = {"train": (4, 4), "validation": (2, 2), "holdout": (1, 1)}
ROW = {"loss": 0.5, "auc": 0.8, "accuracy": 0.7, "val_loss": 0.4, "val_auc": 0.9, "val_accuracy": 0.8}


@pytest.fixture(autouse=True)
def small(settings: Any, tmp_path: Path) -> None:
    settings.TRAINING_DIR = tmp_path / "training"
    settings.TRAINING_MIN_FILMS, settings.TRAINING_MIN_VALIDATION = 3, 2


def wish(**changes: Any) -> TrainingRun:
    fields: dict[str, Any] = {
        "mode": "whole", "from_production": False, "architecture": "sequential", "epochs": 2, "seed": 1,
        "reason": "Try",
    }  # fmt: skip
    return training.request(make_user("staff"), **(fields | changes))


def epoch(number: int) -> dict[str, Any]:
    row = {"epoch": number, "epochs": 2, "step": 1, "steps": 1, "loss": 0.5, "auc": 0.8, "seconds_left": 3.0}
    return {**row, "finished_epoch": ROW}


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A child that trains nothing: it says two epochs and leaves the shipped version as the artifact."""
    commands: list[list[str]] = []

    def run(command: list[str], log: Path, heard: Callable[[Any], None], beat: Callable[[], None]) -> None:
        commands.append(command)
        heard({"stage": "Training"})
        for number in (1, 2):
            heard(epoch(number))
            beat()
        answers = [
            {
                "file": f"{command[0]}/{path.name}",
                "label": "NORMAL",
                "probability": 0.9 if place == 0 else 0.1,
            }
            for place, path in enumerate(sorted(Path(command[0]).glob("*.png")))
        ]
        Path(command[command.index("--answers") + 1]).write_text(json.dumps(answers))
        shutil.copytree(artifact.SHIPPED, command[command.index("--out") + 1])

    monkeypatch.setattr(training_attempt, "run_child", run)
    return commands


# ---------------------------------------------------------------- asking


def test_what_is_missing_is_said_before_anything_starts() -> None:
    confirm_films({"train": (4, 1), "validation": (2, 2)})
    with pytest.raises(training.NotPossible, match="Training has 1 pneumonia film"):
        wish()
    with pytest.raises(training.NotPossible, match="No version is in production"):
        wish(from_production=True)
    with pytest.raises(training.NotPossible, match="From scratch the whole network"):
        wish(mode="head")
    assert not TrainingRun.objects.exists()


def test_the_database_allows_one_at_a_time_and_a_version_only_of_success() -> None:
    first, second = TrainingRunFactory(), TrainingRunFactory()
    assert training.claim() == first
    assert training.claim() is None
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingRun.objects.filter(pk=second.pk).update(state=State.SUCCEEDED)


# ---------------------------------------------------------------- the way of a run


def test_a_run_ends_as_one_candidate_with_lineage(child: list[list[str]], production: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=production.pk).update(artifact_hash="0" * 64)
    films = confirm_films(FILMS)
    run = wish()
    training.work()
    run.refresh_from_db()
    assert (run.state, run.failure) == (State.SUCCEEDED, "")
    assert run.version
    assert run.version.stage == "candidate"
    assert run.version.changes.get().reason == f"Run {run.pk}: Try"
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert run.data["train NORMAL"] == 4
    assert run.data["holdout PNEUMONIA"] == 1
    assert run.disagreements == [{"film": films[0].pk, "label": "NORMAL", "probability": 0.9}]
    assert not training.folder_of(run).exists()
    artifact.check(registry.local_artifact(run.version))
    lines = run.manifest.open("rb").read().decode().splitlines()
    assert len(lines) == 1 + len(films)


def test_holdout_films_never_reach_the_child(child: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    films = confirm_films(FILMS)
    Study.objects.filter(pk=films[0].study_id).update(view="AP")
    wish()
    seen: list[str] = []

    def look(command: list[str], *_: Any) -> None:
        seen.append((Path(command[0]) / "labels.csv").read_text())
        raise ChildFailed("Enough.")

    monkeypatch.setattr(training_attempt, "run_child", look)
    training.work()
    rows = list(csv.DictReader(seen[0].splitlines()))
    assert {row["file"]: row["view"] for row in rows}[f"{films[0].pk}.png"] == "AP"
    names = {row["file"] for row in rows}
    assert names == {f"{film.pk}.png" for film in films[:-2]}


def test_from_production_its_gate_and_population_are_kept(
    child: list[list[str]], production: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run = wish(from_production=True, mode="head", architecture="sequential")
    assert (run.initial, run.architecture) == (production, production.card["architecture"])
    about: list[dict[str, Any]] = []
    inner = training_attempt.run_child

    def look(command: list[str], *rest: Any) -> None:
        about.append(json.loads(Path(command[command.index("--about") + 1]).read_text()))
        inner(command, *rest)

    monkeypatch.setattr(training_attempt, "run_child", look)
    training.work()
    assert "--keep-gate" in child[0]
    assert about[0]["age_years"] == production.card["population"]["age_years"]
    assert "before it learned further" in about[0]["evidence"]


def test_validation_films_that_taught_the_version_before_are_told_in_log_and_card(
    child: list[list[str]], production: ModelVersion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    films = confirm_films(FILMS)
    run = wish(from_production=True, mode="head", architecture="sequential")
    with films[8].file.open() as file:
        told = np.frombuffer(fingerprint(read_radiograph(file.read())), np.uint8)
    monkeypatch.setattr(known, "FILE", tmp_path / "known.npz")
    sets: dict[str, Any] = {production.card["data"]["hash"]: told[None]}
    np.savez(known.FILE, **sets)
    about: list[str] = []
    inner = training_attempt.run_child

    def look(command: list[str], *rest: Any) -> None:
        about.append(Path(command[command.index("--about") + 1]).read_text())
        inner(command, *rest)

    monkeypatch.setattr(training_attempt, "run_child", look)
    training.work()
    run.refresh_from_db()
    told_in_words = [entry["words"] for entry in run.log if "had taught the version" in entry["words"]]
    assert len(told_in_words) == 1
    assert re.match(r"\d of the 4 validation films", told_in_words[0])
    assert json.loads(about[0])["flattered"] == told_in_words[0]


def test_from_scratch_the_ages_are_those_of_nearly_all_films(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One old patient among thirty children does not make them a population of old people."""
    films = confirm_films({"train": (13, 13), "validation": (2, 2)})
    for film, years in zip(films, [80, *[3] * 9, *[6] * 20], strict=True):
        Patient.objects.filter(pk=film.patient_id).update(
            birth_date=film.study.taken_on - timedelta(days=round(365.25 * years) + 30)
        )
    wish()
    about: list[dict[str, Any]] = []

    def look(command: list[str], *_: Any) -> None:
        about.append(json.loads(Path(command[command.index("--about") + 1]).read_text()))
        raise ChildFailed("Enough.")

    monkeypatch.setattr(training_attempt, "run_child", look)
    training.work()
    assert about[0]["age_years"] == [3, 6]


# ---------------------------------------------------------------- ends


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, after_epochs: int = 0) -> None:
    def run(command: list[str], log: Path, heard: Callable[[Any], None], beat: Callable[[], None]) -> None:
        for number in range(after_epochs):
            heard(epoch(number + 1))
            beat()
        raise error

    monkeypatch.setattr(training_attempt, "run_child", run)


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
    training.work()
    run.refresh_from_db()
    assert run.state == State.FAILED
    assert words in run.failure
    assert not training.folder_of(run).exists()
    assert ModelVersion.objects.filter(run=run).count() == 0


def test_a_child_that_dies_is_tried_three_times_unless_it_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm_films(FILMS)
    run = wish()
    failing(monkeypatch, ChildStumbled("the training process was ended by signal 9"))
    training.work()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.FAILED, 3)
    assert "stopped 3 times" in run.failure

    getting_on = wish()
    for epochs in range(1, 6):
        failing(monkeypatch, ChildStumbled("killed"), after_epochs=epochs)
        training.Attempt(training.claim()).go()  # type: ignore[arg-type]
    getting_on.refresh_from_db()
    assert (getting_on.state, getting_on.attempts) == (State.QUEUED, 0)

    # From here on it only says epochs anew that it had finished before.
    training.work()
    getting_on.refresh_from_db()
    assert (getting_on.state, getting_on.attempts) == (State.FAILED, 3)
    assert "stopped 3 times without finishing a further epoch" in getting_on.failure


def test_a_waiting_run_is_cancelled_at_once_and_an_ended_one_not() -> None:
    run, staff = TrainingRunFactory(), make_user("staff")
    assert training.cancel(run, staff)
    run.refresh_from_db()
    assert (run.state, run.cancelled_by) == (State.CANCELLED, staff)
    assert not training.cancel(run, staff)


def test_a_running_one_ends_at_its_next_sign_of_life(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run, staff = wish(), make_user("staff")

    def cancelled_meanwhile(command: list[str], log: Path, heard: Any, beat: Any) -> None:
        heard({"stage": "Training"})
        assert training.cancel(run, staff)
        heard(epoch(1))
        beat()
        pytest.fail("it went on")

    monkeypatch.setattr(training_attempt, "run_child", cancelled_meanwhile)
    before = ModelVersion.objects.count()
    training.work()
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert ModelVersion.objects.count() == before
    assert not training.folder_of(run).exists()


def test_cancelled_while_the_candidate_is_stored_leaves_no_version(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run, staff = wish(), make_user("staff")
    store = registry.store

    def slow(directory: Path) -> str:
        training.cancel(run, staff)
        return store(directory)

    monkeypatch.setattr(registry, "store", slow)
    training.work()
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert ModelVersion.objects.count() == 1, "the one of the reviewed predictions"


def test_a_worker_that_lost_its_lease_changes_nothing(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run = wish()
    claimed = training.claim()
    assert claimed
    TrainingRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert training.reconcile() == {"runs reclaimed": 1, "runs to start": 1}
    other = training.claim()
    training.Attempt(claimed).go()
    run.refresh_from_db()
    assert other
    assert run.lease_token == other.lease_token
    assert run.state == State.RUNNING
    assert ModelVersion.objects.count() == 1, "the one of the reviewed predictions"


def test_a_stopped_worker_gives_the_run_back_without_counting(child: list[list[str]]) -> None:
    confirm_films(FILMS)
    run = wish()
    claimed = training.claim()
    assert claimed
    training.Attempt(claimed, stopping=lambda: True).go()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.QUEUED, 0)


def test_a_film_that_vanishes_after_the_freeze_is_named(child: list[list[str]]) -> None:
    films = confirm_films(FILMS)
    run = wish()
    claimed = training.claim()
    assert claimed
    training.Attempt(claimed, stopping=lambda: bool(TrainingRun.objects.get().manifest)).go()
    shutil.rmtree(training.folder_of(run), ignore_errors=True)
    default_storage.delete(str(films[1].file.name))
    training.work()
    run.refresh_from_db()
    assert f"Film {films[1].pk} of the manifest is gone" in run.failure


def test_a_run_waits_for_a_bucket_that_is_away(child: list[list[str]], bucket: Service) -> None:
    confirm_films(FILMS)
    run = wish()
    bucket.stop()
    for _ in range(5):
        training.work()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.QUEUED, 0)
    words = [line["words"] for line in run.log]
    assert (
        words.count("The storage of films does not answer. The run rests, and goes on as soon as it can.")
        == 1
    )
    bucket.start()
    training.work()
    run.refresh_from_db()
    assert (run.state, run.failure) == (State.SUCCEEDED, "")
    assert run.version
    assert registry.local_artifact(run.version).is_dir()


def test_what_was_learned_waits_for_room_in_the_storage(
    child: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_films(FILMS)
    run = wish()
    with monkeypatch.context() as patched:
        # Full from the moment at which the network has learned.
        patched.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=0 if child else 10**12))
        for _ in range(5):
            training.work()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.QUEUED, 0)
    assert run.log[-1]["words"].startswith("The storage of films is full.")
    training.work()
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
        training.claim()
        TrainingRun.objects.update(
            attempts=attempts, cancelled_by=cancelled, lease_until=timezone.now() - timedelta(seconds=1)
        )
        training.reconcile()
        assert TrainingRun.objects.get().state == expected


def test_the_training_worker_is_woken_only_when_a_run_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[bool] = []
    monkeypatch.setattr(tasks, "wake_training", lambda: woken.append(True))
    once()
    assert not woken
    TrainingRunFactory()
    TrainingRunFactory()
    once()
    assert woken == [True]
    training.claim()
    once()
    assert woken == [True]


# ---------------------------------------------------------------- the real child


@pytest.mark.timeout(
    600
)  # two processes with TensorFlow and one export: half a minute, many on a busy machine
def test_a_killed_training_goes_on_from_its_epoch_and_ends_as_one_whole_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The child is killed after its first epoch, by the signal that cannot be caught."""
    monkeypatch.setattr(training_child, "YIELDING", ())
    confirm_films(FILMS)
    run = wish()
    heard = training.Attempt._heard
    killed: list[int] = []

    def kill_once(self: training.Attempt, message: dict[str, Any]) -> None:
        heard(self, message)
        if message.get("finished_epoch") and not killed:
            killed.append(message["epoch"])
            # Other children of this process may be there: decoders that earlier tests asked.
            (child,) = (pid for pid in descendants(os.getpid()) if "ml.train" in command_of(pid))
            os.kill(child, signal.SIGKILL)

    monkeypatch.setattr(training.Attempt, "_heard", kill_once)
    training.work()
    run.refresh_from_db()
    assert killed == [1]
    assert (run.state, run.failure) == (State.SUCCEEDED, "")
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert any("ended by signal 9" in entry["words"] for entry in run.log)
    assert run.version
    assert ModelVersion.objects.count() == 2, "the one of the reviewed predictions beside it"
    card = artifact.check(registry.local_artifact(run.version))
    assert card.history == run.history
    assert card.data["films"] == {"NORMAL": 6, "PNEUMONIA": 6}
    assert run.manifest_sha256 in card.data["description"]
