"""The Frechet distance extrapolated to infinitely many samples.

A Frechet distance of n samples is too high by about c / n, and c differs between generators, so that even equal n can rank two of them wrongly. A line
through the distances at several n, read off at 1 / n = 0, removes that bias (Chong and Forsyth 2020, Effectively Unbiased FID and Inception Score,
section 4). They vary only the number of generated images and take the real set as the whole truth. Here both sides have n samples, because the real
sets of this project are small as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitlgan.errors import DataError
from mitlgan.metrics.feature_arrays import FeatureSets
from mitlgan.metrics.frechet import frechet_from_features

POINTS = 6
MIN_SAMPLES = 64


@dataclass(frozen=True)
class ExtrapolatedDistance:
    """A distance read off at infinitely many samples.

    Attributes:
        value: The line at 1 / n = 0, in squared units of the features; noise can make it negative.
        std_error: Standard error of the value, from the scatter around the line; excludes how the true curve bends below half of the samples.
        sizes: Samples per side at each point.
        distances: The distance at each point.
    """

    value: float
    std_error: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def measure_frechet_infinity(sets: FeatureSets) -> dict[str, dict[str, Any]]:
    """Return the metric `frechet_infinity` if it was requested."""
    if not sets.extrapolate:
        return {}
    line = frechet_infinity(sets.real, sets.fake, seed=sets.seed)
    return {"frechet_infinity": {"value": line.value, "std_error": line.std_error, "sizes": line.sizes, "distances": line.distances}}


def frechet_infinity(real: NDArray[Any], fake: NDArray[Any], *, points: int = POINTS, seed: int = 0) -> ExtrapolatedDistance:
    """Extrapolate the squared Frechet distance of two feature sets to infinitely many samples of each.

    The points lie between half of the smaller set and all of it, evenly in 1 / n: with fewer samples than that, in as many dimensions as networks
    have, the distance no longer falls as 1 / n.

    Args:
        real: (N, dim).
        fake: (M, dim).
        points: Points of the line.
        seed: Seed of the random subsets.

    Raises:
        DataError: A side has fewer than `MIN_SAMPLES` samples.
    """
    smaller = min(len(real), len(fake))
    if smaller < MIN_SAMPLES:
        raise DataError(f"samples: {smaller} images are too few to extrapolate from; at least {MIN_SAMPLES} are needed")
    rng = np.random.default_rng(seed)
    counts = tuple(round(1 / share) for share in np.linspace(2 / smaller, 1 / smaller, points))
    distances = [frechet_from_features(*(side[rng.permutation(len(side))[:count]] for side in (real, fake))) for count in counts]
    inverse = 1 / np.array(counts)
    slope, value = np.polyfit(inverse, distances, 1)
    residual = np.array(distances) - (value + slope * inverse)
    variance = float(np.square(residual).sum()) / (points - 2)
    centered = inverse - inverse.mean()
    error = variance * (1 / points + inverse.mean() ** 2 / float(np.square(centered).sum()))
    return ExtrapolatedDistance(float(value), float(np.sqrt(error)), counts, tuple(distances))
