"""How large a difference of two arms must be to be more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ASSUMED_NOISE = 0.05
"""Relative difference in distance below which one seed per arm decides nothing: repeats of one demo recipe differed by about 4 %."""


def noise_margin(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the difference of two means that 95 of 100 repetitions of equal arms stay below (Welch 1947); None if each has one seed.

    Args:
        first: Distances of one arm's seeds.
        second: Distances of the other arm's seeds; an arm without training has one.
    """
    terms = [(float(np.var(values, ddof=1)) / len(values), len(values) - 1) for values in (first, second) if len(values) > 1]
    if not terms:
        return None
    total = sum(term for term, _ in terms)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(term**2 / degrees for term, degrees in terms)
    from scipy.special import stdtrit

    quantile = float(stdtrit(math.floor(max(1.0, freedom)), 0.975))  # degrees of freedom are rounded down, to be careful
    return quantile * math.sqrt(total)
