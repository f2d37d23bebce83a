"""Two models on the same films, against values worked out by hand."""

import numpy as np
import pytest

from ml.metrics import paired, thresholds
from ml.metrics.classification import auc


def test_mcnemar_is_the_exact_test() -> None:
    # Five films gained, one lost: 2 * (C(6,0) + C(6,1)) / 2**6.
    mine = [True] * 5 + [False] + [True] * 4
    theirs = [False] * 5 + [True] + [True] * 4
    found = paired.mcnemar(mine, theirs)
    assert (found.only_candidate, found.only_other) == (5, 1)
    assert found.p == pytest.approx(14 / 64)
    assert paired.mcnemar(theirs, theirs).p == 1.0
    assert paired.mcnemar([True] * 10, [False] * 10).p == pytest.approx(2 / 2**10)


def test_differences_are_candidate_minus_the_other() -> None:
    targets = [1, 1, 1, 1, 0, 0, 0, 0]
    mine = [0.9, 0.8, 0.7, 0.3, 0.6, 0.2, 0.1, 0.1]
    theirs = [0.9, 0.4, 0.3, 0.2, 0.1, 0.1, 0.3, 0.2]
    found = paired.differences(targets, mine, theirs, (0.5, 0.5), [str(i) for i in range(8)])
    assert found["sensitivity"].value == pytest.approx(3 / 4 - 1 / 4)
    assert found["specificity"].value == pytest.approx(3 / 4 - 1)
    assert found["accuracy"].value == pytest.approx(6 / 8 - 5 / 8)
    assert found["auc"].value == pytest.approx(auc(targets, mine) - auc(targets, theirs))
    brier = [np.mean((np.array(p) - np.array(targets)) ** 2) for p in (mine, theirs)]
    assert found["brier"].value == pytest.approx(brier[0] - brier[1])
    for difference in found.values():
        assert difference.ci[0] <= difference.value <= difference.ci[1]
    assert found["sensitivity"].ci[0] < found["sensitivity"].ci[1]


def test_each_model_has_its_own_threshold() -> None:
    targets, scores = [1, 1, 0, 0], [0.6, 0.4, 0.3, 0.1]
    found = paired.differences(targets, scores, scores, (0.35, 0.5), list("abcd"))
    assert found["sensitivity"].value == pytest.approx(0.5)
    assert found["auc"].value == 0


def test_films_of_a_patient_are_drawn_together() -> None:
    targets = [1, 0] * 20
    mine, theirs = [0.9, 0.1] * 20, [0.9, 0.1] * 10 + [0.4, 0.1] * 10
    apart = paired.differences(targets, mine, theirs, (0.5, 0.5), [str(i) for i in range(40)])["sensitivity"]
    together = paired.differences(targets, mine, theirs, (0.5, 0.5), [str(i // 10) for i in range(40)])
    assert together["sensitivity"].value == apart.value == pytest.approx(0.5)
    assert together["sensitivity"].ci[1] - together["sensitivity"].ci[0] > apart.ci[1] - apart.ci[0]


def test_no_difference_among_few_patients_proves_little() -> None:
    targets = [1] * 20 + [0] * 20
    scores = [0.9] * 20 + [0.1] * 20
    found = paired.differences(targets, scores, scores, (0.5, 0.5), [str(i) for i in range(40)])
    # Clopper and Pearson's table: none of 20 leaves up to 16.84 %.
    assert found["sensitivity"].ci == pytest.approx((-0.1684, 0.1684), abs=1e-4)
    assert found["auc"].ci == found["sensitivity"].ci
    # None of 40 leaves up to 8.81 %.
    for figure in ("accuracy", "brier", "ece"):
        assert found[figure].ci == pytest.approx((-0.0881, 0.0881), abs=1e-4)


def test_an_area_is_as_doubtful_as_the_smaller_class() -> None:
    targets = [1] * 36 + [0] * 4
    scores = [0.9] * 36 + [0.1] * 4
    other = [0.8] * 36 + [0.3] * 4
    found = paired.differences(targets, scores, other, (0.5, 0.5), [str(i) for i in range(40)])
    # Clopper and Pearson's table: none of 4 leaves up to 60.24 %.
    assert found["auc"].ci == pytest.approx((-0.6024, 0.6024), abs=1e-4)
    assert found["brier"].ci[1] < 0


def test_a_class_that_is_missing_is_said() -> None:
    with pytest.raises(ValueError, match="Too few patients"):
        paired.differences([1, 1], [0.9, 0.8], [0.9, 0.7], (0.5, 0.5), ["a", "b"])


@pytest.mark.parametrize(
    ("wanted", "threshold"), [(1.0, 0.1), (0.9, 0.2), (0.85, 0.2), (0.5, 0.6), (0.01, 1 - 1e-6)]
)
def test_the_highest_threshold_that_reaches_a_sensitivity(wanted: float, threshold: float) -> None:
    probabilities = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 0.05, 0.95]
    targets = [1] * 10 + [0, 0]
    assert thresholds.threshold_for(targets, probabilities, wanted) == pytest.approx(threshold, abs=1e-9)


def test_no_sensitivity_without_an_ill_film() -> None:
    with pytest.raises(ValueError, match="No film"):
        thresholds.threshold_for([0], [0.4], 0.9)
    with pytest.raises(ValueError, match="above 0"):
        thresholds.threshold_for([1], [0.4], 0)
