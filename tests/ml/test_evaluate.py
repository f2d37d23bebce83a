"""Measuring a model on a labelled folder: the command's contract."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.artifact.folder import SHIPPED, load_card
from ml.evaluate import evaluate, main
from tests.support.radiographs import SAMPLES, grey, png

KEYS = {
    *(name + suffix for name in ("auc", "accuracy", "sensitivity", "specificity") for suffix in ("", "_ci")),
    *("n", "rejected", "known", "brier", "ece", "threshold", "confusion", "model"),
}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ml.evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def linked(folder: Path, table: str) -> Path:
    for path in SAMPLES.glob("*.png"):
        (folder / path.name).symlink_to(path)
    (folder / "labels.csv").write_text(table)
    return folder


def test_the_samples_are_measured() -> None:
    done = run(SAMPLES, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == KEYS
    assert found["n"] == len(list(SAMPLES.glob("*.png")))
    assert found["known"] == 0
    (tn, fp), (fn, tp) = found["confusion"]
    assert tn + fp + fn + tp == found["n"] - found["rejected"]
    assert found["accuracy"] == pytest.approx((tn + tp) / (tn + fp + fn + tp))
    assert found["sensitivity"] == pytest.approx(tp / (tp + fn))
    assert found["model"] == load_card(SHIPPED).name
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        low, high = found[f"{name}_ci"]
        assert 0 <= low <= found[name] <= high <= 1


def test_refused_films_are_counted_and_left_out(tmp_path: Path) -> None:
    table = (SAMPLES / "labels.csv").read_text()
    (tmp_path / "waves.png").write_bytes(png(grey(400, 400)))
    found = evaluate(linked(tmp_path, table + "waves.png,NORMAL,x\n"))
    plain = evaluate(SAMPLES)
    assert (found["n"], found["rejected"]) == (plain["n"] + 1, plain["rejected"] + 1)
    assert found["confusion"] == plain["confusion"]


def test_films_without_a_label_are_left_out(tmp_path: Path) -> None:
    rows = (SAMPLES / "labels.csv").read_text().splitlines()
    name = rows[1].split(",")[0]
    found = evaluate(linked(tmp_path, "\n".join([rows[0], f"{name},,x", *rows[2:]]) + "\n"))
    assert found["n"] == len(rows) - 2


def test_words_without_json() -> None:
    done = run(SAMPLES)
    assert done.returncode == 0
    assert "sensitivity" in done.stdout
    assert "learned" not in done.stdout


@pytest.mark.usefixtures("taught")
def test_films_that_taught_the_version_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SAMPLES)]) == 0
    found = evaluate(SAMPLES)
    assert found["known"] == found["n"] - found["rejected"]
    assert f"learned from {found['known']} of these films" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "status", "words"), [(None, 2, "neither"), ("file,label\nno.png,NORMAL\n", 2, "no.png")]
)
def test_a_wrong_folder(tmp_path: Path, table: str | None, status: int, words: str) -> None:
    if table:
        (tmp_path / "labels.csv").write_text(table)
    done = run(tmp_path, "--json")
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr


def test_a_damaged_film_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "labels.csv").write_text("file,label\nbad.png,NORMAL\n")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "bad.png" in done.stderr
