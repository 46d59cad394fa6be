"""Fusions: N layers to one image, learnable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from mitlgan.networks.blocks import activation

if TYPE_CHECKING:
    from mitlgan.recipe import FusionRecipe


class Fused(NamedTuple):
    """What a fusion gives: an image (N, 3, H, W), and the matte (N, 1, H, W) in [0, 1] if it makes one."""

    image: Tensor
    matte: Tensor | None


class Conv1x1Fusion(nn.Module):
    """Concatenation, conv 1x1, activation (Table 7.3, first row).

    The same weights at every pixel: it makes no matte, and leaves the choice of who is in front to the translator.

    Args:
        recipe: The activation.
        layer_channels: Channels of each layer, by name, in the order of concatenation.
        image_channels: Channels of the fused image.
    """

    def __init__(self, recipe: FusionRecipe, layer_channels: Mapping[str, int], image_channels: int) -> None:
        super().__init__()
        self.order = tuple(layer_channels)
        self.conv = nn.Conv2d(sum(layer_channels.values()), image_channels, 1)
        self.activation = activation(recipe.activation, "composer.fusion.activation")

    def forward(self, layers: Mapping[str, Tensor]) -> Fused:
        """Fuse layers by name, each (N, C, H, W) in [-1, 1]; with ReLU the result is not negative."""
        joined = torch.cat([layers[name] for name in self.order], dim=1)  # (N, sum of C, H, W)
        return Fused(self.activation(self.conv(joined)), matte=None)


FUSIONS: dict[str, Callable[[FusionRecipe, Mapping[str, int], int], nn.Module]] = {"conv1x1": Conv1x1Fusion}
