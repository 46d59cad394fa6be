"""Distances between two sets of features: Frechet, kernel (KID), precision, recall, density, coverage.

Everything is computed in float64 on the CPU. "Real" comes first and "fake" second wherever the order matters. Feature arrays are (N, dim).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mitlgan.errors import DataError, NanError

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

_BLOCK_ROWS = 512
"""Rows of a pairwise matrix held at once: memory is 512 x N float64, whatever N."""

_CHOLESKY_ERROR = 1e-9
"""The quick decomposition counts only if its own error bound, relative to both traces, is below this."""

_SAME_PICTURE = 1e-12
"""Squared distances below this, relative to the squared norms, are rounding: features are float32, whose own step is 1e-7."""


def mean_and_covariance(features: Array) -> tuple[Float64, Float64]:
    """Mean (dim,) and unbiased covariance (dim, dim) of features (N, dim)."""
    rows = _checked(features)
    mean = rows.mean(axis=0)
    centred = rows - mean
    return mean, centred.T @ centred / (len(rows) - 1)


def frechet_distance(mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array) -> float:
    """Squared Frechet distance of two Gaussians: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    Args:
        mean_1: (dim,).
        covariance_1: (dim, dim), symmetric positive semidefinite, of any rank.
        mean_2: (dim,).
        covariance_2: (dim, dim).

    Returns:
        The distance, 0 or more, in squared units of the features.

    Source: Dowson and Landau 1982, eq. 16; Heusel et al. 2017 (FID), eq. 6.
    """
    first, second = np.asarray(covariance_1, np.float64), np.asarray(covariance_2, np.float64)
    step = np.asarray(mean_1, np.float64) - np.asarray(mean_2, np.float64)
    traces = float(np.trace(first) + np.trace(second))
    trace_root = _trace_root_cholesky(first, second)
    if trace_root is None:
        trace_root = _nuclear_norm(_factor(first), _factor(second))
    return max(0.0, float(step @ step) + traces - 2.0 * trace_root)


def frechet_from_features(real: Array, fake: Array) -> float:
    """Squared Frechet distance of the Gaussians fitted to two feature sets (N, dim) and (M, dim).

    With fewer rows than dimensions the covariances are singular; then the rows themselves are the exact square roots, and smaller.
    """
    first, second = _checked(real), _checked(fake)
    if min(len(first), len(second)) > first.shape[1]:
        return frechet_distance(*mean_and_covariance(first), *mean_and_covariance(second))
    step = first.mean(axis=0) - second.mean(axis=0)
    roots = [_row_root(rows) for rows in (first, second)]
    traces = sum(float(np.square(root).sum()) for root in roots)
    return max(0.0, float(step @ step) + traces - 2.0 * _nuclear_norm(*roots))


def _trace_root_cholesky(first: Float64, second: Float64) -> float | None:
    """Trace of (S1 S2)^(1/2) through S1 = L L^T and the eigenvalues of L^T S2 L, or None where that would not be exact enough."""
    try:
        lower: Float64 = np.asarray(np.linalg.cholesky(first), np.float64)
    except np.linalg.LinAlgError:
        return None
    values = np.linalg.eigvalsh(_congruence(lower, second))  # reads the lower triangle only
    # An eigenvalue is known to about eps * the largest, so its root to eps * largest / (2 root): poor for near-singular covariances.
    noise = np.finfo(np.float64).eps * max(float(values[-1]), 0.0) * 8
    if noise > 0 and values[0] <= noise:
        return None
    roots = np.sqrt(np.maximum(values, 0.0))
    bound = float(np.sum(noise / (2 * np.maximum(roots, 1e-300))))
    return float(roots.sum()) if bound <= _CHOLESKY_ERROR * float(np.trace(first) + np.trace(second)) else None


def _congruence(lower: Float64, second: Float64) -> Float64:
    """Lower triangle of L^T S L, block by block, without what triangle and symmetry make superfluous: 2.4 times fewer operations."""
    half, product = np.empty_like(second), np.zeros_like(second)
    for block in _blocks(len(lower), rows=128):
        half[:, block] = second[:, block.start :] @ lower[block.start :, block]
    for block in _blocks(len(lower), rows=128):
        product[block, : block.stop] = lower[block.start :, block].T @ half[block.start :, : block.stop]
    return product


def _factor(covariance: Float64) -> Float64:
    """F (dim, rank) with F F^T = covariance, by symmetric eigendecomposition; directions within rounding of zero are dropped."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    floor = len(values) * np.finfo(np.float64).eps * max(float(values[-1]), 0.0)
    keep = values > floor
    factor: Float64 = vectors[:, keep] * np.sqrt(values[keep])
    return factor


