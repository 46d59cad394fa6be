"""Distances: closed forms, and agreement with independent implementations on the same features."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray

from mitlgan.errors import DataError, NanError
from mitlgan.metrics import distances
from mitlgan.metrics.distances import (
    frechet_distance,
    frechet_from_features,
    kernel_distance,
    manifold_metrics,
    mean_and_covariance,
    mean_pairwise_distance,
)


def features(count: int, dim: int, seed: int, shift: float = 0.0, decay: float = 0.0) -> NDArray[np.float32]:
    """Correlated, non-negative, unevenly scaled: like pooled network features."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((dim, dim)) / np.sqrt(dim)
    scales = np.exp(-decay * np.arange(dim) / dim)
    return np.maximum((rng.standard_normal((count, dim)) * scales) @ mixing + 0.5 + shift, 0).astype(np.float32)


def test_identical_sets_are_at_no_distance() -> None:
    a = features(300, 16, 0)
    assert frechet_from_features(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_from_features(a[:10], a[:10]) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("count", [200, 12])
def test_a_shift_costs_its_squared_length(count: int) -> None:
    a = features(count, 24, 1).astype(np.float64)
    step = np.linspace(-1, 2, 24)
    assert frechet_from_features(a, a + step) == pytest.approx(step @ step, rel=1e-9)


def test_gaussians_with_known_distance() -> None:
    first, second = np.array([4.0, 9.0, 1.0]), np.array([1.0, 16.0, 0.0])
    turn = scipy.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    expected = 5.0 + float(((np.sqrt(first) - np.sqrt(second)) ** 2).sum())
    found = frechet_distance(np.zeros(3), turn @ np.diag(first) @ turn.T, np.array([0.0, 1.0, 2.0]), turn @ np.diag(second) @ turn.T)
    assert found == pytest.approx(expected, rel=1e-12)


def test_covariances_that_do_not_commute() -> None:
    # For 2 x 2: tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)).
    a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(np.trace(a + b) - 2 * root, rel=1e-12)


@pytest.mark.parametrize(("count", "decay"), [(400, 0.0), (160, 4.0), (130, 12.0)])
def test_agrees_with_sqrtm_on_full_rank(count: int, decay: float) -> None:
    a, b = features(count, 64, 2, decay=decay), features(count + 7, 64, 3, 0.1, decay)
    (m1, s1), (m2, s2) = mean_and_covariance(a), mean_and_covariance(b)
    expected = (m1 - m2) @ (m1 - m2) + np.trace(s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2).real)
    assert frechet_from_features(a, b) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(m1, s1, m2, s2) == pytest.approx(expected, rel=1e-8)


def test_many_dimensions_are_taken_in_blocks() -> None:
    a, b = features(700, 300, 2), features(800, 300, 3, 0.1)
    lower, second = np.linalg.cholesky(mean_and_covariance(a)[1]), mean_and_covariance(b)[1]
    np.testing.assert_allclose(np.tril(distances._congruence(lower, second)), np.tril(lower.T @ second @ lower), rtol=1e-9, atol=1e-12)
    (m1, s1), (m2, s2) = mean_and_covariance(a), mean_and_covariance(b)
    expected = (m1 - m2) @ (m1 - m2) + np.trace(s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2).real)
    assert frechet_from_features(a, b) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n", "m"), [(30, 30), (30, 200), (200, 30), (64, 65)])
def test_rank_deficient_sets_are_exact(n: int, m: int) -> None:
    a, b = features(n, 64, 4), features(m, 64, 5, 0.2)
    (m1, s1), (m2, s2) = mean_and_covariance(a), mean_and_covariance(b)
    values = np.linalg.eigvals(s1 @ s2).astype(complex)
    expected = (m1 - m2) @ (m1 - m2) + np.trace(s1) + np.trace(s2) - 2 * np.sqrt(values).real.sum()
    assert frechet_from_features(a, b) == pytest.approx(expected, rel=1e-6)
    # By rows and by covariance: two ways that share no decomposition.
    assert frechet_from_features(a, b) == pytest.approx(frechet_distance(m1, s1, m2, s2), rel=1e-9)
    assert frechet_from_features(a, b) == pytest.approx(frechet_from_features(b, a), rel=1e-9)


def test_the_quick_decomposition_is_left_where_it_would_round() -> None:
    dim = 40
    turn = scipy.linalg.qr(np.random.default_rng(1).standard_normal((dim, dim)))[0]
    scales = np.concatenate([np.ones(20), np.full(20, 1e-13)])
    covariance = turn @ np.diag(scales) @ turn.T
    assert distances._trace_root_cholesky(covariance, covariance) is None
    assert frechet_distance(np.zeros(dim), covariance, np.zeros(dim), covariance) == pytest.approx(0, abs=1e-8)
    assert distances._trace_root_cholesky(np.eye(dim), np.eye(dim)) == pytest.approx(dim)


