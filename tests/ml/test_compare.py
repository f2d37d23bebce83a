"""The comparison: one protocol for all, kept as it goes, told as table and plots, and shown to staff."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from ml import compare
from ml.compare import Protocol
from ml.errors import ResumeError, TrainingError
from ml.networks import baselines
from ml.networks.fused_batchnorm import for_training
from tests.support.factories import make_user

PROTOCOL = Protocol(side=48, epochs=1, films=16, stress_films=4)


@pytest.fixture(scope="module")
def out(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "result"
    compare.compare(films, folder, ["sequential"], PROTOCOL)
    return folder


def test_the_result_is_whole(out: Path) -> None:
    found = json.loads((out / "comparison.json").read_text())
    (row,) = found["architectures"]
    assert found["protocol"]["films_seen"] == 32
    assert found["protocol"]["training_films"] == 16
    assert row["worst"]["sensitivity"]["sensitivity"] == min(line["sensitivity"] for line in row["stress"])
    assert len(row["stress"]) == 19
    assert row["milliseconds"] > 0
    assert "| Sequential (the original) | random weights |" in (out / "COMPARISON.md").read_text()
    for name in ("roc.png", "calibration.png", "accuracy-by-milliseconds.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("*.unfinished"))


def test_what_is_finished_is_kept_and_not_mixed_with_another_protocol(films: Path, out: Path) -> None:
    before = (out / "sequential.json").stat().st_mtime_ns
    compare.compare(films, out, ["sequential"], PROTOCOL)
    assert (out / "sequential.json").stat().st_mtime_ns == before
    with pytest.raises(ResumeError, match="other films or settings"):
        compare.compare(films, out, ["sequential"], Protocol(side=48, epochs=2, films=16, stress_films=4))


def test_wrong_wishes_are_told(films: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no architecture lenet"):
        compare.compare(films, tmp_path / "x", ["lenet"], PROTOCOL)
    with pytest.raises(TrainingError, match="--imagenet"):
        compare.compare(films, tmp_path / "x", ["lite0-imagenet"], PROTOCOL)
    assert compare.main([str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["vgg", "mobilenetv2", "efficientnetb0"])
def test_peers_take_films_of_one_channel_and_end_in_two_logits(name: str) -> None:
    model = baselines.build(name, 48)
    films = np.random.default_rng(2).standard_normal((2, 48, 48, 1)).astype(np.float32)
    assert model(films).shape == (2, 2)
    learner = for_training(model)
    np.testing.assert_allclose(learner(films), model(films), atol=1e-6)
    for one in (model, learner):
        momenta = {layer.momentum for layer in one.layers if hasattr(layer, "momentum")}
        assert momenta == {baselines.NORMALISATION_MOMENTUM}


@pytest.mark.django_db
def test_the_page_shows_the_site_s_own_comparison(client: Client, settings: Any, out: Path) -> None:
    settings.COMPARISON_DIR = out
    client.force_login(make_user("staff"))
    page = client.get(reverse("model_compare")).content.decode()
    assert "Sequential (the original)" in page
    assert "Each network was shown 32 films" in page


@pytest.mark.django_db
def test_without_a_comparison_the_page_says_how_to_make_one(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.COMPARISON_DIR = tmp_path
    client.force_login(make_user("staff"))
    assert "Nothing has been compared yet" in client.get(reverse("model_compare")).content.decode()