def _row_root(rows: Float64) -> Float64:
    """F (dim, min(n, dim)) with F F^T = the covariance of rows (n, dim)."""
    if len(rows) > rows.shape[1]:
        return _factor(mean_and_covariance(rows)[1])
    root: Float64 = (rows - rows.mean(axis=0)).T / np.sqrt(len(rows) - 1)
    return root


def _nuclear_norm(first: Float64, second: Float64) -> float:
    """Trace of (S1 S2)^(1/2) as the sum of singular values of F1^T F2: no root of a rounded zero is taken, so exact at any rank."""
    cross = first.T @ second
    return float(np.linalg.svd(cross, compute_uv=False).sum()) if cross.size else 0.0


@dataclass(frozen=True)
class KidResult:
    """Kernel distance: mean and standard deviation over `subsets` random subsets of `subset_size` images of each side."""

    mean: float
    std: float
    subsets: int
    subset_size: int


def kernel_distance(real: Array, fake: Array, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> KidResult:
    """Unbiased squared MMD with the kernel (x.y / dim + 1)^3, averaged over random subsets.

    Args:
        real: (N, dim).
        fake: (M, dim).
        subsets: How many subsets are drawn, each without replacement.
        subset_size: Images of each side in a subset; cut to min(N, M).
        seed: Of `numpy.random.RandomState`, drawn in torch-fidelity's order (called with real as its first input), so equal subsets result.

    Returns:
        Mean and spread; the mean can be slightly below 0, for it is unbiased.

    Source: Binkowski et al. 2018 (Demystifying MMD GANs), section 4 and appendix D.
    """
    first, second = _checked(real), _checked(fake)
    size = min(subset_size, len(first), len(second))
    rng = np.random.RandomState(seed)
    draws = [(rng.choice(len(first), size, replace=False), rng.choice(len(second), size, replace=False)) for _ in range(subsets)]
    if max(len(first), len(second)) ** 2 <= subsets * size**2:
        values = _mmd_by_membership(first, second, draws)
    else:
        values = np.array([_mmd(first[rows], second[columns]) for rows, columns in draws])
    return KidResult(float(values.mean()), float(values.std()), subsets, size)


def _kernel(x: Float64, y: Float64) -> Float64:
    linear: Float64 = x @ y.T / x.shape[1] + 1.0
    return linear * linear * linear


def _kernel_diagonal(x: Float64) -> Float64:
    diagonal: Float64 = (np.square(x).sum(axis=1) / x.shape[1] + 1.0) ** 3
    return diagonal


def _mmd(x: Float64, y: Float64) -> float:
    """Unbiased squared MMD of two equally large sets."""
    size = len(x)
    within = sum(float(_kernel(side, side).sum() - _kernel_diagonal(side).sum()) for side in (x, y))
    return within / (size * (size - 1)) - 2.0 * float(_kernel(x, y).mean())


def _mmd_by_membership(x: Float64, y: Float64, draws: list[tuple[Array, Array]]) -> Float64:
    """The same for many subsets at once: each kernel value is computed once, and a subset's sum is s^T K s with s in {0, 1}."""
    size = len(draws[0][0])
    in_x, in_y = np.zeros((len(x), len(draws))), np.zeros((len(y), len(draws)))
    for column, (rows, others) in enumerate(draws):
        in_x[rows, column] = 1.0
        in_y[others, column] = 1.0
    total = _subset_sums(x, x, in_x, in_x) - _kernel_diagonal(x) @ in_x
    total += _subset_sums(y, y, in_y, in_y) - _kernel_diagonal(y) @ in_y
    values: Float64 = total / (size * (size - 1)) - 2.0 * _subset_sums(x, y, in_x, in_y) / size**2
    return values


def _subset_sums(x: Float64, y: Float64, in_x: Float64, in_y: Float64) -> Float64:
    """Sum of the kernel over each subset's pairs, (subsets,)."""
    sums = np.zeros(in_x.shape[1])
    for rows in _blocks(len(x)):
        sums += np.einsum("rs,rs->s", _kernel(x[rows], y) @ in_y, in_x[rows])
    return sums


@dataclass(frozen=True)
class ManifoldResult:
    """Fidelity and diversity from k-nearest-neighbour balls, each a share in [0, 1] but density, which can pass 1.

    precision: fakes inside some real ball; recall: reals inside some fake ball (Kynkaanniemi et al. 2019, eq. 1-2);
    density: real balls around a fake, over k; coverage: reals whose ball holds a fake (Naeem et al. 2020, eq. 3 and 5).
    """

    precision: float
    recall: float
    density: float
    coverage: float
    neighbours: int


def manifold_metrics(real: Array, fake: Array, *, neighbours: int = 5) -> ManifoldResult:
    """Precision, recall, density and coverage with `neighbours`-nearest-neighbour balls, blockwise.

    Args:
        real: (N, dim), N > neighbours.
        fake: (M, dim), M > neighbours.
        neighbours: k; 3 is usual for precision and recall, 5 for density and coverage.
    """
    first, second = _checked(real, minimum=neighbours + 1), _checked(fake, minimum=neighbours + 1)
    real_radius, fake_radius = _radii(first, neighbours), _radii(second, neighbours)
    inside_fake = 0
    inside_real = np.zeros(len(second), np.int64)
    covered = 0
    for rows in _blocks(len(first)):
        squared = _squared_distances(first[rows], second)  # (rows, M)
        in_real_ball = squared <= real_radius[rows, None]
        inside_real += in_real_ball.sum(axis=0)
        covered += int(in_real_ball.any(axis=1).sum())
        inside_fake += int((squared <= fake_radius).any(axis=1).sum())
    return ManifoldResult(
        precision=float((inside_real > 0).mean()),
        recall=inside_fake / len(first),
        density=float(inside_real.mean()) / neighbours,
        coverage=covered / len(first),
        neighbours=neighbours,
    )


def mean_pairwise_distance(features: Array) -> float:
    """Mean Euclidean distance of all pairs i != j, a measure of diversity that is near 0 when samples are all alike."""
    rows = _checked(features)
    total = sum(float(np.sqrt(_squared_distances(rows[block], rows)).sum()) for block in _blocks(len(rows)))
    return total / (len(rows) * (len(rows) - 1))


def _radii(rows: Float64, neighbours: int) -> Float64:
    """Squared distance of each row to its k-th nearest other row."""
    parts = []
    for block in _blocks(len(rows)):
        squared = _squared_distances(rows[block], rows)
        parts.append(np.partition(squared, neighbours, axis=1)[:, neighbours])  # [0] is the row itself
    return np.concatenate(parts)


def _squared_distances(x: Float64, y: Float64) -> Float64:
    """|x_i - y_j|^2, shape (len(x), len(y)); what is within rounding of 0 (a row and itself, or its duplicate) is 0 exactly."""
    norms: Float64 = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)[None, :]
    squared = norms - 2.0 * (x @ y.T)
    squared[squared < _SAME_PICTURE * norms] = 0.0
    return squared


def _blocks(count: int, rows: int | None = None) -> Iterator[slice]:
    rows = rows or _BLOCK_ROWS
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))


def _checked(features: Array, minimum: int = 2) -> Float64:
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"features must be (N, dim), not {rows.shape}")
    if len(rows) < minimum:
        raise DataError(f"samples: {len(rows)} images are too few here, at least {minimum} are needed")
    if not np.isfinite(rows).all():
        raise NanError("features: not finite; the images or the extractor's weights hold NaN or Inf")
    return rows
