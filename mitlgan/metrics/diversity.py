"""Diversity of generated images: how far apart they are in features, compared with real images."""

from __future__ import annotations

from typing import Any

import numpy as np

from mitlgan.metrics.feature_arrays import Array, FeatureSets, checked_features, row_blocks, squared_distances

COLLAPSE_DIVERSITY = 0.25
"""Below this diversity, samples are nearly alike: mode collapse."""


def measure_diversity(sets: FeatureSets) -> dict[str, dict[str, Any]]:
    """Return the metric `diversity`: mean pairwise distance of generated images over that of real ones; near 0 if samples are all alike."""
    real_distance = mean_pairwise_distance(sets.real)
    return {"diversity": {"value": mean_pairwise_distance(sets.fake) / real_distance if real_distance > 0 else 0.0}}


def mean_pairwise_distance(features: Array) -> float:
    """Return the mean Euclidean distance over all pairs i != j of features (N, dim)."""
    rows = checked_features(features)
    total = sum(float(np.sqrt(squared_distances(rows[block], rows)).sum()) for block in row_blocks(len(rows)))
    return total / (len(rows) * (len(rows) - 1))
