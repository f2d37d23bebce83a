"""Temperature and threshold judged on patients who did not choose them."""

import numpy as np
import pytest

from ml.evaluation import cross_fitting
from ml.evaluation.cross_fitting import Part
from ml.metrics import classification


def part(seed: int, warmth: float = 1.0, size: int = 400, seconds: int = 0) -> Part:
    """Logits that are calibrated once divided by `warmth`; half of the films are ill."""
    generator = np.random.default_rng(seed)
    true = generator.normal(0, 2.5, size)
    targets = (generator.random(size) < classification.sigmoid(true)).astype(np.int64)
    theirs = generator.normal(0, 2.5, seconds)
    return Part(
        targets,
        true * warmth,
        {"as they are": true * warmth, "blurred": true * warmth},
        targets,
        (generator.random(seconds) < classification.sigmoid(theirs)).astype(np.int64),
        theirs * 4 * warmth,
    )


def test_one_temperature_is_that_of_all_parts() -> None:
    parts = [part(seed, warmth=3.0) for seed in range(3)]
    assert cross_fitting.temperature(parts, 0.0) == pytest.approx(3.0, rel=0.15)
    targets = np.concatenate([one.targets for one in parts])
    logits = np.concatenate([one.logits for one in parts])
    alone = classification.fit_temperature(targets, logits, classification.balanced(targets))
    assert cross_fitting.temperature(parts, 0.0) == pytest.approx(alone, rel=0.01)


def test_a_second_population_counts_with_its_share() -> None:
    """Its answers are four times too sure, so the temperature rises with its share."""
    parts = [part(seed, seconds=200) for seed in range(3)]
    found = [cross_fitting.temperature(parts, share) for share in (0.0, 0.3, 0.9)]
    assert found[0] < found[1] < found[2]
    assert found[0] == pytest.approx(1.0, rel=0.15)


def test_each_part_is_read_as_the_others_choose() -> None:
    """One part is five times too sure: the others' temperature does not help it, and theirs suffers from it."""
    alike = cross_fitting.judge([part(seed) for seed in range(4)], 0.0)
    odd = cross_fitting.judge([*(part(seed) for seed in range(3)), part(3, warmth=5.0)], 0.0)
    assert alike["parts"] == 4
    assert alike["temperatures"] == pytest.approx([1.0] * 4, rel=0.15)
    assert odd["temperatures"][3] == pytest.approx(1.0, rel=0.15)
    assert min(odd["temperatures"][:3]) > 1.2
    assert odd["ece"] > alike["ece"] + 0.01
    assert alike["second_ece"] is None


def test_a_threshold_reaches_about_the_wanted_sensitivity_on_others() -> None:
    found = cross_fitting.judge([part(seed, size=2000) for seed in range(4)], 0.0)
    assert found["sensitivity"] == pytest.approx(found["wanted"], abs=0.02)
    assert 0 < found["specificity"] < 1
    assert all(0 < threshold < 0.5 for threshold in found["thresholds"])


def test_what_it_found_is_told() -> None:
    found = cross_fitting.judge([part(seed, seconds=50) for seed in range(3)], 0.2)
    told = cross_fitting.in_words(found, "films of adults")
    assert "the other 2 parts choose" in told
    assert f"of films of adults {found['second_ece']:.3f}" in told
    assert "films of adults" not in cross_fitting.in_words(found | {"second_ece": None}, "films of adults")
