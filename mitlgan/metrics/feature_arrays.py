"""Arrays of features that metrics compare: checks, blocks of rows, pairwise distances, all in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitlgan.errors import DataError, NanError

if TYPE_CHECKING:
    from mitlgan.metrics.clipping import ClippingCounter
    from mitlgan.metrics.extractors.extractor import Extractor

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

BLOCK_ROWS = 512
"""Rows of a pairwise matrix in memory at once: 512 x N float64, whatever N."""
_SAME_PICTURE = 1e-12
"""Squared distances below this share of the squared norms are rounding errors: features are float32, which has a relative step of 1e-7."""


@dataclass(frozen=True)
class FeatureSets:
    """Features of real and generated images, with everything else that a metric may need.

    Attributes:
        real: (N, dim) features of real images.
        fake: (M, dim) features of generated images.
        extractor: Network that computed the features.
        clipping: Counts of clipped pixels in the generated images.
        seed: Seed of random subsets.
        extrapolate: Whether to extrapolate the Frechet distance to infinitely many samples.
    """

    real: npt.NDArray[np.float32]
    fake: npt.NDArray[np.float32]
    extractor: Extractor
    clipping: ClippingCounter
    seed: int
    extrapolate: bool


def checked_features(features: Array, min_rows: int = 2) -> Float64:
    """Return features (N, dim) as float64.

    Raises:
        ValueError: The array is not two-dimensional.
        DataError: It has fewer than `min_rows` rows.
        NanError: A value is not finite.
    """
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"features must be (N, dim), not {rows.shape}")
    if len(rows) < min_rows:
        raise DataError(f"samples: {len(rows)} images are too few here, at least {min_rows} are needed")
    if not np.isfinite(rows).all():
        raise NanError("features: not finite; the images or the extractor's weights hold NaN or Inf")
    return rows


def row_blocks(count: int, rows: int | None = None) -> Iterator[slice]:
    """Yield slices of at most `rows` (default `BLOCK_ROWS`) that cover `range(count)`."""
    rows = rows or BLOCK_ROWS
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))


def squared_distances(x: Float64, y: Float64) -> Float64:
    """Return |x_i - y_j|^2, shape (len(x), len(y)); distances within rounding of 0 (duplicates) are exactly 0."""
    norms: Float64 = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)[None, :]
    squared = norms - 2.0 * (x @ y.T)
    squared[squared < _SAME_PICTURE * norms] = 0.0
    return squared
