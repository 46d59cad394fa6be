"""Chooses some of many items at even distances, so that a sorted set is sampled from its beginning to its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
_GOLDEN_SHARE = (5**0.5 - 1) / 2  # its multiples, without their whole part, cover 0 to 1 evenly


def evenly_spaced(items: Sequence[Item], count: int) -> list[Item]:
    """Return at most `count` of the items, at even distances, in their order; the first and the last are among them."""
    if len(items) <= count:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, count).round().astype(int)]


def one_of_each(groups: Sequence[Sequence[Item]], start: int = 0) -> list[Item]:
    """Return one item of each group that has any, at positions that vary from group to group and cover all of them evenly.

    Args:
        groups: Of any lengths.
        start: Number of the first group, which its position depends on.
    """
    numbered = [(number, group) for number, group in enumerate(groups, start) if group]
    return [group[int(number * _GOLDEN_SHARE % 1.0 * len(group))] for number, group in numbered]
