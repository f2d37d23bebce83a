"""Cohen's kappa against values worked out by hand and from the literature."""

import math

import pytest

from diagnosis.reading.kappa import cohen_kappa


def pairs(**counts: int) -> list[tuple[str, str]]:
    return [(name[0], name[1]) for name, number in counts.items() for _ in range(number)]


def test_a_table_worked_out_by_hand() -> None:
    # 20 + 15 of 50 alike: observed 0.7, by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5, so (0.7 - 0.5) / 0.5.
    kappa = cohen_kappa(pairs(nn=20, np=5, pn=10, pp=15))
    assert (kappa.n, kappa.agree) == (50, 35)
    assert kappa.value == pytest.approx(0.4)
    # The terms of the standard error are 0.10972 + 0.10188 - 0.01, over 50 films and the square of 1 - 0.5.
    assert kappa.low is not None
    assert kappa.high is not None
    assert (kappa.high - kappa.low) / 2 == pytest.approx(1.959964 * math.sqrt(0.2016 / 50 / 0.25))


def test_order_of_the_readers_does_not_matter() -> None:
    one = cohen_kappa(pairs(nn=20, np=5, pn=10, pp=15, up=2))
    other = cohen_kappa((b, a) for a, b in pairs(nn=20, np=5, pn=10, pp=15, up=2))
    assert one.value == pytest.approx(other.value)
    assert one.low == pytest.approx(other.low)


@pytest.mark.parametrize("counts", [{}, {"nn": 9}])
def test_without_variation_nothing_is_said(counts: dict[str, int]) -> None:
    assert cohen_kappa(pairs(**counts)).value is None


def test_full_agreement_has_no_interval_by_this_formula() -> None:
    kappa = cohen_kappa(pairs(nn=5, pp=5))
    assert (kappa.value, kappa.low) == (1, None)


def test_worse_than_chance_is_below_zero() -> None:
    kappa = cohen_kappa(pairs(np=5, pn=5))
    assert kappa.value == -1
