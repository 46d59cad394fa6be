"""Blending against closed forms, and against a dense solution of the same equations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mitlgan.inpainting import fill_membrane, poisson_blend

Hole = NDArray[np.bool_]


def ragged(height: int, width: int) -> Hole:
    """A hole of several parts that also touches the border."""
    hole = np.random.default_rng(3).random((height, width)) < 0.5
    hole[2:7, 3:9] = True
    hole[:3, -4:] = True
    hole[-1, 0] = False
    return hole


def dense(values: NDArray[np.float64], hole: Hole) -> NDArray[np.float64]:
    """The same equations, one by one, for one channel."""
    places = [(int(row), int(column)) for row, column in np.argwhere(hole)]
    index = {place: number for number, place in enumerate(places)}
    matrix, right = np.zeros((len(places), len(places))), np.zeros(len(places))
    for (row, column), number in index.items():
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if not (0 <= near[0] < hole.shape[0] and 0 <= near[1] < hole.shape[1]):
                continue
            matrix[number, number] += 1
            if near in index:
                matrix[number, index[near]] -= 1
            else:
                right[number] += values[near]
    found = np.zeros(hole.shape)
    found[hole] = np.linalg.solve(matrix, right)
    return found


def test_the_membrane_solves_the_equations_one_by_one() -> None:
    values = np.random.default_rng(0).normal(size=(11, 13, 2)) * 50
    hole = ragged(11, 13)
    found = fill_membrane(values, hole)
    for channel in range(2):
        np.testing.assert_allclose(found[..., channel], dense(values[..., channel], hole), atol=1e-5)
    assert (found[~hole] == 0).all()


def test_a_plane_goes_on_as_a_plane() -> None:
    """Planes solve Laplace's equation, and their values at the rim decide the solution."""
    rows, columns = np.mgrid[:20, :24].astype(np.float64)
    plane = (3 * rows - 2 * columns + 7)[..., None]
    hole = np.zeros((20, 24), dtype=np.bool_)
    hole[4:15, 5:17] = True
    found = fill_membrane(np.where(hole[..., None], 999.0, plane), hole)
    np.testing.assert_allclose(found[hole], plane[hole], atol=1e-5)


def test_at_the_border_nothing_flows() -> None:
    """A hole over the whole height between two columns: straight from one to the other, in one direction only."""
    values = np.zeros((6, 9, 1))
    values[:, 0], values[:, 8] = 10, 90
    hole = np.zeros((6, 9), dtype=np.bool_)
    hole[:, 1:8] = True
    np.testing.assert_allclose(fill_membrane(values, hole)[:, 1:8, 0], np.tile(np.linspace(20, 80, 7), (6, 1)), atol=1e-5)


@pytest.mark.parametrize("offset", [(0, 0, 0), (40, -25, 3)])
def test_what_differs_from_the_truth_by_a_colour_alone_becomes_the_truth(offset: tuple[int, int, int]) -> None:
    truth = np.random.default_rng(1).integers(60, 200, (16, 16, 3), dtype=np.uint8)
    hole = ragged(16, 16)
    damaged = np.where(hole[..., None], 0, truth).astype(np.uint8)
    assert (poisson_blend(damaged, truth.astype(np.float64) + np.array(offset), hole) == truth).all()


def test_outside_of_the_hole_nothing_changes_and_inside_values_stay_in_range() -> None:
    rng = np.random.default_rng(2)
    picture, drawn, hole = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8), rng.normal(128, 400, (12, 15, 3)), ragged(12, 15)
    made = poisson_blend(picture, drawn, hole)
    assert (made[~hole] == picture[~hole]).all()
    exact = drawn + np.dstack([dense((picture - drawn)[..., channel], hole) for channel in range(3)])
    np.testing.assert_allclose(made[hole], exact[hole].clip(0, 255), atol=0.51)


def test_no_hole_and_nothing_but_hole() -> None:
    picture = np.full((4, 4, 3), 9, dtype=np.uint8)
    assert (poisson_blend(picture, np.zeros((4, 4, 3)), np.zeros((4, 4), dtype=np.bool_)) == picture).all()
    with pytest.raises(ValueError, match="covers everything"):
        fill_membrane(np.zeros((4, 4, 1)), np.ones((4, 4), dtype=np.bool_))
