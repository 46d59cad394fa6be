"""A fill without a seam: the gradients of what was drawn, the colours of what is known (Perez et al. 2003, equations 3 and 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
TOLERANCE = 1e-6
"""Largest residual of the equations, in levels of colour: far below what rounding to whole levels takes."""


def poisson_blend(picture: NDArray[np.uint8], drawn: Values, hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill a hole with what was drawn, so that no seam shows.

    Inside the hole the result has the drawing's gradients, and at its rim the picture's colours: the drawing, and on it the smoothest correction that
    at the rim is what picture and drawing differ by there. Where the hole ends at the picture's own border, nothing is given and nothing flows.

    Args:
        picture: (H, W, C), 0 to 255.
        drawn: (H, W, C), likewise, of the whole picture: around the hole, too, at least one pixel wide.
        hole: (H, W), True where it is to be filled; not everywhere.

    Returns:
        (H, W, C); outside of the hole exactly `picture`.
    """
    filled = picture.copy()
    corrected = drawn + fill_membrane(picture - drawn, hole)
    filled[hole] = np.rint(corrected[hole]).clip(0, 255).astype(np.uint8)
    return filled


def fill_membrane(values: Values, hole: NDArray[np.bool_]) -> Values:
    """The smoothest continuation of values into a hole: Laplace's equation, by conjugate gradients (Hestenes & Stiefel 1952).

    Args:
        values: (H, W, C); only those beside the hole are looked at.
        hole: (H, W); each of its parts must have something beside it.

    Returns:
        (H, W, C), 0 outside of the hole.

    Raises:
        ValueError: The hole is everywhere, so that nothing decides the result.
    """
    if hole.all():
        raise ValueError("the hole is everywhere: nothing is known to go on from")
    found = np.zeros(values.shape, dtype=np.float64)
    if not hole.any():
        return found
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    part = (slice(max(0, rows[0] - 1), rows[-1] + 2), slice(max(0, columns[0] - 1), columns[-1] + 2))
    found[part] = _solved(np.asarray(values[part], dtype=np.float64), hole[part][..., None])
    return found


def _solved(values: Values, hole: NDArray[np.bool_]) -> Values:
    """Solve, at each pixel of the hole, (number of neighbours) * c - (sum of the neighbours in the hole) = sum of the known neighbours."""
    degree = _neighbours(np.ones_like(values[..., :1]))
    found = np.zeros_like(values)
    residual = np.where(hole, _neighbours(np.where(hole, 0.0, values)), 0.0)  # (H, W, C), of each channel apart
    direction = residual.copy()
    power = (residual**2).sum((0, 1))
    for _ in range(int(hole.sum()) + 1):
        if np.abs(residual).max() <= TOLERANCE:
            break
        applied = np.where(hole, degree * direction - _neighbours(direction), 0.0)
        step = power / np.maximum((direction * applied).sum((0, 1)), np.finfo(np.float64).tiny)
        found += step * direction
        residual -= step * applied
        before, power = power, (residual**2).sum((0, 1))
        direction = residual + power / np.maximum(before, np.finfo(np.float64).tiny) * direction
    return found


def _neighbours(values: Values) -> Values:
    """Sum of the four neighbours, those beyond the border being 0."""
    wide = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    total: Values = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    return total
