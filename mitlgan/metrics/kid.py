"""Kernel distance of two sets of features (KID: Binkowski et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mitlgan.metrics.feature_arrays import Array, FeatureSets, Float64, checked_features, row_blocks

SUBSETS = 100
MAX_SUBSET_SIZE = 1000


@dataclass(frozen=True)
class KidResult:
    """Mean and standard deviation over `subsets` random subsets of `subset_size` images per side; std is None if each subset is a whole side."""

    mean: float
    std: float | None
    subsets: int
    subset_size: int


def measure_kid(sets: FeatureSets) -> dict[str, dict[str, Any]]:
    """Return the metric `kid`. Subsets have at most half of the images: one as large as the set would be the same each time, with spread 0.

    With fewer than four images in a set there are no such subsets of two or more: "std" is None.
    """
    half = min(len(sets.real), len(sets.fake)) // 2
    result = kernel_distance(sets.real, sets.fake, subsets=SUBSETS, subset_size=max(2, min(MAX_SUBSET_SIZE, half)), seed=sets.seed)
    return {"kid": {"value": result.mean, "std": result.std if half >= 2 else None, "subsets": result.subsets, "subset_size": result.subset_size}}


def kernel_distance(real: Array, fake: Array, *, subsets: int = SUBSETS, subset_size: int = MAX_SUBSET_SIZE, seed: int = 0) -> KidResult:
    """Compute the unbiased squared MMD with the kernel (x.y / dim + 1)^3, averaged over random subsets.

    Args:
        real: (N, dim).
        fake: (M, dim).
        subsets: Number of subsets; each is sampled without replacement.
        subset_size: Images per side in a subset; cut to min(N, M).
        seed: Seed of `numpy.random.RandomState`; sampled in torch-fidelity's order with real as its first input, so subsets are equal.

    Returns:
        Mean and standard deviation. The mean can be slightly below 0 because it is unbiased. Subsets as large as a set show no spread of it: the
        standard deviation is then None.

    Source: Binkowski et al. 2018 (Demystifying MMD GANs), section 4 and appendix D.
    """
    first, second = checked_features(real), checked_features(fake)
    size = min(subset_size, len(first), len(second))
    rng = np.random.RandomState(seed)
    draws = [(rng.choice(len(first), size, replace=False), rng.choice(len(second), size, replace=False)) for _ in range(subsets)]
    if max(len(first), len(second)) ** 2 <= subsets * size**2:
        values = _mmd_by_membership(first, second, draws)
    else:
        values = np.array([_mmd(first[rows], second[columns]) for rows, columns in draws])
    is_whole = size == min(len(first), len(second))
    return KidResult(float(values.mean()), None if is_whole else float(values.std()), subsets, size)


def _kernel(x: Float64, y: Float64) -> Float64:
    linear: Float64 = x @ y.T / x.shape[1] + 1.0
    return linear * linear * linear


def _kernel_diagonal(x: Float64) -> Float64:
    diagonal: Float64 = (np.square(x).sum(axis=1) / x.shape[1] + 1.0) ** 3
    return diagonal


def _mmd(x: Float64, y: Float64) -> float:
    """Return the unbiased squared MMD of two equally large sets."""
    size = len(x)
    within = sum(float(_kernel(side, side).sum() - _kernel_diagonal(side).sum()) for side in (x, y))
    return within / (size * (size - 1)) - 2.0 * float(_kernel(x, y).mean())


def _mmd_by_membership(x: Float64, y: Float64, draws: list[tuple[Array, Array]]) -> Float64:
    """Return the MMD of many subsets at once: each kernel value is computed once, and a subset's sum is s^T K s with s in {0, 1}."""
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
    """Return the sum of the kernel over each subset's pairs, (subsets,)."""
    sums = np.zeros(in_x.shape[1])
    for rows in row_blocks(len(x)):
        sums += np.einsum("rs,rs->s", _kernel(x[rows], y) @ in_y, in_x[rows])
    return sums
