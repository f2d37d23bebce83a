"""Figures against scikit-learn's, against hand-made cases, and intervals that know patients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from ml.metrics import classification

RANDOM = np.random.default_rng(4)
TARGETS = RANDOM.integers(0, 2, 300)
SCORES = np.clip(0.5 * TARGETS + RANDOM.normal(0.25, 0.25, 300), 0, 1).round(2)
PATIENTS = [f"p{i // 3}" for i in range(300)]


def test_figures_are_those_of_scikit_learn() -> None:
    found = classification.measure(TARGETS, SCORES, 0.5, PATIENTS)
    assert found.auc == pytest.approx(roc_auc_score(TARGETS, SCORES))
    assert found.brier == pytest.approx(brier_score_loss(TARGETS, SCORES))
    answered = SCORES >= 0.5
    assert found.accuracy == pytest.approx(np.mean(answered == TARGETS))
    assert found.sensitivity == pytest.approx(answered[TARGETS == 1].mean())
    assert found.specificity == pytest.approx(1 - answered[TARGETS == 0].mean())
    assert np.sum(found.confusion) == found.n == 300
    assert found.confusion[1] == [
        int((~answered & (TARGETS == 1)).sum()),
        int((answered & (TARGETS == 1)).sum()),
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=4, max_size=40))
def test_auc_counts_ties_half(rows: list[tuple[int, int]]) -> None:
    truth = [0, 1, *(row[0] for row in rows)]
    scores = [3, 3, *(row[1] for row in rows)]
    assert classification.auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))


def test_films_may_weigh() -> None:
    weights = np.random.default_rng(5).uniform(0.1, 20, len(TARGETS))
    expected = roc_auc_score(TARGETS, SCORES, sample_weight=weights)
    assert classification.auc(TARGETS, SCORES, weights) == pytest.approx(expected)
    assert expected != pytest.approx(classification.auc(TARGETS, SCORES), abs=1e-3)


def test_a_probability_at_the_threshold_is_pneumonia() -> None:
    found = classification.measure([0, 1, 0, 1], [0.1, 0.5, 0.2, 0.9], 0.5, ["a", "b", "c", "d"])
    assert found.confusion == [[2, 0], [0, 2]]


def test_intervals_hold_the_figure_and_are_the_same_again() -> None:
    found = classification.measure(TARGETS, SCORES, 0.5, PATIENTS)
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        low, high = getattr(found, f"{name}_ci")
        assert low < getattr(found, name) < high
    assert classification.measure(TARGETS, SCORES, 0.5, PATIENTS) == found


def test_films_of_one_patient_widen_the_interval() -> None:
    truth, scores = np.repeat(TARGETS[:40], 10), np.repeat(SCORES[:40], 10)
    alone = classification.measure(truth, scores, 0.5, [str(i) for i in range(400)]).auc_ci
    together = classification.measure(truth, scores, 0.5, [str(i // 10) for i in range(400)]).auc_ci
    assert together[1] - together[0] > 1.8 * (alone[1] - alone[0])


def test_a_perfect_rate_still_has_an_interval() -> None:
    found = classification.measure(
        [0] * 20 + [1] * 20, [0.1] * 20 + [0.9] * 20, 0.5, [str(i) for i in range(40)]
    )
    assert found.sensitivity == 1.0
    assert found.sensitivity_ci == classification.wilson(20, 20)
    assert found.sensitivity_ci[0] == pytest.approx(0.8389, abs=1e-3)


def test_two_normal_films_prove_no_perfect_area() -> None:
    """Every resample of patients that are told apart gives an area of 1; what two of them can prove is less."""
    truth, scores = [0, 0] + [1] * 30, [0.1, 0.2] + [0.9] * 30
    found = classification.measure(truth, scores, 0.5, [str(i) for i in range(32)])
    assert found.auc == 1.0
    assert found.auc_ci == classification.newcombe(1.0, 30, 2)
    assert found.auc_ci[0] < 0.6
    assert found.auc_ci[1] == 1.0


def test_films_of_one_patient_are_one_case_where_there_are_few() -> None:
    truth, scores = [0] * 20 + [1] * 20, list(np.linspace(0, 0.6, 20)) + list(np.linspace(0.4, 1, 20))
    many = classification.measure(truth, scores, 0.5, [str(i) for i in range(40)])
    few = classification.measure(truth, scores, 0.5, [str(i // 5) for i in range(40)])
    assert few.auc_ci == classification.newcombe(few.auc, 4, 4)
    assert many.auc_ci != classification.newcombe(many.auc, 20, 20)
    assert few.auc_ci[1] - few.auc_ci[0] > many.auc_ci[1] - many.auc_ci[0]


@pytest.mark.parametrize(("area", "ill", "well"), [(0.5, 12, 9), (0.8, 40, 7), (0.97, 5, 300), (0.02, 6, 6)])
def test_newcombe_s_limits_are_1_96_standard_errors_away(area: float, ill: int, well: int) -> None:
    low, high = classification.newcombe(area, ill, well)
    assert 0 < low < area < high < 1
    for limit in (low, high):
        alike = (ill + well) / 2 - 1
        spread = 1 + alike * ((1 - limit) / (2 - limit) + limit / (1 + limit))
        assert abs(limit - area) == pytest.approx(
            classification.Z * np.sqrt(limit * (1 - limit) * spread / (ill * well)), abs=5e-4
        )
    assert classification.newcombe(1 - area, ill, well) == pytest.approx((1 - high, 1 - low), abs=1e-3)


def test_an_area_between_the_limits_that_are_tried_has_an_interval() -> None:
    low, high = classification.newcombe(1 - 1e-6, 100_000, 100_000)
    assert low <= 1 - 1e-6 <= high


def test_newcombe_covers_what_it_claims() -> None:
    """Of normal scores of six and twelve cases the interval holds the true area about as often as it says."""
    generator = np.random.default_rng(8)
    true = 0.9214  # Φ(2 / √2)
    held = 0
    for _ in range(600):
        scores = np.concatenate([generator.normal(0, 1, 6), generator.normal(2, 1, 12)])
        low, high = classification.newcombe(classification.auc([0] * 6 + [1] * 12, scores), 12, 6)
        held += low <= true <= high
    assert 0.92 <= held / 600 <= 0.99


def test_roc_runs_from_corner_to_corner() -> None:
    points = classification.roc(TARGETS, SCORES, 50)
    assert points[0] == [0.0, 0.0]
    assert points[-1] == [1.0, 1.0]
    assert len(points) <= 50
    assert points == sorted(points)
    false, true = np.array(points).T
    assert np.trapezoid(true, false) == pytest.approx(roc_auc_score(TARGETS, SCORES), abs=0.01)


def test_calibration_error_of_a_known_case() -> None:
    probabilities = [0.9] * 10 + [0.1] * 10
    truth = [1] * 6 + [0] * 4 + [0] * 10
    assert classification.expected_calibration_error(truth, probabilities) == pytest.approx((0.3 + 0.1) / 2)
    rows = classification.reliability(truth, probabilities)
    assert [row["n"] for row in rows] == [10, 10]
    assert rows[1] == {"mean_probability": 0.9, "observed": 0.6, "n": 10}


def test_temperature_finds_what_was_done_to_the_logits() -> None:
    logits = RANDOM.normal(0, 2, 20_000)
    truth = RANDOM.random(20_000) < classification.sigmoid(logits)
    assert classification.fit_temperature(truth, 3 * logits, np.ones(20_000)) == pytest.approx(3, rel=0.05)


def test_sigmoid_of_huge_logits() -> None:
    np.testing.assert_allclose(classification.sigmoid([-1000.0, 0.0, 1000.0]), [0.0, 0.5, 1.0])


@pytest.mark.parametrize("truth", [[1, 1, 1], [0, 0, 0]])
def test_one_class_alone_cannot_be_measured(truth: list[int]) -> None:
    with pytest.raises(ValueError, match="Both normal and pneumonia"):
        classification.measure(truth, [0.1, 0.2, 0.3], 0.5, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5.0], (5, 5)), ([*range(100)], (2, 97)), ([1.0, *[30.0] * 60, 99.0], (30, 30)), ([4, 2, 3], (2, 4))],
)
def test_the_range_of_most_leaves_out_the_few_at_its_ends(
    values: list[float], expected: tuple[float, float]
) -> None:
    assert classification.range_of_most(values) == expected
    assert classification.range_of_most(values[::-1]) == expected
