"""Whether some pixels or areas of two pictures show the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_EQUAL_LEVELS = 12.0
"""Mean difference of the levels (0 to 255) up to which two files show the same, as a photograph and its JPEG, or its cut-out, do."""
_LUMA = (0.299, 0.587, 0.114)


def are_equal(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]] | None = None) -> bool:
    """Whether levels differ by no more than a file that is not exact changes them.

    Args:
        one: (N,) brightness or (N, 3) colours, 0 to 255, of the pixels or areas of one picture.
        other: The same of the other picture.
        weights: (N,) how much each counts, not all 0; None if all count the same.
    """
    differences = np.abs(one - other).reshape(len(one), -1).mean(axis=1)
    return float(np.average(differences, weights=weights)) <= MAX_EQUAL_LEVELS


def correlation(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]] | None = None) -> float:
    """Return how far the brightness of one picture rises and falls with that of another, -1 to 1; 0 if one of them is even.

    Args: See `are_equal`.
    """
    levels = np.stack([pixels @ np.array(_LUMA) if pixels.ndim == 2 else pixels for pixels in (one, other)]).astype(np.float64)  # (2, N)
    off = levels - np.average(levels, axis=1, weights=weights)[:, None]
    (first, both), (_, second) = np.cov(off, aweights=weights, ddof=0)
    spread = float(np.sqrt(first * second))
    return float(both) / spread if min(first, second) > 1e-6 else 0.0
