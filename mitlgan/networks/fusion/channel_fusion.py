"""Fusion by the same weights at every pixel: concatenation and a 1x1 convolution, or addition."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.networks.blocks import activation
from mitlgan.networks.fusion.interface import CONCATENATION, Fusion, FusionInput, FusionOutput, LayerSpec
from mitlgan.networks.initialization import initialize_weights
from mitlgan.networks.registry import FUSIONS
from mitlgan.recipe.schema.composer import (
    AddFusionRecipe,
    AddNormFusionRecipe,
    AnyChannelFusion,
    Conv1x1FusionRecipe,
    NormConv1x1FusionRecipe,
    PlacementRecipe,
)

CHANNELS = 3


@FUSIONS.register(Conv1x1FusionRecipe, NormConv1x1FusionRecipe, AddFusionRecipe, AddNormFusionRecipe)
class ChannelFusion(Fusion):
    """Concatenation and a 1x1 convolution, or addition; then an activation, with InstanceNorm if the recipe has it (Table 7.3, first row).

    The weights are the same at every pixel, so it makes no matte: the translator decides which layer is in front.

    Args:
        recipe: Kind and activation.
        layers: By name, in the order of concatenation.
        size_px: Not used.
        placement: Not used; the schema refuses one.
    """

    def __init__(self, recipe: AnyChannelFusion, layers: Mapping[str, LayerSpec], size_px: int, placement: PlacementRecipe | None) -> None:
        super().__init__(recipe, layers, size_px, placement)
        self.order = tuple(layers)
        channels = sum(layer.channels for layer in layers.values())
        self.joint = CONCATENATION if recipe.kind in ("conv1x1", "norm-conv1x1") else "addition"
        self.conv: nn.Module | None = None
        self.norm: nn.Module | None = None
        if recipe.kind in ("conv1x1", "norm-conv1x1"):
            self.conv = nn.Conv2d(channels, CHANNELS, 1)
            initialize_weights(self.conv, getattr(recipe, "init", None), None)
        if recipe.kind == "norm-conv1x1":
            self.norm = nn.InstanceNorm2d(channels, affine=True)
        elif recipe.kind == "add-norm":
            self.norm = nn.InstanceNorm2d(CHANNELS, affine=True)
        self.activation = activation(recipe.activation, "composer.fusion.activation")

    def forward(self, inputs: FusionInput) -> FusionOutput:
        """Fuse the layers; with ReLU the image is non-negative, and a sum is not bounded by 1."""
        images = [inputs.images[name] for name in self.order]
        if self.conv is None:
            value = torch.stack([to_opaque_rgb(image) for image in images]).sum(0)  # (N, 3, H, W)
            return FusionOutput(self.activation(value if self.norm is None else self.norm(value)))
        value = torch.cat(images, dim=1)  # (N, sum of C, H, W)
        return FusionOutput(self.activation(self.conv(value if self.norm is None else self.norm(value))))
