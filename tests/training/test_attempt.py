"""What a run of training does from its frozen films to a candidate, with a pretended child and with the real one."""

import csv
import json
import os
import re
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from diagnosis.models import ModelVersion, Patient, Study, TrainingRun
from diagnosis.registry import versions
from diagnosis.training import attempt, child_process, runs
from diagnosis.training.child_process import ChildFailed
from ml.artifact import folder
from ml.data import training_films
from ml.images.perceptual_hash import fingerprint
from ml.images.reader import read_radiograph
from pneumoweb.server.processes import command_of
from tests.support.processes import descendants
from tests.support.training_data import FILMS, confirm_films, wish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("training_of_few")]
State = TrainingRun.State


# ---------------------------------------------------------------- the way of a run


def test_a_run_ends_as_one_candidate_with_lineage(child: list[list[str]], production: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=production.pk).update(artifact_hash="0" * 64)
    films = confirm_films(FILMS)
    run = wish()
    runs.work()
    run.refresh_from_db()
    assert (run.state, run.failure) == (State.SUCCEEDED, "")
    assert run.version
    assert run.version.stage == "candidate"
    assert run.version.changes.get().reason == f"Run {run.pk}: Try"
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert run.data["train NORMAL"] == 4
    assert run.data["holdout PNEUMONIA"] == 1
    assert run.disagreements == [{"film": films[0].pk, "label": "NORMAL", "probability": 0.9}]
    assert not runs.folder_of(run).exists()
    folder.check(versions.local_artifact(run.version))
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

    monkeypatch.setattr(attempt, "run_child", look)
    runs.work()
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
    inner = attempt.run_child

    def look(command: list[str], *rest: Any) -> None:
        about.append(json.loads(Path(command[command.index("--about") + 1]).read_text()))
        inner(command, *rest)

    monkeypatch.setattr(attempt, "run_child", look)
    runs.work()
    assert "--keep-gate" in child[0]
    assert about[0]["age_years"] == production.card["population"]["age_years"]
    assert "before it learned further" in about[0]["evidence"]


def test_validation_films_that_taught_the_version_before_are_told_in_log_and_card(
    child: list[list[str]], production: ModelVersion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    films = confirm_films(FILMS)
    run = wish(from_production=True, mode="head", architecture="sequential")
    with films[8].file.open() as file:
        told = fingerprint(read_radiograph(file.read()))
    monkeypatch.setattr(training_films, "FILE", tmp_path / "known.npz")
    training_films.keep({production.card["data"]["hash"]: [told]}, training_films.FILE)
    about: list[str] = []
    inner = attempt.run_child

    def look(command: list[str], *rest: Any) -> None:
        about.append(Path(command[command.index("--about") + 1]).read_text())
        inner(command, *rest)

    monkeypatch.setattr(attempt, "run_child", look)
    runs.work()
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

    monkeypatch.setattr(attempt, "run_child", look)
    runs.work()
    assert about[0]["age_years"] == [3, 6]


# ---------------------------------------------------------------- the real child


@pytest.mark.timeout(
    600
)  # two processes with TensorFlow and one export: half a minute, many on a busy machine
def test_a_killed_training_goes_on_from_its_epoch_and_ends_as_one_whole_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The child is killed after its first epoch, by the signal that cannot be caught."""
    monkeypatch.setattr(child_process, "YIELDING", ())
    confirm_films(FILMS)
    run = wish()
    heard = runs.Attempt._heard
    killed: list[int] = []

    def kill_once(self: runs.Attempt, message: dict[str, Any]) -> None:
        heard(self, message)
        if message.get("finished_epoch") and not killed:
            killed.append(message["epoch"])
            # Other children of this process may be there: decoders that earlier tests asked.
            (child,) = (pid for pid in descendants(os.getpid()) if "ml.train" in command_of(pid))
            os.kill(child, signal.SIGKILL)

    monkeypatch.setattr(runs.Attempt, "_heard", kill_once)
    runs.work()
    run.refresh_from_db()
    assert killed == [1]
    assert (run.state, run.failure) == (State.SUCCEEDED, "")
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert any("ended by signal 9" in entry["words"] for entry in run.log)
    assert run.version
    assert ModelVersion.objects.count() == 2, "the one of the reviewed predictions beside it"
    card = folder.check(versions.local_artifact(run.version))
    assert card.history == run.history
    assert card.data["films"] == {"NORMAL": 6, "PNEUMONIA": 6}
    assert run.manifest_sha256 in card.data["description"]
