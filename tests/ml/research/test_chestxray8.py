"""A second population from ChestX-ray8: the radiologist before the report, and nothing half-written."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from ml import errors
from ml.data import dataset
from ml.research import chestxray8
from tests.support.radiographs import chest

ROWS = [
    ("a.png", "Pneumonia", "Lung Opacity", "AP", "77", "61"),
    ("b.png", "Pneumonia", "", "AP", "78", "61"),
    ("c.png", "Pneumonia", "Normal", "PA", "30", "62"),
    ("d.png", "No Finding", "No Lung Opacity / Not Normal", "PA", "40", "63"),
    ("e.png", "No Finding", "", "PA", "50", "64"),
    ("f.png", "No Finding", "Normal", "PA", "51", "65"),
    ("g.png", "Pneumonia", "", "PA", "31", "66"),
    ("h.png", "Pneumonia", "", "LL", "32", "67"),
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
        "f.png": ("NORMAL", "radiologist", 51),
        "g.png": (None, "report", 31),
        "h.png": (None, "report", 32),
    }
    # Radiologists saw none in the one film of such a report that they read, and read none of the other kind.
    assert {film.path.name: film.doubtful for film in films.values() if film.doubtful} == {
        "g.png": "PNEUMONIA",
        "h.png": "PNEUMONIA",
    }
    assert [films[name].view for name in ("a.png", "c.png", "h.png")] == ["AP", "PA", ""]
    assert films["a.png"].patient == films["b.png"].patient
    assert len({film.patient for film in films.values()}) == 7
    told = capsys.readouterr().out
    for words in ("1 radiologist: neither", "2 report: PNEUMONIA, doubtful", "1 report: NORMAL"):
        assert words in told


def test_reports_are_believed_as_often_as_radiologists_agreed(tmp_path: Path) -> None:
    """Two of three are enough; what a radiologist called neither does not count. The data stay the same data."""
    said = ["Lung Opacity", "Lung Opacity", "Normal", "No Lung Opacity / Not Normal", ""]
    for wrong, labels in ((0, ("PNEUMONIA", None)), (1, (None, "PNEUMONIA"))):
        rows = [
            (f"{number}.png", "Pneumonia", one, "AP", "50", str(number))
            for number, one in enumerate([*said, *["Normal"] * wrong])
        ]
        chestxray8.convert(written(tmp_path / f"source-{wrong}", rows), tmp_path / f"out-{wrong}")
        films = dataset.read_folder(tmp_path / f"out-{wrong}")
        assert [(film.label, film.doubtful) for film in films if film.path.name == "4.png"] == [labels]


def test_every_report_can_be_believed_and_the_data_stay_the_same(source: Path, tmp_path: Path) -> None:
    ways = {"some": [], "all": ["--every-report"]}
    for name, options in ways.items():
        assert chestxray8.main([str(source), "--out", str(tmp_path / name), *options]) == 0
    some, every = (dataset.read_folder(tmp_path / name) for name in ways)
    assert [film.label for film in every if film.path.name in ("g.png", "h.png")] == ["PNEUMONIA"] * 2
    assert not any(film.doubtful for film in every)
    assert dataset.data_hash(some) == dataset.data_hash(every)


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
        (lambda text: text.replace("Pneumonia,Normal", "Cold,Normal"), "line 4: the label Cold"),
        (lambda text: text.replace("e.png", "x.png"), "images/x.png is missing"),
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
        with pytest.raises(errors.DatasetError):
            chestxray8.convert(folder, out)
    assert not (tmp_path / "x").exists()
