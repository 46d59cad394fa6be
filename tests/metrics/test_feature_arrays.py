"""Features that cannot be measured are refused."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.random_features import features

from mitlgan.errors import DataError, NanError
from mitlgan.metrics.frechet import frechet_from_features
from mitlgan.metrics.kid import kernel_distance
from mitlgan.metrics.manifold import manifold_metrics


def test_what_cannot_be_measured_is_refused() -> None:
    good = features(10, 4, 0)
    bad = good.copy()
    bad[3, 2] = np.nan
    for measure in (frechet_from_features, kernel_distance, manifold_metrics):
        with pytest.raises(NanError):
            measure(good, bad)
        with pytest.raises(DataError, match="at least"):
            measure(good, good[:1])
    with pytest.raises(ValueError, match="must be"):
        frechet_from_features(good[0], good)
