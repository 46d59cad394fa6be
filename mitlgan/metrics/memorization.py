"""Nearest known pictures in features: whether a generator draws pictures of its own, or those that it was shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 256
FALSE_ALARM_RATE = 0.05
"""Share of unseen real pictures that lie nearer to a training picture than the threshold does, by its choice."""


@dataclass(frozen=True)
class Memorization:
    """How near samples lie to the training pictures, against real pictures that were not trained on.

    Attributes:
        share: Of the samples, those nearer to a training picture than all but `USUAL_SHARE` of unseen real ones are.
        ratio: Median distance to the nearest training picture, over that of unseen real pictures: near 0 for copies.
        samples: How many.
    """

    share: float
    ratio: float
    samples: int


def nearest_neighbors(queries: NDArray[Any], known: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest known row of each query, and its Euclidean distance.

    Args:
        queries: (N, dim).
        known: (M, dim).

    Returns:
        (N,) index into `known`, and (N,) distance.
    """
    other = np.asarray(known, np.float64)
    norms = np.square(other).sum(1)
    index, distance = np.empty(len(queries), np.int64), np.empty(len(queries))
    for start in range(0, len(queries), _BLOCK_ROWS):
        rows = np.asarray(queries[start : start + _BLOCK_ROWS], np.float64)
        squared = np.square(rows).sum(1)[:, None] + norms[None] - 2 * rows @ other.T
        found = squared.argmin(1)
        index[start : start + len(rows)] = found
        # Once more from the difference: the product's rounding would hide a copy's distance of 0.
        distance[start : start + len(rows)] = np.sqrt(np.square(rows - other[found]).sum(1))
    return index, distance


def measure_memorization(samples: NDArray[Any], training: NDArray[Any], unseen: NDArray[Any]) -> Memorization:
    """Compare samples' distances to the training pictures with those of unseen real pictures.

    Args:
        samples: Features of generated pictures, (N, dim).
        training: Of the pictures that were trained on.
        unseen: Of real pictures that were not.
    """
    ours, usual = nearest_neighbors(samples, training)[1], nearest_neighbors(unseen, training)[1]
    middle = float(np.median(usual))
    return Memorization(
        share=float((ours < np.quantile(usual, FALSE_ALARM_RATE)).mean()),
        ratio=float(np.median(ours)) / middle if middle > 0 else 0.0,
        samples=len(samples),
    )
