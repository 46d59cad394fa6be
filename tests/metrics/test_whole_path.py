"""The whole path, images in and numbers out, against torch-fidelity with our extractor registered as one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mitlgan.data.demo import demo_pack
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.metrics.protocol import EvalProtocol, evaluate_stream

torch_fidelity = pytest.importorskip("torch_fidelity")

COUNT, NAME = 160, "mitlgan-lite0"


class Pictures(torch.utils.data.Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


class First(nn.Module):
    """The first features only: the other side takes the root of a matrix of dim x dim, which is exact only at full rank, and slow."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.dim]


@pytest.fixture(scope="module")
def network() -> Extractor:
    found = open_extractor("efficientnet-lite0@32")
    found._network, found.dim = nn.Sequential(found._network, First(48)), 48
    return found


@pytest.fixture(scope="module")
def registered(network: Extractor) -> str:
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Registered(FeatureExtractorBase):  # type: ignore[misc]
        def __init__(self, name: str, features_list: list[str], **_: object) -> None:
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str]:
            return ("pooled",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "pooled"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, images: Tensor) -> tuple[Tensor]:
            return (network(images),)

    torch_fidelity.register_feature_extractor(NAME, Registered)
    return NAME


def spoilt(images: Tensor) -> Iterator[Tensor]:
    """In uneven parts, as a generator might give them."""
    darker = (images.float() * 0.8 + 10).round().to(torch.uint8)
    yield darker[:7]
    yield darker[7:]


def test_the_whole_path_agrees_with_torch_fidelity(network: Extractor, registered: str, shared_cache: Path) -> None:
    scenes: ImagePack = demo_pack("scene", 32, split="test", count=COUNT)
    other = demo_pack("scene", 32, split="validation", count=COUNT).batch(np.arange(COUNT))
    ours = evaluate_stream(spoilt(other), scenes, EvalProtocol(samples=COUNT, seed=5), extractor=network)
    theirs = torch_fidelity.calculate_metrics(
        input1=Pictures(scenes.batch(np.arange(COUNT))),
        input2=Pictures(torch.cat(list(spoilt(other)))),
        feature_extractor=registered,
        fid=True, kid=True, prc=True, cuda=False, save_cpu_ram=True, batch_size=32, cache=False, verbose=False,
        kid_subsets=ours["kid"]["subsets"], kid_subset_size=ours["kid"]["subset_size"], rng_seed=5, prc_neighborhood=5,
    )  # fmt: skip
    assert ours["frechet"]["value"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    assert ours["kid"]["value"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours["kid"]["std"] == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)
    # Its precision and recall take the generated pictures first, its other metrics the real ones: so here the two change places.
    assert ours["recall"]["value"] == pytest.approx(theirs["precision"], abs=1e-9)
    assert ours["precision"]["value"] == pytest.approx(theirs["recall"], abs=1e-9)
