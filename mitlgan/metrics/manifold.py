"""Precision, recall, density and coverage from k-nearest-neighbor balls around features."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mitlgan.metrics.feature_arrays import Array, FeatureSets, Float64, checked_features, row_blocks, squared_distances

NEIGHBORS = 5


@dataclass(frozen=True)
class ManifoldResult:
    """Fidelity and diversity, each a share in [0, 1]; density can exceed 1.

    precision: fakes inside some real ball; recall: reals inside some fake ball (Kynkaanniemi et al. 2019, eq. 1-2);
    density: real balls around a fake, over k; coverage: reals whose ball holds a fake (Naeem et al. 2020, eq. 3 and 5).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def measure_manifold(sets: FeatureSets) -> dict[str, dict[str, Any]]:
    """Return the metrics `precision`, `recall`, `density` and `coverage`, or none if there are too few images."""
    if min(len(sets.real), len(sets.fake)) <= NEIGHBORS:
        return {}
    shares = asdict(manifold_metrics(sets.real, sets.fake, neighbors=NEIGHBORS))
    return {key: {"value": share, "neighbours": NEIGHBORS} for key, share in shares.items()}


def manifold_metrics(real: Array, fake: Array, *, neighbors: int = NEIGHBORS) -> ManifoldResult:
    """Compute precision, recall, density and coverage in blocks of rows.

    Args:
        real: (N, dim), N > neighbors.
        fake: (M, dim), M > neighbors.
        neighbors: k; 3 is usual for precision and recall, 5 for density and coverage.
    """
    first, second = checked_features(real, min_rows=neighbors + 1), checked_features(fake, min_rows=neighbors + 1)
    real_radius, fake_radius = _squared_radii(first, neighbors), _squared_radii(second, neighbors)
    inside_fake = 0
    inside_real = np.zeros(len(second), np.int64)
    covered = 0
    for rows in row_blocks(len(first)):
        squared = squared_distances(first[rows], second)  # (rows, M)
        in_real_ball = squared <= real_radius[rows, None]
        inside_real += in_real_ball.sum(axis=0)
        covered += int(in_real_ball.any(axis=1).sum())
        inside_fake += int((squared <= fake_radius).any(axis=1).sum())
    return ManifoldResult(
        precision=float((inside_real > 0).mean()),
        recall=inside_fake / len(first),
        density=float(inside_real.mean()) / neighbors,
        coverage=covered / len(first),
    )


def _squared_radii(rows: Float64, neighbors: int) -> Float64:
    """Return the squared distance of each row to its k-th nearest other row."""
    parts = []
    for block in row_blocks(len(rows)):
        squared = squared_distances(rows[block], rows)
        parts.append(np.partition(squared, neighbors, axis=1)[:, neighbors])  # [0] is the row itself
    return np.concatenate(parts)
