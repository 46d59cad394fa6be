"""Memorization: whether a generator makes images of its own or copies its training images, by nearest neighbors in features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitlgan.data.sources.even_sample import evenly_spaced

_BLOCK_ROWS = 256
FALSE_ALARM_RATE = 0.05
"""Share of unseen real images that are nearer to a training image than the threshold; the threshold is chosen so."""

NEAR_COPY = 0.1
"""Distance to a training image, over the spread of the training images, up to which a real image is a copy of it and not unseen.

Features of one photograph, saved again at high quality or halved in size, are mostly 0.03 to 0.1 apart. The nearest of a thousand others is about 0.1
away or more among digits and the demo's objects, and 0.5 among its scenes. Of more training images the nearest is nearer: see `OWN_SHARE`.
"""
OWN_SHARE = 0.25
"""A copy is also nearer than this share of the median distance from a training image to the nearest other one."""
MAX_OWN = 500
"""Training images of which that is measured."""
ROUNDING = 1e-9
"""Squared distance, over the mean squared length, below which features are equal but for rounding."""

MIN_UNSEEN = round(1 / FALSE_ALARM_RATE)
"""Unseen real images that a share needs: the threshold of fewer is little more than the nearest of them."""


@dataclass(frozen=True)
class Memorization:
    """How near samples are to the training images, compared with unseen real images.

    Attributes:
        share: Share of samples that are nearer to a training image than all but `FALSE_ALARM_RATE` of unseen real images; None if there are fewer
            than `MIN_UNSEEN` of these.
        usual_share: Share to expect of new images that are as real as the unseen ones; see `expected_share`. None with `share`.
        ratio: Median distance of samples to the nearest training image, over that of unseen real images; near 0 for copies. None without unseen ones.
        samples: Number of samples.
        unseen: Number of unseen real images.
        left_out: Number of real images that were given as unseen, but are (nearly) among the training images.
    """

    share: float | None
    usual_share: float | None
    ratio: float | None
    samples: int
    unseen: int
    left_out: int


def nearest_neighbors(queries: NDArray[Any], references: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the nearest reference row of each query.

    Args:
        queries: (N, dim).
        references: (M, dim).

    Returns:
        Index into `references` (N,), and Euclidean distance (N,).
    """
    other = np.asarray(references, np.float64)
    norms = np.square(other).sum(1)
    index, distance = np.empty(len(queries), np.int64), np.empty(len(queries))
    for start in range(0, len(queries), _BLOCK_ROWS):
        rows = np.asarray(queries[start : start + _BLOCK_ROWS], np.float64)
        squared = np.square(rows).sum(1)[:, None] + norms[None] - 2 * rows @ other.T
        nearest = squared.argmin(1)
        index[start : start + len(rows)] = nearest
        # Computed again from the difference: the product's rounding would hide a copy's distance of 0.
        distance[start : start + len(rows)] = np.sqrt(np.square(rows - other[nearest]).sum(1))
    return index, distance


def measure_memorization(samples: NDArray[Any], training: NDArray[Any], unseen: NDArray[Any]) -> Memorization:
    """Compare samples' distances to the training images with those of unseen real images.

    Args:
        samples: Features of generated images, (N, dim).
        training: Features of the training images.
        unseen: Features of real images that were not used in training; those that are (nearly) among the training images are left out.
    """
    sampled, distances = nearest_neighbors(samples, training)[1], nearest_neighbors(unseen, training)[1]
    spread = float(np.sqrt(np.var(np.asarray(training, np.float64), axis=0).sum()))
    expected = distances[distances > min(NEAR_COPY * spread, OWN_SHARE * _own_distance(training))]
    has_share = len(expected) >= MIN_UNSEEN
    return Memorization(
        share=float((sampled < np.quantile(expected, FALSE_ALARM_RATE)).mean()) if has_share else None,
        usual_share=expected_share(len(expected)) if has_share else None,
        ratio=float(np.median(sampled) / np.median(expected)) if len(expected) else None,
        samples=len(samples),
        unseen=len(expected),
        left_out=len(distances) - len(expected),
    )


def _own_distance(training: NDArray[Any]) -> float:
    """Return the median distance from a training image to the nearest other one that is no copy of it; infinite if there is none."""
    all_rows = np.asarray(training, np.float64)
    all_rows = all_rows - all_rows.mean(0)  # so that the product's rounding is small
    norms = np.square(all_rows).sum(1)
    rows = all_rows[evenly_spaced(range(len(all_rows)), MAX_OWN)]
    squared = np.square(rows).sum(1)[:, None] + norms[None] - 2 * rows @ all_rows.T
    squared[squared <= ROUNDING * norms.mean()] = np.inf  # itself and its copies
    nearest = squared.min(1)
    return float(np.sqrt(np.median(nearest[np.isfinite(nearest)]))) if np.isfinite(nearest).any() else float("inf")


def expected_share(unseen: int) -> float:
    """Return the share of new real images that are nearer to a training image than the threshold from so many unseen ones.

    Of n numbers, the k-th smallest has k / (n + 1) of further ones below it, and the quantile lies at k = 1 + `FALSE_ALARM_RATE` (n - 1). So the share
    is above `FALSE_ALARM_RATE`, and falls to it with many unseen images.
    """
    return (1 + FALSE_ALARM_RATE * (unseen - 1)) / (unseen + 1)
