"""Precision, recall, density and coverage: their definitions, and agreement with an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.random_features import features
from numpy.typing import NDArray

from mitlgan.metrics import feature_arrays
from mitlgan.metrics.diversity import mean_pairwise_distance
from mitlgan.metrics.manifold import manifold_metrics


def by_definition(real: NDArray[np.float32], fake: NDArray[np.float32], k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density, coverage straight from the papers' formulas, one pair at a time."""

    def radius(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.array([np.sort([np.linalg.norm(x - y) for y in rows])[k] for x in rows])

    between = np.array([[np.linalg.norm(x - y) for y in fake] for x in real.astype(np.float64)])
    in_real, in_fake = between <= radius(real.astype(np.float64))[:, None], between <= radius(fake.astype(np.float64))[None, :]
    return in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum(0).mean() / k, in_real.any(1).mean()


@pytest.mark.parametrize("k", [3, 5])
def test_manifold_metrics_follow_their_definitions(k: int) -> None:
    real, fake = features(60, 6, 14), features(70, 6, 15, 0.3)
    found = manifold_metrics(real, fake, neighbors=k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(by_definition(real, fake, k), rel=1e-12)


def test_manifold_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = features(200, 10, 16), features(150, 10, 17, 0.2)
    whole = manifold_metrics(real, fake)
    spread = mean_pairwise_distance(real)
    monkeypatch.setattr(feature_arrays, "BLOCK_ROWS", 7)
    assert manifold_metrics(real, fake) == whole
    assert mean_pairwise_distance(real) == pytest.approx(spread, rel=1e-12)


def test_precision_and_recall_agree_with_torch_fidelity() -> None:
    metric_prc = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = features(200, 10, 18), features(220, 10, 19, 0.2)
    theirs = metric_prc.prc_features_to_metric(
        torch.from_numpy(fake).double(),
        torch.from_numpy(real).double(),
        prc_neighborhood=3,
        prc_batch_size=64,
        save_cpu_ram=False,
        verbose=False,
    )
    ours = manifold_metrics(real, fake, neighbors=3)
    assert ours.precision == pytest.approx(theirs["precision"], rel=1e-6)
    assert ours.recall == pytest.approx(theirs["recall"], rel=1e-6)


def test_manifold_metrics_see_dropped_modes_and_strangers() -> None:
    rng = np.random.default_rng(3)
    real = np.concatenate([rng.standard_normal((100, 4)), rng.standard_normal((100, 4)) + 50])
    one_mode = rng.standard_normal((100, 4))
    assert manifold_metrics(real, one_mode).precision > 0.9
    assert manifold_metrics(real, one_mode).recall < 0.6
    assert manifold_metrics(real, one_mode).coverage < 0.6
    strangers = rng.standard_normal((100, 4)) - 50
    assert manifold_metrics(real, strangers).precision == manifold_metrics(real, strangers).density == manifold_metrics(real, strangers).coverage == 0
    same = manifold_metrics(real, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert same.density == pytest.approx(1.2)  # k neighbours and the picture itself, over k = 5
