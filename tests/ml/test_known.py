"""Films that versions learned from elsewhere are known again, also as copies, and so judge none of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.artifact import folder as artifact_folder
from ml.data import dataset, training_films
from ml.images.perceptual_hash import fingerprint
from ml.images.reader import read_radiograph
from ml.research import fingerprint_films
from tests.support.radiographs import SAMPLES, data_set, grey, png


def test_the_films_of_every_shipped_version_are_kept() -> None:
    with np.load(training_films.FILE) as kept:
        for folder in (artifact_folder.SHIPPED, *artifact_folder.SHIPPED_BEFORE):
            data = artifact_folder.load_card(folder).data
            assert len(kept[data["hash"]]) == data["films"]["NORMAL"] + data["films"]["PNEUMONIA"]
            assert not data.get("second") or len(kept[data["second"]["hash"]]) > 300


def test_a_film_and_its_copies_are_known_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training_films, "FILE", tmp_path / "known.npz")
    assert fingerprint_films.main([str(SAMPLES), "--out", str(training_films.FILE)]) == 0
    films = dataset.read_folder(SAMPLES)
    name = dataset.data_hash(films)
    assert f"{len(films)} films of {name[:12]}" in capsys.readouterr().out
    path = films[0].path
    Image.open(path).resize((120, 120)).save(tmp_path / "copy.jpg", quality=60)
    (tmp_path / "other.png").write_bytes(png(grey()))
    prints = [
        b"",
        *(fingerprint(read_radiograph(tmp_path / name)) for name in ("copy.jpg", "other.png")),
        fingerprint(read_radiograph(path)),
    ]
    for data in ({"hash": name}, {"hash": "x", "second": {"hash": name}}, {"inherited": [{"hash": name}]}):
        assert training_films.known(prints, {"data": data}) == {1, 3}
    for card in ({}, {"data": {"hash": "another set", "second": None}}):
        assert training_films.known(prints, card) == set()


def test_what_cannot_be_read_or_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fingerprint_films.main([str(tmp_path), "--out", str(tmp_path / "x.npz")]) == 2
    assert "neither" in capsys.readouterr().err
    folder = data_set(tmp_path / "films", 1)
    next((folder / "NORMAL").iterdir()).write_bytes(b"no picture")
    assert fingerprint_films.main([str(folder), "--out", str(tmp_path / "x.npz")]) == 1
    assert "ml.research.fingerprint_films: a film could not be read" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert fingerprint_films.main([str(SAMPLES), "--out", str(tmp_path / "file" / "x.npz")]) == 1
    assert "could not be read or written" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".npz"]
