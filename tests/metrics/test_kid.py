"""KID: agreement with an independent implementation on the same features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.random_features import features

from mitlgan.metrics.feature_arrays import FeatureSets
from mitlgan.metrics.kid import kernel_distance, measure_kid


def test_kid_agrees_with_torch_fidelity_on_the_same_subsets() -> None:
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    a, b = features(300, 48, 8), features(250, 48, 9, 0.1)
    options = {
        "kid_subsets": 20,
        "kid_subset_size": 90,
        "rng_seed": 5,
        "verbose": False,
        "kid_kernel": "poly",
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1.0,
    }
    theirs = metric_kid.kid_features_to_metric(torch.from_numpy(a).double(), torch.from_numpy(b).double(), **options)
    ours = kernel_distance(a, b, subsets=20, subset_size=90, seed=5)
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


def test_kid_gives_the_same_whichever_way_it_is_summed() -> None:
    a, b = features(150, 12, 10), features(120, 12, 11, 0.2)
    few = kernel_distance(a, b, subsets=3, subset_size=20, seed=1)  # 150^2 > 3 * 20^2: subset by subset
    many = kernel_distance(a, b, subsets=200, subset_size=20, seed=1)  # each kernel value once
    rng = np.random.RandomState(1)
    by_hand = []
    for _ in range(200):
        x = a[rng.choice(150, 20, replace=False)].astype(np.float64)
        y = b[rng.choice(120, 20, replace=False)].astype(np.float64)
        kernel = [(u @ v.T / 12 + 1) ** 3 for u, v in ((x, x), (y, y), (x, y))]
        within = sum((k.sum() - np.trace(k)) / (20 * 19) for k in kernel[:2])
        by_hand.append(within - 2 * kernel[2].mean())
    assert few.mean == pytest.approx(np.mean(by_hand[:3]), rel=1e-9)
    assert many.mean == pytest.approx(np.mean(by_hand), rel=1e-9)
    assert many.std == pytest.approx(np.std(by_hand), rel=1e-9)


def test_kid_is_unbiased() -> None:
    a, b = features(2000, 8, 12), features(2000, 8, 13)
    found = kernel_distance(a, b, subsets=100, subset_size=50, seed=0)
    assert abs(found.mean) < 3 * found.std / np.sqrt(40)
    assert found.subset_size == 50


def test_kid_cuts_its_subsets_to_the_smaller_set() -> None:
    assert kernel_distance(features(30, 4, 0), features(20, 4, 1), subset_size=1000).subset_size == 20
    assert kernel_distance(features(30, 4, 0), features(20, 4, 1), subset_size=1000).std is None


@pytest.mark.parametrize(("real", "fake", "has_spread"), [(2, 2, False), (3, 3, False), (2, 50, False), (50, 3, False), (4, 4, True), (9, 4, True)])
def test_too_few_pictures_have_no_spread(real: int, fake: int, has_spread: bool) -> None:
    sets = FeatureSets(features(real, 4, 0), features(fake, 4, 1), None, None, seed=0, extrapolate=False)  # type: ignore[arg-type]
    result = measure_kid(sets)["kid"]
    assert (result["std"] is not None) == has_spread
    if has_spread:
        assert result["std"] > 0
