"""What is known of the films of a second population."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml import errors
from ml.artifact import folder as artifact_folder
from ml.data import dataset
from ml.data.dataset import LabelledFilm
from ml.train import train
from ml.training import loop
from ml.training.cohorts import Proof, Second, SecondPopulation, subgroups
from tests.support.radiographs import chest, data_set


def population(folder: Path, ages: list[float | None]) -> SecondPopulation:
    """Forty films of forty patients that are held back, and four that train."""
    folder.mkdir()
    rows = []
    for number in range(len(ages) + 4):
        name, trains = f"{number}.png", number >= len(ages)
        Image.fromarray(chest(number, number % 2 == 1)).save(folder / name)
        age = 99 if trains else ages[number]
        rows.append(
            {
                "file": name,
                "label": "PNEUMONIA" if number % 2 else "NORMAL",
                "patient": number,
                "age_years": "" if age is None else age,
                "split": "train" if trains else "validation",
            }
        )
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return SecondPopulation(Proof(), Second(folder), seed=1)


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        # One child among forty does not make it a population of children.
        ([8, *range(30, 68), 90], (30, 67)),
        ([*[12] * 10, *range(30, 60)], (12, 58)),
        ([None] * 40, None),
        ([None] * 39 + [50], (50, 50)),
    ],
)
def test_the_range_of_ages_is_that_of_nearly_all(
    tmp_path: Path, ages: list[float | None], expected: tuple[float, float] | None
) -> None:
    found = population(tmp_path / "others", ages)
    assert len(found.measured) == 40
    assert found.ages() == expected


def test_films_of_several_folders_and_views_are_also_told_of_by_these(tmp_path: Path) -> None:
    """But not where they hold too few of a class, nor where a view is not known."""
    films = [
        LabelledFilm(tmp_path / folder / f"{number}.png", dataset.LABELS[target], f"{folder}{number}", "")
        for folder, targets in (("read", [0, 1] * 5), ("reported", [0] * 4))
        for number, target in enumerate(targets)
    ]
    right = np.array([0.9 if film.target else 0.1 for film in films])
    right[-2:] = 0.8
    whole, read = subgroups("films of others", films, right, seed=1)
    assert (whole["group"], whole["n"], whole["specificity"]) == (
        "films of others",
        14,
        pytest.approx(7 / 9, abs=1e-4),
    )
    assert (read["group"], read["n"], read["auc"], read["specificity"]) == ("films of others: read", 10, 1, 1)
    assert len(subgroups("films of others", films[:10], right[:10], seed=1)) == 1
    at = tmp_path / "one folder"
    views = [
        replace(film, path=at / film.path.name, view="AP" if place < 10 else ("PA", "")[place % 2])
        for place, film in enumerate(films)
    ]
    whole, lying = subgroups("films of others", views, right, seed=1)
    assert (whole["n"], lying["group"], lying["n"]) == (14, "films of others: AP", 10)
    few = [replace(film, view="AP" if place < 9 else "PA") for place, film in enumerate(views)]
    assert [row["group"] for row in subgroups("films of others", few, right, seed=1)] == ["films of others"]


def doubted(folder: Path, patients: set[str]) -> None:
    """Write a table in which the labels of these patients' films are doubtful."""
    rows = [
        f"{film.path.relative_to(folder)},{film.patient},"
        + (f",{film.said}" if film.patient in patients else f"{film.said},")
        for film in dataset.read_folder(folder)
    ]
    (folder / "labels.csv").write_text("\n".join(["file,patient,label,doubtful", *rows]))


def test_films_with_doubtful_labels_neither_teach_nor_measure_and_move_no_other(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "others", 8)
    before = SecondPopulation(Proof(), Second(folder), seed=1)
    trained = {before.films[i].patient for i in before.training}
    measured = {before.films[i].patient for i in before.measured}
    ill = {film.patient for film in before.films if film.label == "PNEUMONIA"}
    chosen = {min(trained & ill), min(measured & ill)}
    doubted(folder, chosen)
    after = SecondPopulation(Proof(), Second(folder), seed=1)
    assert {film.patient for film in after.doubtful} == chosen
    assert {after.films[i].patient for i in after.training} == trained - chosen
    assert {after.films[i].patient for i in after.measured} == measured - chosen
    assert after.hashes == before.hashes
    for name in ("limiting", "held_back"):
        kept = [sorted(one.films[i].path for i in getattr(one, name)) for one in (before, after)]
        assert kept[0] == kept[1]


def test_a_version_can_learn_on_when_labels_are_doubted(
    films: Path, other_films: Path, drawn_of_both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The films that judge stay those that it never learned from, and an interrupted training keeps its labels."""
    monkeypatch.setattr("ml.training.sampler.BATCH", 8)
    others, out = shutil.copytree(other_films, tmp_path / "others"), tmp_path / "next"
    first = artifact_folder.load_card(drawn_of_both)
    assert "doubtful" not in first.population["evidence"]

    def stop(progress: loop.Progress) -> None:
        if progress.finished_epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(films, out, epochs=2, seed=5, init=drawn_of_both, also=Second(others), progress=stop)
    read = dataset.read_folder(others)
    one = min(film.patient for film in read if film.label == "PNEUMONIA")
    doubted(others, {one})
    with pytest.raises(errors.ResumeError):
        train(films, out, epochs=2, seed=5, init=drawn_of_both, also=Second(others))
    following = train(films, tmp_path / "other", epochs=1, seed=5, init=drawn_of_both, also=Second(others))
    assert following.data["second"] == first.data["second"]
    number = sum(film.patient == one for film in read)
    assert f"{number} films with doubtful labels neither taught" in following.population["evidence"]
