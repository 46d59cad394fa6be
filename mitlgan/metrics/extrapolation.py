"""The Frechet distance of infinitely many samples, from how it falls with their number.

A Frechet distance of n samples comes out too high by about c / n, and c differs between generators, so that even equal n can rank two of them
wrongly. A line through the distances at several n, read off at 1 / n = 0, is without that bias (Chong and Forsyth 2020, Effectively Unbiased
FID and Inception Score, section 4; they vary the generated side only, because they take the real set for the whole truth: here both sides have n
samples, since the real sets of this project are small, too).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitlgan.errors import DataError
from mitlgan.metrics.distances import frechet_from_features

SIZES = 6
MIN_SAMPLES = 64


@dataclass(frozen=True)
class ExtrapolatedDistance:
    """A distance read off at infinitely many samples.

    Attributes:
        value: The line at 1 / n = 0, in squared units of the features; noise can make it negative.
        std_error: Of that value, from the scatter about the line. How far the true curve bends below half of the samples is not in it.
        sizes: Samples of each side at the points.
        distances: The distances there.
    """

    value: float
    std_error: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_infinity(real: NDArray[Any], fake: NDArray[Any], *, sizes: int = SIZES, seed: int = 0) -> ExtrapolatedDistance:
    """Squared Frechet distance of two feature sets, extrapolated to infinitely many samples of each.

    The points lie between half of the smaller set and all of it, evenly in 1 / n: with fewer samples than that, in as many dimensions as networks
    have, the distance no longer falls as 1 / n.

    Args:
        real: (N, dim).
        fake: (M, dim).
        sizes: Points of the line.
        seed: Of the random subsets.

    Raises:
        DataError: Fewer than `FEWEST` samples on a side.
    """
    fewest = min(len(real), len(fake))
    if fewest < MIN_SAMPLES:
        raise DataError(f"samples: {fewest} images are too few to extrapolate from; at least {MIN_SAMPLES} are needed")
    rng = np.random.default_rng(seed)
    counts = tuple(round(1 / share) for share in np.linspace(2 / fewest, 1 / fewest, sizes))
    found = [frechet_from_features(*(side[rng.permutation(len(side))[:count]] for side in (real, fake))) for count in counts]
    inverse = 1 / np.array(counts)
    slope, value = np.polyfit(inverse, found, 1)
    residual = np.array(found) - (value + slope * inverse)
    spread = float(np.square(residual).sum()) / (sizes - 2)
    centred = inverse - inverse.mean()
    error = spread * (1 / sizes + inverse.mean() ** 2 / float(np.square(centred).sum()))
    return ExtrapolatedDistance(float(value), float(np.sqrt(error)), counts, tuple(found))
