"""Spearman's rank correlation: its probability by chance, counted over all orders of a few rows."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pytest
from scipy.stats import spearmanr

from mitlgan.report.formatting import probability
from mitlgan.report.rank_correlation import correlate_ranks


@pytest.mark.parametrize("rows", range(2, 10))
def test_the_same_order_and_its_reverse_are_as_rare_as_counted(rows: int) -> None:
    order = list(range(rows))
    same, reverse = correlate_ranks(order, order), correlate_ranks(order, order[::-1])
    assert same == (1, 2 / factorial(rows), rows)
    assert reverse == (-1, 2 / factorial(rows), rows)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("levels", [3, 100])
def test_all_orders_are_tried_with_equal_values_too(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(0, levels, 6) for _ in range(2))
    result = correlate_ranks(first.tolist(), second.tolist())
    expected = spearmanr(first, second).statistic
    by_chance = [abs(spearmanr(first, order).statistic) >= abs(expected) - 1e-9 for order in permutations(second.tolist())]
    assert result is not None
    assert result.spearman == pytest.approx(expected)
    assert result.p_value == pytest.approx(np.mean(by_chance))


def test_many_rows_agree_with_the_approximation_and_never_give_zero() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal(20).tolist(), rng.standard_normal(20).tolist()
    result = correlate_ranks(first, second)
    assert result is not None
    assert result == correlate_ranks(first, second)
    assert result.p_value == pytest.approx(spearmanr(first, second).pvalue, abs=0.01)
    assert correlate_ranks(range(30), range(30)) == (1, 1 / 100_001, 30)


def test_equal_values_have_no_order() -> None:
    assert correlate_ranks([1, 1, 1, 1], [1, 2, 3, 4]) is None


@pytest.mark.parametrize(("p_value", "text"), [(1.0, "p = 1.00"), (2 / 24, "p = 0.08"), (0.00999, "p < 0.01"), (1e-9, "p < 0.01")])
def test_no_probability_is_printed_as_zero(p_value: float, text: str) -> None:
    assert probability(p_value) == text
