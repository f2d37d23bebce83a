"""Files that no row names go; all others stay."""

import os
import time
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command

from diagnosis.core import orphans as core_orphans
from tests.support.factories import AnswerFactory

pytestmark = pytest.mark.django_db
DAY = 86_400


def leave(name: str, age: float) -> Path:
    path = Path(default_storage.path(default_storage.save(name, ContentFile(b"left over"))))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def make_old(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (0, 0))
    return files


def test_old_orphans_go_and_named_files_stay(empty_files: Path) -> None:
    answer = AnswerFactory()
    patient = answer.film.patient_id
    answer.heatmap.save(f"heatmaps/{patient}/answer.png", ContentFile(b"heatmap"))
    named = make_old(empty_files / "films") + make_old(empty_files / "heatmaps" / str(patient))
    assert len(named) == 2
    orphans = [leave(f"{root}/{patient}/orphan.png", 2 * DAY) for root in ("films", "heatmaps")]
    young = leave(f"films/{patient}/young.png", DAY / 2)
    model = leave("models/abc/model.keras", 9 * DAY)
    assert core_orphans.remove_orphans() == 2
    assert not any(path.exists() for path in orphans)
    assert all(path.exists() for path in [*named, young, model])
    assert core_orphans.remove_orphans() == 0


def test_an_empty_storage_is_no_fault(empty_files: Path) -> None:
    assert core_orphans.remove_orphans() == 0


def test_one_round_of_reconcile_cleans_up(empty_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave("films/7/orphan.png", 2 * DAY)
    call_command("reconcile")
    told = capsys.readouterr().out
    assert told.startswith("reclaimed 0, failed 0, waiting 0, ")
    assert told.endswith(", files removed 1\n")
