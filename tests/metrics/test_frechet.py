"""Frechet distance: closed forms, and agreement with independent implementations on the same features."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from helpers.random_features import features

from mitlgan.metrics import frechet
from mitlgan.metrics.frechet import frechet_distance, frechet_from_features, mean_and_covariance


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
    np.testing.assert_allclose(np.tril(frechet._congruence(lower, second)), np.tril(lower.T @ second @ lower), rtol=1e-9, atol=1e-12)
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
    assert frechet._trace_root_cholesky(covariance, covariance) is None
    assert frechet_distance(np.zeros(dim), covariance, np.zeros(dim), covariance) == pytest.approx(0, abs=1e-8)
    assert frechet._trace_root_cholesky(np.eye(dim), np.eye(dim)) == pytest.approx(dim)


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


def test_moments_are_those_of_numpy() -> None:
    a = features(101, 9, 20) + 1000
    np.testing.assert_allclose(mean_and_covariance(a)[0], a.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(mean_and_covariance(a)[1], np.cov(a.astype(np.float64), rowvar=False), rtol=1e-9)
