"""Inception Score: its limits, and agreement with torch-fidelity on the same logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mitlgan.errors import DataError
from mitlgan.metrics.inception_score import inception_score


def test_certain_and_even_is_the_number_of_classes_and_alike_is_one() -> None:
    features = np.eye(5)[np.arange(500) % 5] * 60
    assert inception_score(features, np.eye(5), splits=1).mean == pytest.approx(5)
    assert inception_score(features[:1].repeat(100, 0), np.eye(5)).mean == pytest.approx(1)
    assert inception_score(np.zeros((100, 5)), np.eye(5)).mean == pytest.approx(1)


@pytest.mark.parametrize("count", [200, 203])
def test_agrees_with_torch_fidelity(count: int) -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_isc")
    rng = np.random.default_rng(0)
    features, weights = rng.standard_normal((count, 32)).astype(np.float32), rng.standard_normal((20, 32)).astype(np.float32)
    logits = torch.from_numpy(features.astype(np.float64) @ weights.astype(np.float64).T)
    expected = theirs.isc_features_to_metric(logits, splits=10, shuffle=True, rng_seed=7)
    found = inception_score(features, weights, splits=10, seed=7)
    assert found.mean == pytest.approx(expected["inception_score_mean"], rel=1e-9)
    assert found.std == pytest.approx(expected["inception_score_std"], rel=1e-9)


def test_fewer_pictures_than_splits_are_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        inception_score(np.zeros((9, 5)), np.eye(5))