def test_the_same_for_all_features_zero() -> None:
    assert frechet_from_features(np.zeros((5, 3)), np.zeros((4, 3))) == 0
    assert frechet_from_features(np.zeros((5, 3)), np.ones((4, 3))) == 3


@pytest.mark.filterwarnings("ignore:The `disp` argument")
def test_agrees_with_pytorch_fid_and_torch_fidelity() -> None:
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid")
    a, b = features(300, 48, 6), features(250, 48, 7, 0.1)
    ours = frechet_from_features(a, b)
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(x).double()) for x in (a, b)]
    theirs = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-6)
    try:
        theirs = fid_score.calculate_frechet_distance(*mean_and_covariance(a), *mean_and_covariance(b))
    except (TypeError, ValueError):
        pytest.skip("this SciPy no longer has what pytorch-fid calls")
    assert ours == pytest.approx(theirs, rel=1e-6)


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


def by_definition(real: NDArray[np.float32], fake: NDArray[np.float32], k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density, coverage straight from the papers' formulas, one pair at a time."""

    def radius(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.array([np.sort([np.linalg.norm(x - y) for y in rows])[k] for x in rows])

    between = np.array([[np.linalg.norm(x - y) for y in fake] for x in real.astype(np.float64)])
    in_real, in_fake = between <= radius(real.astype(np.float64))[:, None], between <= radius(fake.astype(np.float64))[None, :]
    return in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum(0).mean() / k, in_real.any(1).mean()


@pytest.mark.parametrize("k", [3, 5])
def test_manifold_metrics_follow_their_definitions(k: int) -> None:
    real, fake = features(60, 6, 14), features(70, 6, 15, 0.3)
    found = manifold_metrics(real, fake, neighbours=k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(by_definition(real, fake, k), rel=1e-12)


def test_manifold_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = features(200, 10, 16), features(150, 10, 17, 0.2)
    whole = manifold_metrics(real, fake)
    spread = mean_pairwise_distance(real)
    monkeypatch.setattr(distances, "_BLOCK_ROWS", 7)
    assert manifold_metrics(real, fake) == whole
    assert mean_pairwise_distance(real) == pytest.approx(spread, rel=1e-12)


def test_precision_and_recall_agree_with_torch_fidelity() -> None:
    metric_prc = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = features(200, 10, 18), features(220, 10, 19, 0.2)
    theirs = metric_prc.prc_features_to_metric(
        torch.from_numpy(fake).double(),
        torch.from_numpy(real).double(),
        prc_neighborhood=3,
        prc_batch_size=64,
        save_cpu_ram=False,
        verbose=False,
    )
    ours = manifold_metrics(real, fake, neighbours=3)
    assert ours.precision == pytest.approx(theirs["precision"], rel=1e-6)
    assert ours.recall == pytest.approx(theirs["recall"], rel=1e-6)


def test_manifold_metrics_see_dropped_modes_and_strangers() -> None:
    rng = np.random.default_rng(3)
    real = np.concatenate([rng.standard_normal((100, 4)), rng.standard_normal((100, 4)) + 50])
    one_mode = rng.standard_normal((100, 4))
    assert manifold_metrics(real, one_mode).precision > 0.9
    assert manifold_metrics(real, one_mode).recall < 0.6
    assert manifold_metrics(real, one_mode).coverage < 0.6
    strangers = rng.standard_normal((100, 4)) - 50
    assert manifold_metrics(real, strangers).precision == manifold_metrics(real, strangers).density == manifold_metrics(real, strangers).coverage == 0
    same = manifold_metrics(real, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert same.density == pytest.approx(1.2)  # k neighbours and the picture itself, over k = 5


def test_diversity_of_a_collapsed_set_is_zero() -> None:
    collapsed = np.repeat(features(1, 32, 0), 40, axis=0)
    assert mean_pairwise_distance(collapsed) == 0
    a = features(40, 32, 1).astype(np.float64)
    expected = np.linalg.norm(a[:, None] - a[None], axis=-1).sum() / (40 * 39)
    assert mean_pairwise_distance(a) == pytest.approx(expected, rel=1e-9)


def test_moments_are_those_of_numpy() -> None:
    a = features(101, 9, 20) + 1000
    np.testing.assert_allclose(mean_and_covariance(a)[0], a.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(mean_and_covariance(a)[1], np.cov(a.astype(np.float64), rowvar=False), rtol=1e-9)


def test_what_cannot_be_measured_is_refused() -> None:
    good = features(10, 4, 0)
    bad = good.copy()
    bad[3, 2] = np.nan
    for measure in (frechet_from_features, kernel_distance, manifold_metrics):
        with pytest.raises(NanError):
            measure(good, bad)
        with pytest.raises(DataError, match="at least"):
            measure(good, good[:1])
    with pytest.raises(ValueError, match="must be"):
        frechet_from_features(good[0], good)
