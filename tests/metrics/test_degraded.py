"""Five ways to spoil a set of real pictures, each at three severities: which metric sees which, and which it is blind to."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from mitlgan.data.demo import demo_pack
from mitlgan.metrics.diversity import mean_pairwise_distance
from mitlgan.metrics.extractors.extractor import extract_features
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.metrics.frechet import frechet_from_features
from mitlgan.metrics.kid import kernel_distance
from mitlgan.metrics.manifold import manifold_metrics

COUNT, POOL = 200, 2000
BETTER = {"fd": -1, "kid": -1, "precision": 1, "recall": 1, "density": 1, "coverage": 1, "diversity": 1}
"""Which way is better, by metric."""

SEVERITIES = {"blur": (0.9, 1.4, 2.5), "noise": (8, 20, 50), "colour cast": (30, 50, 90), "mode dropped": (0.6, 0.8, 0.9), "duplicates": (2, 4, 10)}

BLIND = {
    "precision": {"blur", "noise", "mode dropped", "duplicates"},
    "density": {"blur", "noise", "mode dropped", "duplicates"},
    "diversity": {"mode dropped"},
}
"""Precision and density ask only whether each picture is near some real ones: a few good pictures, again and again, satisfy them, and so do
pictures that crowd together (blurred, or so noisy that all look alike to the network). Diversity is a mean over all pairs, which one mode can
have, too. So recall, coverage or the distances must stand beside them."""

Features = NDArray[np.float32]


def noisy(images: Tensor, severity: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (images.float() + severity * noise).round().clamp(0, 255).to(torch.uint8)


def cast(images: Tensor, severity: float) -> Tensor:
    return (images.float() + severity * torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)).round().clamp(0, 255).to(torch.uint8)


def measures(real: Features, other: Features) -> dict[str, float]:
    balls = manifold_metrics(real, other)
    return {
        "fd": frechet_from_features(real, other),
        "kid": kernel_distance(real, other, subsets=30, subset_size=COUNT // 2).mean,
        "diversity": mean_pairwise_distance(other) / mean_pairwise_distance(real),
        **{key: getattr(balls, key) for key in ("precision", "recall", "density", "coverage")},
    }


@pytest.fixture(scope="module")
def measured(shared_cache: Path) -> dict[str, list[dict[str, float]]]:
    """By kind: the measures of an unspoilt set, then of the three severities, all of `COUNT` pictures."""
    network = open_extractor("efficientnet-lite0@64")
    scenes = demo_pack("scene", 32, split="test", count=COUNT + POOL)
    images = scenes.batch(np.arange(COUNT + POOL))
    known = extract_features(network, [images])
    real, pool, copy = known[:COUNT], known[COUNT:], images[COUNT : 2 * COUNT]
    cold_first = (images[COUNT:, 0].float() - images[COUNT:, 2].float()).mean((1, 2)).argsort().numpy()
    spoilt: dict[str, list[Features]] = {kind: [pool[:COUNT]] for kind in SEVERITIES}
    for kind, severities in SEVERITIES.items():
        for severity in severities:
            if kind == "mode dropped":  # the warm pictures; as many others are there
                kept = np.sort(cold_first[: int(len(pool) * (1 - severity))])
                spoilt[kind].append(pool[kept[:COUNT]])
            elif kind == "duplicates":
                spoilt[kind].append(pool[np.arange(COUNT) % (COUNT // int(severity))])
            else:
                change = {"blur": lambda x, s: gaussian_blur(x, [11, 11], [s, s]), "noise": noisy, "colour cast": cast}[kind]
                spoilt[kind].append(extract_features(network, [change(copy, severity)]))
    return {kind: [measures(real, features) for features in sets] for kind, sets in spoilt.items()}


@pytest.mark.parametrize("kind", SEVERITIES)
@pytest.mark.parametrize("metric", BETTER)
def test_every_metric_ranks_severities_or_is_listed_as_blind(measured: dict[str, list[dict[str, float]]], metric: str, kind: str) -> None:
    values = [BETTER[metric] * found[metric] for found in measured[kind]]
    ranked = all(worse < better for better, worse in pairwise(values))
    assert ranked == (kind not in BLIND.get(metric, set())), f"{metric} on {kind}: {values}"


def test_no_kind_escapes_the_two_distances() -> None:
    assert not {"fd", "kid"} & set(BLIND)
