"""Laplace's equation in a hole of any form, in time linear in its pixels: conjugate gradients, preconditioned by a multigrid V-cycle.

Plain conjugate gradients (Hestenes & Stiefel 1952) need as many steps as the hole is wide, so that the time grows with the third power of its
side. With corrections from ever coarser grids (Tatebe 1993, "The multigrid preconditioned conjugate gradient method") about 20 steps are enough.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Grid = NDArray[np.float32]
TOLERANCE = 1e-6
"""Largest residual of the equations, in levels of color: far below the rounding to whole levels."""
DAMPING, SWEEPS, COARSEST_SWEEPS = 0.8, 2, 8
"""Of Jacobi's iteration on each grid, before and after the correction from the next coarser one."""
COARSE_STIFFNESS = 0.5
"""Links of blocks of 2 x 2 pixels, summed, bind twice as much as those of pixels of the same distance."""


class Level(NamedTuple):
    """Equations on one grid: diagonal * c - (linked neighbors) = right side.

    Attributes:
        diagonal: (H, W); 0 outside the hole.
        across: Links to the right neighbor (H, W - 1).
        down: Links to the lower neighbor (H - 1, W).
    """

    diagonal: Grid
    across: Grid
    down: Grid

    @classmethod
    def of_hole(cls, hole: NDArray[np.bool_]) -> Self:
        """Return the equations of a hole (H, W): each pixel has as many neighbors as lie in the picture, and is linked to those in the hole."""
        height, width = hole.shape
        degree = 4 - (np.arange(height) == 0)[:, None] - (np.arange(height) == height - 1)[:, None]
        degree = degree - (np.arange(width) == 0) - (np.arange(width) == width - 1)
        links = hole[:, 1:] & hole[:, :-1], hole[1:] & hole[:-1]
        return cls(np.where(hole, degree, 0).astype(np.float32), *(link.astype(np.float32) for link in links))

    def coarser(self) -> Level:
        """Return the equations of blocks of 2 x 2 pixels."""
        diagonal, across, down = (np.pad(part, [(0, size % 2) for size in part.shape]) for part in self._at_full_size())
        inner = across[:, ::2], down[::2]  # links within blocks
        total = _block_sums(diagonal) - 2 * (inner[0][::2] + inner[0][1::2] + inner[1][:, ::2] + inner[1][:, 1::2])
        outer = across[:, 1::2], down[1::2]
        right, lower = outer[0][::2] + outer[0][1::2], outer[1][:, ::2] + outer[1][:, 1::2]
        return Level(*(np.ascontiguousarray(COARSE_STIFFNESS * part) for part in (total, right[:, :-1], lower[:-1])))

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the left side of the equations, (H, W)."""
        result = self.diagonal * values
        result[:, 1:] -= self.across * values[:, :-1]
        result[:, :-1] -= self.across * values[:, 1:]
        result[1:] -= self.down * values[:-1]
        result[:-1] -= self.down * values[1:]
        return result

    def _at_full_size(self) -> tuple[Grid, Grid, Grid]:
        return self.diagonal, np.pad(self.across, ((0, 0), (0, 1))), np.pad(self.down, ((0, 1), (0, 0)))


def solve_laplace(right_side: Values, hole: NDArray[np.bool_]) -> Values:
    """Solve, at each pixel of the hole, (number of neighbors) * c - (sum of neighbors in the hole) = right side.

    Args:
        right_side: (H, W), 0 outside the hole.
        hole: (H, W); each of its parts must have a neighbor outside.

    Returns:
        (H, W), 0 outside the hole; the equations hold within `TOLERANCE`.
    """
    levels = [Level.of_hole(hole)]
    while max(levels[-1].diagonal.shape) > 1:
        levels.append(levels[-1].coarser())
    inverses = [np.divide(DAMPING, level.diagonal, out=np.zeros_like(level.diagonal), where=level.diagonal > 0) for level in levels]
    solution, residual = np.zeros_like(right_side), right_side.copy()
    direction, power = np.zeros_like(right_side), 1.0
    for _ in range(int(hole.sum()) + 1):
        largest = float(np.abs(residual).max())
        if largest <= TOLERANCE:
            break
        corrected = largest * _cycle(levels, inverses, (residual / largest).astype(np.float32)).astype(np.float64)
        before, power = power, float((residual * corrected).sum())
        direction *= power / before
        direction += corrected
        applied = levels[0].apply(direction)
        step = power / float((direction * applied).sum())
        solution += step * direction
        residual -= step * applied
    return solution


def _cycle(levels: list[Level], inverses: list[Grid], right_side: Grid) -> Grid:
    """Return an approximate solution by a V-cycle, which is symmetric and positive, as conjugate gradients need."""
    level, inverse = levels[0], inverses[0]
    solution = inverse * right_side
    for _ in range((SWEEPS if len(levels) > 1 else COARSEST_SWEEPS) - 1):
        solution += inverse * (right_side - level.apply(solution))
    if len(levels) == 1:
        return solution
    remaining = _reduced((right_side - level.apply(solution)) * (inverse > 0))
    enlarged = _enlarged(_cycle(levels[1:], inverses[1:], remaining), right_side.shape)
    solution += enlarged * (inverse > 0)
    for _ in range(SWEEPS):
        solution += inverse * (right_side - level.apply(solution))
    return solution


def _block_sums(values: Grid) -> Grid:
    total: Grid = values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]
    return total


def _enlarged(values: Grid, shape: tuple[int, ...]) -> Grid:
    """Interpolate bilinearly to twice the size, and cut to a shape."""
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        wide = np.concatenate([values[:1], values, values[-1:]])
        larger = np.empty((2 * len(values), values.shape[1]), dtype=values.dtype)
        larger[::2] = 0.75 * values + 0.25 * wide[:-2]
        larger[1::2] = 0.75 * values + 0.25 * wide[2:]
        values = np.moveaxis(larger, 0, axis)
    return values[: shape[0], : shape[1]]


def _reduced(values: Grid) -> Grid:
    """Reduce to half the size: the transpose of `_enlarged`."""
    values = np.pad(values, [(0, size % 2) for size in values.shape])
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        smaller = 0.75 * (values[::2] + values[1::2])
        smaller[:-1] += 0.25 * values[2::2]
        smaller[0] += 0.25 * values[0]
        smaller[1:] += 0.25 * values[1:-1:2]
        smaller[-1] += 0.25 * values[-1]
        values = np.moveaxis(smaller, 0, axis)
    return values
