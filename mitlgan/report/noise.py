"""What a difference of two arms has to pass to be more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ASSUMED_NOISE = 0.05
"""Relative difference in distance below which one seed per arm decides nothing: repeats of one demo recipe moved by about 4 %."""


def noise_margin(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Difference of two means below which 95 of 100 repetitions of equal arms would fall (Welch 1947); None with one seed everywhere.

    Args:
        first: Distances of one arm's seeds.
        second: Those of another; an arm that nothing is trained for has one.
    """
    shares = [(float(np.var(values, ddof=1)) / len(values), len(values) - 1) for values in (first, second) if len(values) > 1]
    if not shares:
        return None
    total = sum(share for share, _ in shares)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(share**2 / degrees for share, degrees in shares)
    from scipy.special import stdtrit

    quantile = float(stdtrit(math.floor(max(1.0, freedom)), 0.975))  # degrees of freedom are rounded down, to the careful side
    return quantile * math.sqrt(total)
