"""Feature networks inside other networks: read from their weights file, cut into stages, and never trained, initialized or saved."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError, raise_resource_fault
from mitlgan.networks.feature_networks import efficientnet_lite0, mobilenet_v2
from mitlgan.networks.feature_networks.spec import AbsentWeightsError, FeatureNetworkSpec
from mitlgan.networks.feature_networks.weights import read_weights, reinstall_advice

FEATURE_NETWORKS: Mapping[str, FeatureNetworkSpec] = MappingProxyType({spec.name: spec for spec in (mobilenet_v2.SPEC, efficientnet_lite0.SPEC)})
"""Networks that critics can look through, by the name that recipes have for them."""
STRIDES = (4, 8, 16, 32)
"""Size of the input over that of the features of each stage."""


class FeatureNetworkId(NamedTuple):
    """Which feature network another network contains.

    Attributes:
        name: A key of `FEATURE_NETWORKS`.
        sha256: Hash of its weights file.
    """

    name: str
    sha256: str


class FrozenFeatures(nn.Module):
    """Features of images at four depths of a pretrained network, with gradients to the images and none to its weights.

    Its weights are buffers outside the state: no optimiser, initialization, normalization or checkpoint knows them, and they follow the module to
    other devices and number types.

    Args:
        stages: Four blocks, each of which takes what the one before returns.
        spec: Of the network, for the normalization of its input.
    """

    is_one_block: ClassVar[bool] = True
    """Summaries show it as one row, see `mitlgan.networks.complexity.summarize_blocks`."""
    mean: Tensor
    std: Tensor

    def __init__(self, stages: nn.ModuleList, spec: FeatureNetworkSpec) -> None:
        super().__init__()
        self.stages = stages.eval()
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(spec, name)).view(1, 3, 1, 1))
        turn_parameters_into_buffers(self, is_saved=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features (N, C, H / stride, W / stride) of each stage, for the strides of `STRIDES`.

        Args:
            images: (N, 3, H, W) in [-1, 1]; H and W are multiples of 32.
        """
        value = ((images + 1) / 2 - self.mean) / self.std
        features = []
        for stage in self.stages:
            value = stage(value)
            features.append(value)
        return features

    def train(self, mode: bool = True) -> FrozenFeatures:
        """Stay in eval mode."""
        return super().train(False)


def load_frozen_features(name: str, option: str) -> FrozenFeatures:
    """Read a feature network from its weights file, onto torch's default device.

    Args:
        name: A key of `FEATURE_NETWORKS`.
        option: Begins the message of an error.

    Raises:
        AbsentWeightsError: The weights are not on this machine.
        UsageError: The file has another hash or cannot be read.
    """
    spec = FEATURE_NETWORKS[name]
    assert spec.stages is not None
    label = f'{option} = "{name}"'
    require_weights(name, option)
    path = spec.locate(None)
    state, _ = read_weights(path, spec, label=f"{label}: {path}", advice=reinstall_advice(spec))
    device = torch.get_default_device()  # the meta device, where only a structure is asked for
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # initial weights, which are replaced, use up no random numbers
            features = FrozenFeatures(nn.ModuleList(spec.stages(spec.build(state))), spec)
    except (RuntimeError, ValueError) as error:
        raise_resource_fault(error, label)
        raise UsageError(f"{label}: {path}: does not fit the network; {reinstall_advice(spec)}") from error
    return features.to(device).to(memory_format=torch.channels_last)  # the faster order for its convolutions on a CPU


def require_weights(name: str, option: str) -> None:
    """Refuse a feature network whose weights are absent, without reading them.

    Raises:
        AbsentWeightsError: One line that begins with the option and says how to get them.
    """
    try:
        FEATURE_NETWORKS[name].locate(None)
    except AbsentWeightsError as error:
        raise AbsentWeightsError(f'{option} = "{name}": {str(error).partition(": ")[2]}') from None


def turn_parameters_into_buffers(network: nn.Module, *, is_saved: bool) -> None:
    """Take the parameters of a network out of training for good; they become buffers of the same names.

    Args:
        network: Changed in place; buffers that it had stay buffers.
        is_saved: Whether they belong to the state, which checkpoints and artifacts hold.
    """
    for module in network.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            delattr(module, name)
            module.register_buffer(name, tensor.detach(), persistent=is_saved)
