"""Copies of training pictures are told from pictures that are only as real as they."""

from __future__ import annotations

import numpy as np
import pytest

from mitlgan.metrics import memorization as module
from mitlgan.metrics.memorization import measure_memorization, nearest_neighbors


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
