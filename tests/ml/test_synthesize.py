"""Drawn films: marked, unlike any film they were drawn from, and the same again from the same seed."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml import synthesize
from ml.data import appearance_model
from ml.data.dicom_writer import write_samples
from ml.images.dicom import read_dicom
from ml.images.preprocessing import fit, standardise
from ml.images.reader import read_radiograph
from ml.serving.predictor import Predictor
from ml.synthesize import SynthesisError
from tests.support.radiographs import SAMPLES, data_set


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_set(tmp_path_factory.mktemp("drawn") / "films", 4)


def compared(path: Path) -> np.ndarray:
    return standardise(fit(read_radiograph(path), synthesize.COMPARED_SIDE)).reshape(-1)


def test_films_are_drawn_marked_and_listed(films: Path, tmp_path: Path) -> None:
    distances = synthesize.synthesize(films, tmp_path / "a", count=2, seed=4, model=None)
    with (tmp_path / "a" / "labels.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["label"] for row in rows] == ["NORMAL", "NORMAL", "PNEUMONIA", "PNEUMONIA"]
    assert [row["file"] for row in rows] == list(distances.nearest)
    assert len({row["patient"] for row in rows}) == 4
    known = [compared(path) for path in films.glob("*/*.png")]
    for row in rows:
        path = tmp_path / "a" / row["file"]
        assert row["file"].startswith("synthetic-")
        assert Image.open(path).info["Title"].startswith("Synthetic:")
        assert path.stat().st_size < 300_000
        nearest = min(np.sqrt(np.mean((compared(path) - film) ** 2)) for film in known)
        # The mark in the corner is drawn after measuring, and moves the distance a little.
        assert nearest == pytest.approx(distances.nearest[row["file"]], abs=0.02)
        assert distances.nearest[row["file"]] >= distances.limit
    text = (tmp_path / "a" / "README.md").read_text()
    assert f"{distances.limit:.3f}" in text

    again = synthesize.synthesize(films, tmp_path / "b", count=2, seed=4, model=None)
    assert again.nearest == pytest.approx(distances.nearest, abs=1e-4)
    other = synthesize.synthesize(films, tmp_path / "c", count=2, seed=5, model=None)
    assert other.nearest != pytest.approx(distances.nearest, abs=1e-4)


def test_a_film_too_near_to_a_real_one_is_never_kept(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesize, "usual_distance", lambda *_: 9.0)
    monkeypatch.setattr(synthesize, "TRIES", 3)
    with pytest.raises(SynthesisError, match="far enough"):
        synthesize.synthesize(films, tmp_path / "out", count=1, model=None)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_usual_distance_leaves_a_patient_s_own_films_out() -> None:
    films = np.array([[0.0, 0.0], [0.1, 0.1], [3.0, 3.0], [3.1, 3.1]], np.float32)
    assert synthesize.usual_distance(films, ["a", "a", "b", "b"]) == pytest.approx(2.9, abs=1e-3)
    with pytest.raises(SynthesisError, match="two patients"):
        synthesize.usual_distance(films, ["a"] * 4)


def test_demons_bring_a_moved_film_back() -> None:
    y, x = np.mgrid[0:64, 0:64]
    target = np.exp(-((x - 32) ** 2 + (y - 32) ** 2) / 120).astype(np.float32)
    moved = np.exp(-((x - 36) ** 2 + (y - 30) ** 2) / 120).astype(np.float32)
    field = appearance_model.demons(moved, target, 60)
    before, after = np.abs(moved - target).mean(), np.abs(appearance_model.warp(moved, field) - target).mean()
    assert after < 0.3 * before
    back = appearance_model.warp(appearance_model.warp(moved, field), appearance_model.inverse(field))
    assert np.abs(back - moved).mean() < 0.1 * before


def test_the_shipped_films_are_there_and_marked() -> None:
    with (SAMPLES / "labels.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    for label in ("NORMAL", "PNEUMONIA"):
        assert sum(row["label"] == label for row in rows) >= 4
    assert {row["file"] for row in rows} == {path.name for path in SAMPLES.glob("*.png")}
    for row in rows:
        picture = Image.open(SAMPLES / row["file"])
        assert min(picture.size) >= 224
        assert picture.mode == "L"
        assert picture.info["Title"].startswith("Synthetic:")
        assert row["file"] in (SAMPLES / "README.md").read_text()


def test_the_command_draws_films_that_the_gate_accepts(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ml.synthesize",
        str(SAMPLES),
        "--out",
        str(tmp_path),
        "--count",
        "1",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert min(found["nearest"].values()) >= found["limit"]
    films = [read_radiograph(tmp_path / name) for name in found["nearest"]]
    assert [answer.status for answer in Predictor().predict(films)] == ["accepted", "accepted"]


def test_the_command_without_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synthesize.main([str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "neither" in capsys.readouterr().err


def test_the_shipped_films_as_dicom_of_every_kind(tmp_path: Path) -> None:
    written = write_samples(SAMPLES, tmp_path / "a")
    assert [path.read_bytes() for path in written] == [
        path.read_bytes() for path in write_samples(SAMPLES, tmp_path / "b")
    ]
    films = [read_dicom(path.read_bytes()) for path in written]
    kinds = {
        (film.facts["modality"], film.facts["photometric"], film.facts["transfer_syntax"]) for film in films
    }
    assert len(kinds) == 6
    for source, film in zip(sorted(SAMPLES.glob("*.png")), films, strict=True):
        assert film.radiograph.bits == 12
        assert film.offered.mrn.startswith("SYN-")
        picture = np.asarray(Image.open(source), dtype=int)
        assert np.abs((film.radiograph.pixels >> 8).astype(int) - picture).max() <= 1


def test_dicom_of_a_folder_without_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synthesize.main(["--dicom", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "no PNG films" in capsys.readouterr().err
