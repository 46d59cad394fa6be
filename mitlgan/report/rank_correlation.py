"""Spearman's rank correlation of two orders of a few rows, and how often chance alone gives one like it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_EXACT_ROWS = 9
"""Rows up to which all orders are tried: 362,880 of nine."""
RANDOM_ORDERS = 100_000
"""Orders that are tried for more rows; always the same ones."""


class RankCorrelation(NamedTuple):
    """How alike two orders of rows are.

    Args:
        spearman: Spearman's rank correlation: 1 for the same order, -1 for the reverse.
        p_value: Share of all orders of the rows that give one as far from 0; above `MAX_EXACT_ROWS` rows, of `RANDOM_ORDERS`, with the own order.
        rows: Number of rows.
    """

    spearman: float
    p_value: float
    rows: int


def correlate_ranks(first: Sequence[float], second: Sequence[float]) -> RankCorrelation | None:
    """Return Spearman's rank correlation of two equally long columns; None if all values of one are equal. Equal values share their mean rank."""
    ranks, others = _centered_ranks(first), _centered_ranks(second)
    scale = float(np.sqrt(np.square(ranks).sum() * np.square(others).sum()))
    if scale == 0:
        return None
    products = np.abs(_orders(others) @ ranks)  # whole numbers: equal ones are equal to the bit
    as_far = int((products >= abs(int(ranks @ others))).sum())
    p_value = as_far / len(products) if len(ranks) <= MAX_EXACT_ROWS else (as_far + 1) / (len(products) + 1)
    return RankCorrelation(int(ranks @ others) / scale, p_value, len(ranks))


def _centered_ranks(values: Sequence[float]) -> NDArray[np.int64]:
    """Return twice the distance of each value's rank to the middle rank: a whole number, with ties too."""
    from scipy.stats import rankdata

    doubled: NDArray[Any] = np.rint(2 * rankdata(values)).astype(np.int64)
    return doubled - (len(values) + 1)


def _orders(ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all orders of a few ranks, or random ones of many, (orders, rows)."""
    if len(ranks) <= MAX_EXACT_ROWS:
        return np.array(list(permutations(ranks.tolist())), np.int64)
    return np.random.default_rng(0).permuted(np.tile(ranks, (RANDOM_ORDERS, 1)), axis=1)
