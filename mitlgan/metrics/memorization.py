"""Memorization: whether a generator makes images of its own or copies its training images, by nearest neighbors in features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 256
FALSE_ALARM_RATE = 0.05
"""Share of unseen real images that are nearer to a training image than the threshold; the threshold is chosen so."""


@dataclass(frozen=True)
class Memorization:
    """How near samples are to the training images, compared with unseen real images.

    Attributes:
        share: Share of samples that are nearer to a training image than all but `FALSE_ALARM_RATE` of unseen real images.
        ratio: Median distance of samples to the nearest training image, over that of unseen real images; near 0 for copies.
        samples: Number of samples.
    """

    share: float
    ratio: float
    samples: int


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
        unseen: Features of real images that were not used in training.
    """
    sampled, expected = nearest_neighbors(samples, training)[1], nearest_neighbors(unseen, training)[1]
    expected_median = float(np.median(expected))
    return Memorization(
        share=float((sampled < np.quantile(expected, FALSE_ALARM_RATE)).mean()),
        ratio=float(np.median(sampled)) / expected_median if expected_median > 0 else 0.0,
        samples=len(samples),
    )
