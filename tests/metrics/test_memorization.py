"""Copies of training pictures are told from pictures that are only as real as they."""

from __future__ import annotations

import numpy as np
import pytest

from mitlgan.metrics import memorization as module
from mitlgan.metrics.memorization import MIN_UNSEEN, expected_share, measure_memorization, nearest_neighbors


def rows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)


def test_the_nearest_by_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    queries, known = rows(20, 0), rows(50, 1)
    all_distances = np.linalg.norm(queries[:, None].astype(np.float64) - known[None], axis=2)
    index, distance = nearest_neighbors(queries, known)
    np.testing.assert_array_equal(index, all_distances.argmin(1))
    np.testing.assert_allclose(distance, all_distances.min(1))


def test_a_copy_is_at_no_distance_however_large_its_features() -> None:
    known = rows(50, 1) + 1e4
    index, distance = nearest_neighbors(known[[3, 9]], known)
    assert index.tolist() == [3, 9]
    assert distance.tolist() == [0, 0]


def test_copies_and_own_pictures() -> None:
    training, unseen = rows(400, 1), rows(300, 2)
    own = measure_memorization(rows(300, 3), training, unseen)
    assert own.share == pytest.approx(0.05, abs=0.04)
    assert own.ratio == pytest.approx(1, abs=0.1)
    copies = measure_memorization(training[:100] + 1e-3, training, unseen)
    assert copies.share == 1
    assert copies.ratio < 0.01
    mixed = measure_memorization(np.concatenate([training[:50], rows(50, 5)]), training, unseen)
    assert 0.5 <= mixed.share < 0.65


@pytest.mark.parametrize("duplicates", [1, 6, 60])
@pytest.mark.parametrize("nudge", [0.0, 0.01])
def test_held_out_pictures_that_were_trained_on_hide_no_copies_and_invent_none(duplicates: int, nudge: float) -> None:
    training, unseen, fresh = rows(500, 1), rows(100, 2), rows(200, 3)
    mixed = np.concatenate([training[:duplicates] + nudge, unseen[duplicates:]])
    copies = measure_memorization(training[100:300], training, mixed)
    assert (copies.share, copies.ratio) == (1, 0)
    assert (copies.left_out, copies.unseen) == (duplicates, 100 - duplicates)
    own = measure_memorization(fresh, training, mixed)
    assert (own.share, own.ratio) == (measure_memorization(fresh, training, unseen[duplicates:]).share, pytest.approx(1, abs=0.1))


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_neighbours_in_a_dense_set_are_no_copies(offset: float) -> None:
    """Of many training pictures the nearest is near: 0.01 of their spread here."""
    points = np.random.default_rng(0).random((2300, 2)) + offset
    found = measure_memorization(points[2000:2200], points[:2000], points[2200:])
    assert (found.left_out, found.unseen) == (pytest.approx(6, abs=6), pytest.approx(94, abs=6))
    assert found.ratio == pytest.approx(1, abs=0.3)
    copies = measure_memorization(points[:200], points[:2000], np.concatenate([points[2200:], points[:50]]))
    assert copies.share == 1
    assert copies.left_out == found.left_out + 50


@pytest.mark.parametrize(
    ("unseen", "has_share", "has_ratio"), [(0, False, False), (1, False, True), (MIN_UNSEEN - 1, False, True), (MIN_UNSEEN, True, True)]
)
def test_a_share_needs_some_unseen_pictures(unseen: int, has_share: bool, has_ratio: bool) -> None:
    training = rows(200, 1)
    result = measure_memorization(rows(50, 3), training, np.concatenate([training[:30], rows(unseen, 2)]))
    assert (result.unseen, result.left_out) == (unseen, 30)
    assert (result.share is not None, result.usual_share is not None, result.ratio is not None) == (has_share, has_share, has_ratio)


@pytest.mark.parametrize("unseen", [20, 50, 200])
def test_the_usual_share_is_what_fresh_pictures_have(unseen: int) -> None:
    rng = np.random.default_rng(0)
    shares = [measure_memorization(*(rng.standard_normal((count, 6)) for count in (100, 80, unseen))).share for _ in range(200)]
    assert np.mean(np.array(shares, float)) == pytest.approx(expected_share(unseen), abs=0.012)
