"""Chooses some of many items at even distances, so that a sorted set is sampled from its beginning to its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def evenly_spaced(items: Sequence[Item], count: int) -> list[Item]:
    """Return at most `count` of the items, at even distances, in their order; the first and the last are among them."""
    if len(items) <= count:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, count).round().astype(int)]
