"""What is known of the films of a second population."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from ml.material import Proof, Second, SecondPopulation
from tests.ml_films import chest


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
