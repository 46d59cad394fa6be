"""The margin of noise keeps its promise: equal arms differ by more in at most 5 of 100 comparisons, however many seeds either has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mitlgan.report.noise import noise_margin

PAIRS = 3000


def called_different(first: int, second: int, *, spreads: tuple[float, float] = (4.0, 4.0), second_trains: bool = True) -> float:
    """The share of pairs of equal means whose difference is beyond their margin, for so many seeds of each."""
    rng = np.random.default_rng(7)
    count = 0
    for _ in range(PAIRS):
        ours, theirs = (100 + spread * rng.standard_normal(seeds) for spread, seeds in zip(spreads, (first, second), strict=True))
        margin = noise_margin(ours, theirs, second_trains=second_trains)
        assert margin is not None
        count += abs(ours.mean() - theirs.mean()) > margin
    return count / PAIRS


@pytest.mark.parametrize("seeds", [(2, 1), (3, 1), (5, 1), (10, 1), (1, 2), (1, 4), (2, 2), (3, 3), (2, 3), (2, 5), (2, 10), (10, 2), (3, 10)])
def test_equal_arms_are_called_different_in_at_most_5_of_100_comparisons(seeds: tuple[int, int]) -> None:
    """One training against several counts with its own noise: taken as exact, 10 against 1 were called different in half of the comparisons."""
    share = called_different(*seeds)
    assert share < 0.06  # 5 %, and two and a half standard errors of so many pairs
    assert share > 0.03 or 1 not in seeds  # where one training stands against several it is exact, not only careful


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_an_arm_that_trains_nothing_is_exact(seeds: int) -> None:
    assert 0.03 < called_different(seeds, 1, spreads=(4.0, 0.0), second_trains=False) < 0.06


@pytest.mark.parametrize(("first", "second"), [([5.0, 7.0, 6.5], [9.0, 8.0, 9.5]), ([1.0, 1.1, 0.9], [4.0, 9.0, 6.0])])
def test_as_many_seeds_on_both_sides_give_welchs_interval(first: list[float], second: list[float]) -> None:
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    exact = (interval.high - interval.low) / 2
    found = noise_margin(first, second, second_trains=True)
    assert found is not None
    assert exact * 0.999 <= found <= exact * 1.4  # degrees of freedom are rounded down, to the careful side


@pytest.mark.parametrize("equal_var", [True, False])
def test_other_numbers_of_seeds_give_neither_less_than_welch_nor_than_student(equal_var: bool) -> None:
    rng = np.random.default_rng(1)
    for first, second in ((2, 6), (5, 3), (3, 8)):
        ours, theirs = rng.normal(size=first), 3 * rng.normal(size=second)
        interval = stats.ttest_ind(ours, theirs, equal_var=equal_var).confidence_interval(0.95)
        found = noise_margin(ours, theirs, second_trains=True)
        assert found is not None
        assert found >= (interval.high - interval.low) / 2 * 0.999


def test_one_training_varies_as_the_seeds_of_the_other_arm() -> None:
    several = [98.0, 100.0, 102.0]
    expected = 4.303 * 2 * np.sqrt(1 / 3 + 1)
    assert noise_margin(several, [106.0], second_trains=True) == pytest.approx(expected, rel=1e-3)
    assert noise_margin([106.0], several, second_trains=True) == pytest.approx(expected, rel=1e-3)
    assert noise_margin(several, [106.0], second_trains=False) == pytest.approx(4.303 * 2 * np.sqrt(1 / 3), rel=1e-3)


@pytest.mark.parametrize("second_trains", [True, False])
def test_noise_needs_seeds(second_trains: bool) -> None:
    assert noise_margin([5.0], [6.0], second_trains=second_trains) is None
    assert noise_margin([5.0, 5.0], [6.0], second_trains=second_trains) == 0.0
    assert noise_margin([5.0, 5.0], [6.0, 6.0, 6.0], second_trains=second_trains) == 0.0
