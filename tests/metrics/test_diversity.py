"""Diversity: closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.random_features import features

from mitlgan.metrics.diversity import mean_pairwise_distance


def test_diversity_of_a_collapsed_set_is_zero() -> None:
    collapsed = np.repeat(features(1, 32, 0), 40, axis=0)
    assert mean_pairwise_distance(collapsed) == 0
    a = features(40, 32, 1).astype(np.float64)
    expected = np.linalg.norm(a[:, None] - a[None], axis=-1).sum() / (40 * 39)
    assert mean_pairwise_distance(a) == pytest.approx(expected, rel=1e-9)
