"""Poisson blending: the gradients of the fill with the colors of the surroundings, so that no seam shows (Perez et al. 2003, eq. 3 and 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitlgan.inpainting.multigrid import Values, solve_laplace


def poisson_blend(picture: NDArray[np.uint8], fill: Values, hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill a hole without a visible seam.

    Inside the hole the result has the fill's gradients, and at its rim the picture's colors: it is the fill plus the smoothest correction that equals
    the difference of picture and fill at the rim. At the picture's own border there is no boundary condition.

    Args:
        picture: (H, W, C), 0 to 255.
        fill: (H, W, C), 0 to 255, defined at least one pixel beyond the hole.
        hole: (H, W), True where to fill; not everywhere.

    Returns:
        (H, W, C), equal to `picture` outside the hole.
    """
    filled = picture.copy()
    corrected = fill + fill_membrane(picture - fill, hole)
    filled[hole] = np.rint(corrected[hole]).clip(0, 255).astype(np.uint8)
    return filled


def fill_membrane(values: Values, hole: NDArray[np.bool_]) -> Values:
    """Continue values smoothly into a hole: Laplace's equation, one channel after another, which bounds the memory.

    Args:
        values: (H, W, C); only those next to the hole are used.
        hole: (H, W); each of its parts must have a neighbor outside.

    Returns:
        (H, W, C), 0 outside the hole.

    Raises:
        ValueError: The hole covers everything, so that the result is undetermined.
    """
    if hole.all():
        raise ValueError("the hole covers everything, so nothing decides the fill")
    solution = np.zeros(values.shape, dtype=np.float64)
    if not hole.any():
        return solution
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    window = (slice(max(0, rows[0] - 1), rows[-1] + 2), slice(max(0, columns[0] - 1), columns[-1] + 2))
    inside = hole[window]
    for channel in range(values.shape[2]):
        surroundings = np.where(inside, 0.0, values[window][..., channel])
        solution[window][..., channel] = solve_laplace(np.where(inside, _neighbor_sum(surroundings), 0.0), inside)
    return solution


def _neighbor_sum(values: Values) -> Values:
    """Return the sum of the four neighbors (H, W); those beyond the border count as 0."""
    wide = np.pad(values, 1)
    total: Values = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    return total
