"""Answers: the same alone and in a batch, the same from every copy of a film, and the command's contract."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.artifact.folder import SHIPPED, SHIPPED_BEFORE, load_card
from ml.errors import ArtifactError
from ml.images.preprocessing import PREPROCESSINGS
from ml.images.radiograph import Radiograph
from ml.images.reader import read_radiograph
from ml.serving.heatmap import heatmap_png
from ml.serving.population import population_findings
from ml.serving.predictor import KNOWN, Predictor
from tests.support.radiographs import SAMPLES, film, grey, jpeg, png

PATHS = sorted(SAMPLES.glob("synthetic-*.png"))
KEYS = ["file", "status", "label", "probability", "threshold", "reasons", "model", "milliseconds"]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor()


@pytest.fixture(scope="module")
def films() -> list[Radiograph]:
    return [read_radiograph(path) for path in PATHS]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ml.predict", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_most_synthetic_films_are_answered_by_their_label(
    predictor: Predictor, films: list[Radiograph]
) -> None:
    answers = predictor.predict(films)
    right = [
        answer.label == path.stem.split("-")[1].upper() for answer, path in zip(answers, PATHS, strict=True)
    ]
    assert sum(right) >= 0.75 * len(right)
    assert {answer.label for answer in answers} == {"NORMAL", "PNEUMONIA"}


def test_an_answer_follows_its_threshold(predictor: Predictor, films: list[Radiograph]) -> None:
    for answer in predictor.predict(films):
        assert answer.status == "accepted"
        assert answer.probability is not None
        assert (answer.label == "PNEUMONIA") == (answer.probability >= answer.threshold)
        assert answer.reasons == answer.warnings == []
        assert answer.milliseconds > 0


@pytest.mark.usefixtures("taught")
def test_an_answer_on_a_film_that_taught_the_version_says_so(
    predictor: Predictor, films: list[Radiograph]
) -> None:
    stranger = film(np.asarray(films[0].pixels[:, ::-1], dtype=np.uint8))
    refused = film(grey(400, 400))
    found = Predictor().predict([*films[:2], stranger, refused])
    assert [answer.known for answer in found] == [True, True, False, False]
    assert [KNOWN in answer.warnings for answer in found] == [True, True, False, False]
    for answer, plain in zip(found, predictor.predict([*films[:2], stranger, refused]), strict=True):
        assert (answer.probability, answer.label, plain.known) == (plain.probability, plain.label, False)


def test_a_batch_gives_what_single_films_give(predictor: Predictor, films: list[Radiograph]) -> None:
    together = predictor.predict(films)
    for one, alone in zip(together, (predictor.predict([one])[0] for one in films), strict=True):
        assert one.probability == pytest.approx(alone.probability, abs=1e-5)
        assert one.heatmap is not None
        assert alone.heatmap is not None
        assert float(np.abs(one.heatmap - alone.heatmap).max()) < 1e-4
        assert one.receipt == alone.receipt


def test_no_films_no_answers(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_a_refused_film_has_reasons_only_and_stops_no_other(
    predictor: Predictor, films: list[Radiograph]
) -> None:
    noise = film(np.random.default_rng(1).integers(0, 256, (300, 300), dtype=np.uint8))
    before, refused, after = predictor.predict([films[0], noise, films[1]])
    assert refused.status == "rejected"
    assert refused.reasons
    assert (refused.label, refused.probability, refused.heatmap, refused.embedding) == (
        None,
        None,
        None,
        None,
    )
    assert before.probability == pytest.approx(predictor.predict([films[0]])[0].probability, abs=1e-5)
    assert after.status == "accepted"


def test_copies_of_a_film_get_its_answer(predictor: Predictor) -> None:
    original = read_radiograph(PATHS[0])
    picture = Image.fromarray(original.pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    copies = {
        "16 bits": png(original.pixels.astype(np.uint16) * 257),
        "12 bits": png(original.pixels.astype(np.uint16) * 16),
        "RGB": png(picture.convert("RGB")),
        "RGBA": png(picture.convert("RGBA")),
        "palette": png(picture.convert("P")),
        "JPEG": jpeg(picture),
        "lying, with its EXIF orientation": jpeg(picture.transpose(Image.Transpose.ROTATE_90), exif=exif),
        "four times as large": png(
            picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.BICUBIC)
        ),
    }
    expected, *found = predictor.predict(
        [original, *(read_radiograph(content) for content in copies.values())]
    )
    assert expected.probability is not None
    for name, answer in zip(copies, found, strict=True):
        assert answer.label == expected.label, name
        assert answer.probability == pytest.approx(expected.probability, abs=0.03), name
        if name in ("RGB", "RGBA", "palette"):
            assert answer.receipt == expected.receipt, name


def test_exposure_and_contrast_do_not_move_the_answer(predictor: Predictor) -> None:
    original = read_radiograph(PATHS[0])
    pale = film((original.pixels.astype(np.uint16) * 100 + 20_000).astype(np.uint16))
    one, other = predictor.predict([original, pale])
    assert one.probability == pytest.approx(other.probability, abs=1e-3)


def test_the_receipt_names_everything_the_answer_depends_on(
    predictor: Predictor, films: list[Radiograph]
) -> None:
    one, other = (answer.receipt for answer in predictor.predict(films[:2]))
    card = load_card(SHIPPED)
    assert one["weights_sha256"] == card.files["model.tflite"]
    assert one["gate_sha256"] == card.files["gate.npz"]
    assert one["preprocessing"] == card.preprocessing
    assert one["runtime"].startswith("litert ")
    assert one["pixels_sha256"] != other["pixels_sha256"]
    assert {key: one[key] for key in one if key != "pixels_sha256"} == {
        key: other[key] for key in other if key != "pixels_sha256"
    }


def test_age_warns_or_refuses(films: list[Radiograph]) -> None:
    children_only = Predictor(SHIPPED_BEFORE[0])
    child, older, adult, unknown = children_only.predict(films[:1] * 4, [3.0, 9.0, 60.0, None])
    assert child.warnings == []
    assert older.status == "accepted"
    assert "9 years old" in older.warnings[0]
    assert (adult.status, adult.label, adult.probability, adult.heatmap) == ("rejected", None, None, None)
    assert "18 years" in adult.reasons[0]
    assert "not known" in unknown.warnings[0]
    assert child.probability == pytest.approx(older.probability)
    with pytest.raises(ValueError, match="one age"):
        children_only.predict(films[:2], [3.0])


def test_pneumonia_films_glow_more_than_normal_ones(predictor: Predictor, films: list[Radiograph]) -> None:
    answers = predictor.predict(films)
    glow: dict[str, list[float]] = {"NORMAL": [], "PNEUMONIA": []}
    for answer in answers:
        assert answer.heatmap is not None
        assert answer.heatmap.shape == (predictor.card.input_size,) * 2
        assert answer.heatmap.dtype == np.float32
        assert 0 <= answer.heatmap.min() <= answer.heatmap.max() <= 1
        glow[answer.label or ""].append(float(answer.heatmap.mean()))
    assert np.mean(glow["PNEUMONIA"]) > 2 * np.mean(glow["NORMAL"])


def test_the_heatmap_picture_shows_only_what_is_there() -> None:
    heatmap = np.zeros((62, 62), np.float32)
    assert not np.asarray(Image.open(io.BytesIO(heatmap_png(heatmap))))[..., 3].any()
    heatmap[10:20, 40:50] = 1.0
    picture = np.asarray(Image.open(io.BytesIO(heatmap_png(heatmap))))
    assert picture.shape == (128, 128, 4)
    y, x = np.unravel_index(int(picture[..., 3].argmax()), (128, 128))
    assert 20 < y < 43
    assert 80 < x < 105
    assert picture[100:, :50, 3].max() == 0


def test_the_colours_grow_brighter_with_the_evidence() -> None:
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[None], 64, axis=0)
    picture = np.asarray(Image.open(io.BytesIO(heatmap_png(ramp))).convert("RGBA"), dtype=float)[64]
    luminance = picture[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) >= -1.5).all()
    assert (np.diff(picture[:, 3]) >= 0).all()


def test_a_changed_model_is_not_loaded(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(SHIPPED, tmp_path / "model"))
    with (copy / "model.tflite").open("r+b") as handle:
        handle.seek(5000)
        handle.write(b"\x00\x01\x02\x03")
    with pytest.raises(ArtifactError, match=r"model\.tflite"):
        Predictor(copy)


def test_keras_serves_the_same_answers(predictor: Predictor, films: list[Radiograph]) -> None:
    keras = Predictor(runtime="keras")
    for one, other in zip(predictor.predict(films), keras.predict(films), strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-4)
        assert other.receipt["runtime"].startswith("keras ")
        assert other.receipt["weights_sha256"] == load_card(SHIPPED).files["model.keras"]


def test_other_preprocessing_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ml.serving.predictor.check", lambda _: replace(load_card(SHIPPED), preprocessing="another")
    )
    with pytest.raises(ArtifactError, match="preprocessing another"):
        Predictor(SHIPPED)


def test_films_are_resized_by_the_rule_of_the_card(
    films: list[Radiograph], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for rule in PREPROCESSINGS:
        monkeypatch.setattr(
            "ml.serving.predictor.check", lambda _, rule=rule: replace(load_card(SHIPPED), preprocessing=rule)
        )
        found.append(Predictor(SHIPPED).predict(films)[0])
        assert found[-1].receipt["preprocessing"] == rule
    assert found[0].probability != found[1].probability


def test_litert_needs_neither_tensorflow_nor_keras() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom ml.images.reader import read_radiograph\n"
        "from ml.serving.predictor import Predictor\n"
        f"answer = Predictor().predict([read_radiograph(Path({str(PATHS[0])!r}))])[0]\n"
        "assert answer.status == 'accepted'\n"
        "sys.exit(', '.join({'tensorflow', 'keras', 'django', 'sklearn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_answers_every_file_in_order(tmp_path: Path) -> None:
    text, noise = tmp_path / "a 'note' 🙂.png", tmp_path / "noise.png"
    text.write_text("no film")
    noise.write_bytes(png(np.random.default_rng(1).integers(0, 256, (300, 300), dtype=np.uint8)))
    files = [PATHS[0], text, tmp_path / "missing.png", noise, tmp_path, PATHS[-1]]
    done = run("--json", *files)
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["file"] for row in rows] == [str(path) for path in files]
    assert [row["status"] for row in rows] == ["accepted", "error", "error", "rejected", "error", "accepted"]
    assert all(list(row) == KEYS for row in rows)
    assert "a text file" in rows[1]["reasons"][0]
    assert rows[2]["reasons"] == ["There is no such file."]
    assert rows[3]["reasons"]
    assert rows[0]["model"] == load_card(SHIPPED).name
    for row in rows:
        if row["status"] == "accepted":
            assert row["label"] == ("PNEUMONIA" if row["probability"] >= row["threshold"] else "NORMAL")
        else:
            assert (row["label"], row["probability"]) == (None, None)


def test_the_command_is_content_with_good_files() -> None:
    done = run(PATHS[0])
    assert done.returncode == 0
    assert PATHS[0].name in done.stdout
    assert "probability" in done.stdout


def test_the_command_without_a_model(tmp_path: Path) -> None:
    done = run(PATHS[0], "--model", tmp_path, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no model folder" in done.stderr


def test_the_command_explains_itself() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "--model" in done.stdout
    assert run().returncode == 2


def test_grey_of_other_sizes_is_judged_not_crashed(predictor: Predictor) -> None:
    answers = predictor.predict(
        [film(grey(height, width)) for height, width in ((96, 96), (150, 900), (3000, 130))]
    )
    assert [answer.status for answer in answers] == ["rejected"] * 3
    assert all(answer.reasons for answer in answers)


def test_two_ranges_of_age_leave_a_gap_that_warns() -> None:
    card = load_card(SHIPPED)
    card.population = {**card.population, "age_years": [[1, 5], [18, 85]], "refuse_from_years": None}
    for age in (1.0, 5.9):
        assert population_findings(card, age) == ([], [])
    for age in (18.0, 85.5):
        refused, (warning,) = population_findings(card, age)
        assert refused == []
        assert warning.startswith("At this age the model is less sure.")
    for age, told in (
        (0.5, "under 1 year old"),
        (6.0, "6 years old"),
        (17.9, "17 years old"),
        (90.0, "90 years old"),
    ):
        refused, (warning,) = population_findings(card, age)
        assert refused == []
        assert told in warning
        assert "1 to 5 and of 18 to 85 years" in warning
    assert "not known" in population_findings(card, None)[1][0]


def test_the_version_for_children_and_adults(films: list[Radiograph]) -> None:
    predictor = Predictor(SHIPPED)
    answers = predictor.predict(films)
    right = [
        answer.label == path.stem.split("-")[1].upper() for answer, path in zip(answers, PATHS, strict=True)
    ]
    assert sum(right) >= 0.75 * len(right)
    assert all(answer.heatmap is not None and answer.heatmap.shape == (160, 160) for answer in answers)
    child, older, adult = predictor.predict(films[:1] * 3, [3.0, 9.0, 60.0])
    assert child.warnings == []
    assert "less sure" in adult.warnings[0]
    assert "9 years old" in older.warnings[0]
    assert adult.status == "accepted"
    assert "ImageNet" in predictor.card.initialisation["weights"]
