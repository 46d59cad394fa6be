"""The distance at infinitely many samples: known distances come out, biased ones at finite n do not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mitlgan.errors import DataError
from mitlgan.metrics.extrapolation import MIN_SAMPLES, frechet_infinity
from mitlgan.metrics.frechet import frechet_from_features


def gaussian(count: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((count, 24)) * scale + shift


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.2, 1.0), (0.0, 1.3), (0.1, 0.8)])
def test_gaussians_with_known_distance(shift: float, scale: float) -> None:
    truth = 24 * (shift**2 + (scale - 1) ** 2)
    real, fake = gaussian(2000, 1), gaussian(2000, 2, shift, scale)
    found = frechet_infinity(real, fake)
    biased = frechet_from_features(real, fake)
    # At shift or scale the sampling noise of the mean is as large as the bias: allow for it.
    noise = 3 * (2 * shift * np.sqrt(24 * 2 / 2000) + 2 * abs(scale - 1) * np.sqrt(24 / 2000)) + 0.05
    assert found.value == pytest.approx(truth, abs=noise)
    if shift == 0 and scale == 1:
        assert abs(found.value) < biased / 4


def test_the_line_is_drawn_between_half_and_all_samples() -> None:
    found = frechet_infinity(gaussian(400, 1), gaussian(300, 2), points=5)
    assert (min(found.sizes), max(found.sizes), len(found.distances)) == (150, 300, 5)
    assert list(found.sizes) == sorted(found.sizes)
    slope, value = np.polyfit(1 / np.array(found.sizes), found.distances, 1)
    assert found.value == pytest.approx(value)
    assert slope > 0
    assert found.std_error > 0


def test_the_error_is_that_of_a_fitted_line(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = iter([0.1, -0.2, 0.3, -0.1, 0.0, 0.2])
    monkeypatch.setattr("mitlgan.metrics.extrapolation.frechet_from_features", lambda real, fake: 5 + 40 / len(real) + next(noise))
    found = frechet_infinity(gaussian(400, 1), gaussian(400, 2))
    _, covariance = np.polyfit(1 / np.array(found.sizes), found.distances, 1, cov="unscaled")
    inverse = 1 / np.array(found.sizes)
    residual = np.array(found.distances) - np.polyval(np.polyfit(inverse, found.distances, 1), inverse)
    assert found.std_error == pytest.approx(float(np.sqrt(covariance[1, 1] * (residual @ residual) / 4)), rel=1e-6)


def test_equal_seeds_give_equal_numbers_and_few_samples_are_refused() -> None:
    real, fake = gaussian(200, 1), gaussian(200, 2)
    assert frechet_infinity(real, fake, seed=3) == frechet_infinity(real, fake, seed=3)
    assert frechet_infinity(real, fake, seed=3) != frechet_infinity(real, fake, seed=4)
    with pytest.raises(DataError, match="at least 64"):
        frechet_infinity(real, fake[: MIN_SAMPLES - 1])
