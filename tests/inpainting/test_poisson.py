"""Blending against closed forms, and against a dense solution of the same equations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, diags
from scipy.sparse.linalg import splu

from mitlgan.inpainting import fill_membrane, poisson_blend
from mitlgan.inpainting.multigrid import Level

Hole = NDArray[np.bool_]
Apply = Callable[[Level, NDArray[np.floating]], NDArray[np.floating]]


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


def large_holes(side: int) -> dict[str, Hole]:
    """Holes of several forms in a picture of this side, not a whole number of blocks on any grid."""
    holes = {name: np.zeros((side, side + 7), dtype=np.bool_) for name in ("center", "corner", "all but a column", "strips", "ring")}
    holes["center"][side // 4 : -side // 4, side // 4 : -side // 4] = True
    holes["corner"][: side // 2, : side // 2] = True
    holes["all but a column"][:, 1:] = True
    holes["strips"][:, np.arange(side + 7) % 5 != 2] = True
    holes["ring"][3:-3, 3:-3] = True
    holes["ring"][side // 3 : -side // 3, side // 3 : -side // 3] = False
    scattered = np.random.default_rng(1).random((side, side + 7)) < 0.8
    return {**holes, "scattered": scattered}


def sparse(values: NDArray[np.float64], hole: Hole) -> NDArray[np.float64]:
    """The same equations as `dense`, of many pixels."""
    index = np.full(hole.shape, -1)
    index[hole] = np.arange(hole.sum())
    diagonal, right, links = np.zeros(hole.sum()), np.zeros(hole.sum()), []
    for axis in (0, 1):
        for first, second in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            here, near = ((np.s_[:],) * axis + (part,) for part in (first, second))
            inside = hole[here]
            numbers, others = index[here][inside], index[near][inside]
            diagonal[numbers] += 1
            right[numbers] += np.where(others < 0, values[near][inside], 0)
            links.append((numbers[others >= 0], others[others >= 0]))
    rows, columns = (np.concatenate([link[side] for link in links]) for side in (0, 1))
    matrix = csc_matrix((-np.ones(len(rows)), (rows, columns)), shape=(len(diagonal),) * 2)
    found = np.zeros(hole.shape)
    found[hole] = splu((matrix + diags(diagonal)).tocsc()).solve(right)
    return found


@pytest.mark.parametrize("name", large_holes(8))
def test_large_holes_have_the_direct_solution(name: str) -> None:
    hole = large_holes(90)[name]
    values = np.random.default_rng(2).integers(-255, 256, (*hole.shape, 1)).astype(np.float64)
    found = fill_membrane(values, hole)
    np.testing.assert_allclose(found[..., 0], sparse(values[..., 0], hole), atol=2e-3)
    assert np.array_equal(found, fill_membrane(values, hole)), "the same bits again"


def test_the_time_is_that_of_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps hardly grow with the side, and each visits every pixel a fixed number of times."""
    steps: dict[int, int] = {}
    for side in (64, 256):
        sizes: list[int] = []
        apply = Level.apply

        def counted(level: Level, values: NDArray[np.floating], sizes: list[int] = sizes, apply: Apply = apply) -> NDArray[np.floating]:
            sizes.append(values.size)
            return apply(level, values)

        with monkeypatch.context() as patched:
            patched.setattr(Level, "apply", counted)
            for hole in large_holes(side).values():
                fill_membrane(np.random.default_rng(2).normal(size=(*hole.shape, 1)) * 100, hole)
        steps[side] = sum(sizes) // side**2
    assert steps[256] <= 1.5 * steps[64], "plain conjugate gradients: four times"


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
