"""A second population from ChestX-ray8: the radiologist before the report, and nothing half-written."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from ml import chestxray8, dataset
from tests.ml_films import chest

ROWS = [
    ("a.png", "Pneumonia", "Lung Opacity", "AP", "77", "61"),
    ("b.png", "Pneumonia", "", "AP", "78", "61"),
    ("c.png", "Pneumonia", "Normal", "PA", "30", "62"),
    ("d.png", "No Finding", "No Lung Opacity / Not Normal", "PA", "40", "63"),
    ("e.png", "No Finding", "", "PA", "50", "64"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return written(tmp_path / "source", ROWS)


def written(folder: Path, rows: Sequence[tuple[str, ...]]) -> Path:
    (folder / "images").mkdir(parents=True)
    for number, (name, *_) in enumerate(rows):
        Image.fromarray(chest(number, number < 2)).save(folder / "images" / name)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("file", "nih_label", "rsna_label", "view", "age_years", "patient"), *rows]
        )
    return folder


def test_what_a_radiologist_said_counts_before_the_report(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chestxray8.main([str(source), "--out", str(tmp_path / "adults")]) == 0
    films = {film.path.name: film for film in dataset.read_folder(tmp_path / "adults")}
    found = {name: (film.label, film.path.parent.name, film.age_years) for name, film in films.items()}
    assert found == {
        "a.png": ("PNEUMONIA", "radiologist", 77),
        "b.png": ("PNEUMONIA", "report", 78),
        "c.png": ("NORMAL", "radiologist", 30),
        "d.png": (None, "radiologist", 40),
        "e.png": ("NORMAL", "report", 50),
    }
    assert films["a.png"].patient == films["b.png"].patient
    assert len({film.patient for film in films.values()}) == 4
    assert "1 radiologist: neither" in capsys.readouterr().out


def test_the_order_of_the_table_makes_no_other_data_set(source: Path, tmp_path: Path) -> None:
    chestxray8.convert(source, tmp_path / "one")
    lines = (source / "labels.csv").read_text().splitlines()
    (source / "labels.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    chestxray8.convert(source, tmp_path / "other")
    one, other = (dataset.data_hash(dataset.read_folder(tmp_path / name)) for name in ("one", "other"))
    assert one == other


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda text: text.replace("Lung Opacity,AP", "Opacity,AP"),
            "line 2: the label Opacity is not known",
        ),
        (lambda text: text.replace("e.png", "f.png"), "images/f.png is missing"),
        (lambda text: text.replace("patient", "who"), "has no patient"),
        (lambda text: text.splitlines()[0], "has no rows"),
    ],
)
def test_a_wrong_table_is_told_and_leaves_nothing(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str], words: str
) -> None:
    table = source / "labels.csv"
    table.write_text(change(table.read_text()))
    assert chestxray8.main([str(source), "--out", str(tmp_path / "adults")]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_nothing_is_overwritten_and_a_source_is_needed(source: Path, tmp_path: Path) -> None:
    for folder, out in ((source, source), (tmp_path, tmp_path / "x")):
        with pytest.raises(dataset.DatasetError):
            chestxray8.convert(folder, out)
    assert not (tmp_path / "x").exists()
