"""Holes that are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from mitlgan.data.random_masks import center_hole, draw_holes


@pytest.mark.parametrize("size_px", [8, 32, 33])
@pytest.mark.parametrize("kind", ["centre", "box", "strokes"])
def test_each_kind_leaves_something_and_hides_something(kind: str, size_px: int) -> None:
    holes = draw_holes(200, size_px, {kind: 1.0}, np.random.default_rng(0))
    assert holes.shape == (200, 1, size_px, size_px)
    shares = holes.mean((1, 2, 3))
    assert shares.min() > 0
    assert shares.max() < 0.9
    if kind == "centre":
        assert (holes == center_hole(size_px, size_px)).all()
    else:
        assert len(np.unique(holes.reshape(200, -1), axis=0)) > 150
        assert holes.any(0).mean() > 0.97, "anywhere, if seldom in a corner"


def test_boxes_are_boxes() -> None:
    for (hole,) in draw_holes(50, 32, {"box": 1.0}, np.random.default_rng(1)):
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)
        assert 8 <= min(len(rows), len(columns)) <= max(len(rows), len(columns)) <= 20


def test_kinds_come_in_proportion_and_none_by_a_share_of_zero() -> None:
    holes = draw_holes(1000, 16, {"centre": 3.0, "box": 1.0, "strokes": 0.0}, np.random.default_rng(2))
    centred = (holes[:, 0] == center_hole(16, 16)).all((1, 2)).mean()
    assert 0.7 < centred < 0.8


def test_the_same_numbers_draw_the_same_holes() -> None:
    shares = {"centre": 1.0, "box": 1.0, "strokes": 1.0}
    first, same, other = (draw_holes(20, 16, shares, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert (first == same).all()
    assert not (first == other).all()
