"""Where maps point: what is border, letters and outside is known, and a map follows an opacity that is moved."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ml.artifact.folder import SHIPPED, SHIPPED_BEFORE
from ml.evaluation import saliency
from ml.evaluation.saliency import with_lesion
from ml.images.preprocessing import fit
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph
from ml.serving import heatmap_checks
from ml.serving.predictor import Predictor
from tests.support.radiographs import SAMPLES

NORMAL = sorted(SAMPLES.glob("synthetic-normal-*.png"))
LIMITS = {"border": 0.3, "letters": 0.2, "outside": 0.4}


@pytest.fixture(scope="module")
def film() -> Radiograph:
    return read_radiograph(NORMAL[0])


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(SHIPPED)


def spot(x: float, y: float) -> np.ndarray:
    """A map with one spot at `x`, `y` of the film."""
    rows, columns = np.mgrid[0:160, 0:160] / 160
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 0.004).astype(np.float32)


def test_a_map_in_the_lungs_is_nowhere_else(film: Radiograph) -> None:
    found = heatmap_checks.shares(fit(film, heatmap_checks.SIDE), spot(0.3, 0.45))
    assert max(found.values()) < 0.05
    assert heatmap_checks.warning(found, LIMITS) is None


def test_a_map_on_the_border_is_told(film: Radiograph) -> None:
    found = heatmap_checks.shares(fit(film, heatmap_checks.SIDE), spot(0.0, 0.5))
    assert found["border"] > LIMITS["border"]
    assert "looking at the wrong thing" in str(heatmap_checks.warning(found, LIMITS))
    assert "border" in str(heatmap_checks.warning(found, LIMITS))


def test_a_map_on_letters_is_told(film: Radiograph) -> None:
    picture = Image.fromarray(film.pixels)
    ImageDraw.Draw(picture).text((12, 12), "AP", fill=255, font_size=picture.width // 9)
    lettered = Radiograph(np.asarray(picture), 8, "PNG")
    assert heatmap_checks.shares(fit(lettered, heatmap_checks.SIDE), spot(0.1, 0.09))["letters"] > 0.2
    assert heatmap_checks.shares(fit(film, heatmap_checks.SIDE), spot(0.1, 0.09))["letters"] < 0.05


def test_a_map_beside_a_bordered_film_is_outside(film: Radiograph) -> None:
    wide = np.pad(film.pixels.astype(np.uint8), ((0, 0), (film.width // 3, film.width // 3)))
    found = heatmap_checks.shares(fit(Radiograph(wide, 8, "PNG"), heatmap_checks.SIDE), spot(0.1, 0.5))
    assert found["outside"] > 0.9


def test_an_empty_map_has_no_shares(film: Radiograph) -> None:
    found = heatmap_checks.shares(fit(film, heatmap_checks.SIDE), np.zeros((160, 160), np.float32))
    assert set(found.values()) == {0.0}


def test_the_answer_carries_the_warning(predictor: Predictor, film: Radiograph) -> None:
    ill = read_radiograph(sorted(SAMPLES.glob("synthetic-pneumonia-*.png"))[0])
    before = predictor.card.heatmap.get("sanity")
    try:
        predictor.card.heatmap["sanity"] = {"limits": dict.fromkeys(heatmap_checks.PLACES, 1.0)}
        (quiet,) = predictor.predict([ill])
        predictor.card.heatmap["sanity"] = {"limits": dict.fromkeys(heatmap_checks.PLACES, -1.0)}
        (warned,) = predictor.predict([ill])
    finally:
        predictor.card.heatmap["sanity"] = before or {}
    assert (quiet.label, quiet.warnings) == ("PNEUMONIA", [])
    assert "looking at the wrong thing" in warned.warnings[0]


def test_a_model_made_before_limits_gives_no_warning(film: Radiograph) -> None:
    older = Predictor(SHIPPED_BEFORE[0])
    older.card.heatmap.pop("sanity", None)
    assert [answer.warnings for answer in older.predict([film])] == [[]]


def test_probability_and_map_follow_an_opacity_that_is_moved(predictor: Predictor) -> None:
    """Over all normal synthetic films: a single one may have a spot of its own. By chance, a quarter would follow."""
    raised = followed = count = 0
    for path in NORMAL:
        film = read_radiograph(path)
        answers = predictor.predict([film, *(with_lesion(film, x, y) for x, y in saliency.LESIONS)])
        plain, *moved = [answer.probability for answer in answers]
        maps = [answer.heatmap for answer in answers if answer.heatmap is not None]
        assert plain is not None
        assert len(maps) == len(answers)
        count += len(moved)
        raised += sum(probability is not None and probability > plain for probability in moved)
        followed += saliency.following(np.stack(maps[1:]))
    assert raised >= 0.8 * count
    assert followed >= 0.6 * count
