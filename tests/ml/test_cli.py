"""Commands that train and measure end with a sentence and a status, whatever stopped them."""

from pathlib import Path
from types import ModuleType

import pytest

from ml import cli, compare, export, train
from ml.errors import DatasetError
from ml.images.errors import ImageError
from ml.research import folds, refit
from tests.support.radiographs import data_set


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (DatasetError("There are no films."), 2, "ml.x: There are no films."),
        (ImageError("It is cut off."), 1, "ml.x: a film could not be read: It is cut off."),
        (PermissionError(13, "Permission denied"), 1, "a file could not be read or written: [Errno 13]"),
    ],
)
def test_what_failed_is_said(
    error: Exception, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(error, cli.FAILURES)
    assert cli.told("ml.x", error) == status
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", [train, folds, compare])
def test_a_place_that_cannot_be_written_is_no_traceback(
    command: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = data_set(tmp_path / "films", 3)
    (tmp_path / "file").touch()
    blocked = [str(films), "--out", str(tmp_path / "file" / "out"), "--epochs", "1"]
    if command is folds:
        blocked += ["--folds", "2"]
    assert command.main(blocked) == 1
    assert "a file could not be read or written" in capsys.readouterr().err


@pytest.mark.parametrize("command", [refit, export])
def test_a_version_that_is_none_is_told(
    command: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = data_set(tmp_path / "films", 3)
    assert command.main([str(tmp_path), str(films), "--out", str(tmp_path / "x")]) == 2
    assert f"python -m {command.__name__}: {tmp_path}" in capsys.readouterr().err
