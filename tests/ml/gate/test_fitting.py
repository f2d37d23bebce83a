"""The gate: films pass, other pictures do not, and the reason is in words."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ml.artifact.folder import SHIPPED, SHIPPED_BEFORE, load_card
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph
from ml.serving import gate
from ml.serving.gate import GateParameters
from ml.serving.population import population_findings
from tests.support.radiographs import SAMPLES, film, grey

PATHS = sorted(SAMPLES.glob("synthetic-*.png"))


@pytest.fixture(scope="module")
def parameters() -> GateParameters:
    return gate.load_parameters(SHIPPED / "gate.npz")


def page() -> NDArray[np.uint8]:
    picture = Image.new("L", (500, 640), 255)
    draw = ImageDraw.Draw(picture)
    for line in range(20, 600, 24):
        draw.text((30, line), "Findings: the heart is of normal size. " * 2, fill=10, font_size=15)
    return np.asarray(picture)


def chart() -> NDArray[np.uint8]:
    picture = Image.new("L", (400, 400), 250)
    draw = ImageDraw.Draw(picture)
    for place, height in enumerate((90, 300, 180, 240, 60)):
        draw.rectangle((40 + 70 * place, 380 - height, 80 + 70 * place, 380), fill=60 + 30 * place)
    return np.asarray(picture)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_synthetic_films_pass(path: Path, parameters: GateParameters) -> None:
    assert gate.refusals(read_radiograph(path), parameters) == []


def test_there_are_films_to_test_with() -> None:
    assert len(PATHS) >= 8


@pytest.mark.parametrize(("turns", "words"), [(1, "side"), (2, "upside down"), (3, "side")])
def test_turned_films_are_refused(turns: int, words: str, parameters: GateParameters) -> None:
    found = [
        gate.refusals(film(np.rot90(read_radiograph(path).pixels, turns).copy()), parameters)
        for path in PATHS
    ]
    assert sum(bool(reasons) for reasons in found) >= len(PATHS) - 1
    assert sum(words in " ".join(reasons) for reasons in found) > len(PATHS) / 2


def test_inverted_films_are_told_so(parameters: GateParameters) -> None:
    found = [gate.refusals(film(255 - read_radiograph(path).pixels), parameters) for path in PATHS]
    assert all(found)
    assert sum("Black and white seem to be swapped" in reasons[0] for reasons in found) > len(PATHS) / 2


@pytest.mark.parametrize(
    "pixels",
    [
        np.random.default_rng(1).integers(0, 256, (400, 400), dtype=np.uint8),
        page(),
        255 - page(),
        chart(),
        grey(400, 400),
        np.tile(np.arange(256, dtype=np.uint8), (256, 1)),
    ],
    ids=["noise", "text", "white text", "chart", "waves", "ramp"],
)
def test_other_pictures_are_refused(pixels: NDArray[np.uint8], parameters: GateParameters) -> None:
    (reason,) = gate.refusals(film(pixels), parameters)
    assert reason.endswith(".")


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_pictures_are_refused(level: int, parameters: GateParameters) -> None:
    assert gate.refusals(film(np.full((300, 300), level, np.uint8)), parameters) == [
        "The picture is blank or nearly so."
    ]


def test_a_faint_film_is_not_blank(parameters: GateParameters) -> None:
    faint = (read_radiograph(PATHS[0]).pixels // 4 + 90).astype(np.uint8)
    assert gate.refusals(film(faint), parameters) == []


def test_shape_size_and_colour_are_named(parameters: GateParameters) -> None:
    pixels = read_radiograph(PATHS[0]).pixels
    assert "long and narrow" in gate.refusals(film(pixels[:150].copy()), parameters)[0]
    assert "at least 128" in gate.refusals(film(pixels[::4, ::4].copy()), parameters)[0]
    assert "colour picture" in gate.refusals(Radiograph(pixels, 8, "JPEG", (), 0.3), parameters)[0]


def test_a_deep_film_passes_like_its_eight_bit_copy(parameters: GateParameters) -> None:
    assert gate.refusals(film(read_radiograph(PATHS[0]).pixels.astype(np.uint16) * 257), parameters) == []


def test_a_second_population_is_answered_with_its_figures() -> None:
    card = load_card(SHIPPED)
    assert population_findings(card, 3.0) == ([], [])
    refused, (warning,) = population_findings(card, 40.0)
    assert refused == []
    assert "less sure" in warning
    assert "AUC" in warning
    for age in (6.0, 12.9, 99.0):
        _, (outside,) = population_findings(card, age)
        assert "was validated on patients of 1 to 5 and of 13 to 71 years only" in outside


def test_age_decides_by_the_card() -> None:
    card = load_card(SHIPPED_BEFORE[0])
    assert population_findings(card, 3.0) == ([], [])
    assert population_findings(card, 5.9) == ([], [])
    for age, told in ((0.4, "under 1 year old"), (6.0, "6 years old"), (17.9, "17 years old")):
        refused, (warning,) = population_findings(card, age)
        assert refused == []
        assert told in warning
        assert "1 to 5 years" in warning
    _, (unknown,) = population_findings(card, None)
    assert "not known" in unknown
    (refusal,), warnings = population_findings(card, 18.0)
    assert warnings == []
    assert "AUC" in refusal
    assert "18 years" in refusal


def test_a_model_of_unknown_ages_warns_and_refuses_nobody() -> None:
    card = load_card(SHIPPED)
    card.population = {**card.population, "age_years": None, "refuse_from_years": None}
    assert population_findings(card, 70.0) == (
        [],
        ["The ages of the patients that the model was validated on are not known."],
    )


def test_the_card_s_rates_are_what_was_asked_for() -> None:
    rows = {row["pictures"]: row for row in load_card(SHIPPED).gate["measured"]}
    assert rows["validation films"]["share"] < 0.01
    assert rows["validation films, inverted"]["share"] > 0.95
    assert rows["validation films, upside down"]["share"] > 0.9
