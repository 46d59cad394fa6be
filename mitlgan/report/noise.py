"""How large a difference of two arms must be to be more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ASSUMED_NOISE = 0.05
"""Relative difference in distance below which one seed per arm decides nothing: repeats of one demo recipe differed by about 4 %."""


def noise_margin(first: Sequence[float], second: Sequence[float], *, second_trains: bool) -> float | None:
    """Return the difference of two means that 95 of 100 repetitions of equal arms stay below; None if each has one value.

    It is the larger of Student's and Welch's (1947): the first holds for arms that vary alike, even if one has a single training, which cannot show its
    own variance; the second for arms that vary differently.

    Args:
        first: Distances of one arm's seeds, each a training.
        second: Distances of the other arm's seeds.
        second_trains: Whether the other arm trains; the one value of an arm without training is exact.
    """
    counts = [max(1, len(values)) for values in (first, second)]
    variances = [float(np.var(values, ddof=1)) if len(values) > 1 else 0.0 for values in (first, second)]
    degrees = [count - 1 for count in counts]
    if not any(degrees):
        return None
    if not second_trains and counts[1] == 1:
        return _margin(variances[0] / counts[0], degrees[0])
    pooled = sum(variance * own for variance, own in zip(variances, degrees, strict=True)) / sum(degrees)
    student = _margin(pooled * sum(1 / count for count in counts), sum(degrees))
    if not all(degrees) or pooled == 0:
        return student
    terms = [variance / count for variance, count in zip(variances, counts, strict=True)]
    freedom = sum(terms) ** 2 / sum(term**2 / own for term, own in zip(terms, degrees, strict=True))
    return max(student, _margin(sum(terms), freedom))


def _margin(square: float, freedom: float) -> float:
    """Return half the width of the interval that holds 95 of 100 values, by their variance and its degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(math.floor(max(1.0, freedom)), 0.975)) * math.sqrt(square)  # degrees are rounded down, to be careful
