"""Translators: image to image, after fusion."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError
from mitlgan.networks.blocks import activation, instancenorm_conv, refuse_kernel

if TYPE_CHECKING:
    from mitlgan.recipe import TranslatorRecipe

OUTER_KERNEL = 7


class DenseBlock(nn.Module):
    """Two convs whose output is concatenated to all earlier features.

    Args:
        in_channels: Channels of all earlier features together.
        growth: Channels that this block adds.
        inner_activation: Whether ReLU follows the first conv; the thesis prints none in its first block.
    """

    def __init__(self, in_channels: int, growth: int, *, inner_activation: bool) -> None:
        super().__init__()
        self.first = instancenorm_conv(in_channels, growth, 3, nn.ReLU() if inner_activation else None)
        self.second = instancenorm_conv(growth, growth, 3, nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, in_channels + growth, H, W)."""
        return torch.cat([features, self.second(self.first(features))], dim=1)


def check_dense(recipe: TranslatorRecipe, size_px: int) -> None:
    """Refuse what the dense translator cannot take, before anything is built.

    Raises:
        UsageError: The size cannot be halved as often as `widths` ask, or its first kernel is larger than the image.
    """
    if not recipe.widths:
        raise UsageError("composer.translator.widths: give at least one width")
    if recipe.blocks < 1:
        raise UsageError(f"composer.translator.blocks: {recipe.blocks} is too few; choose 1 or more")
    refuse_kernel(OUTER_KERNEL, size_px, "composer.translator.kind")
    halvings = len(recipe.widths) - 1
    # One pixel is too few: its InstanceNorm would divide by no variance.
    if size_px % 2**halvings or size_px >> halvings < 2:
        raise UsageError(
            f"composer.translator.widths: {len(recipe.widths)} widths halve the image {halvings} times, "
            f"which size_px = {size_px} does not allow; give fewer"
        )


def build_dense(recipe: TranslatorRecipe, size_px: int, image_channels: int) -> nn.Module:
    """Build the thesis' translator (Table 7.3): conv 7x7, stride-2 convs, dense blocks, as many upsamplings, conv 7x7.

    Affine InstanceNorm follows every conv, and ReLU all but the first of the first block and the last, whose activation the recipe names.

    Args:
        recipe: `widths` (channels at full size, half, a quarter, ...), number of dense `blocks`, last activation.
        size_px: Height and width.
        image_channels: Channels in and out.

    Raises:
        UsageError: See `check_dense`.
    """
    check_dense(recipe, size_px)
    widths = recipe.widths
    stages = OrderedDict[str, nn.Module](enter=instancenorm_conv(image_channels, widths[0], OUTER_KERNEL, nn.ReLU()))
    for i, (before, after) in enumerate(pairwise(widths), start=1):
        stages[f"down_{i}"] = instancenorm_conv(before, after, 3, nn.ReLU(), stride=2)
    for i in range(1, recipe.blocks + 1):
        stages[f"block_{i}"] = DenseBlock(widths[-1] * i, widths[-1], inner_activation=i > 1)
    channels = widths[-1] * (recipe.blocks + 1)
    for i, width in enumerate(reversed(widths[:-1]), start=1):
        stages[f"upsample_{i}"] = nn.Upsample(scale_factor=2, mode="nearest")
        stages[f"up_{i}"] = instancenorm_conv(channels, width, 3, nn.ReLU())
        channels = width
    last = activation(recipe.activation, "composer.translator.activation")
    stages["leave"] = instancenorm_conv(channels, image_channels, OUTER_KERNEL, last)
    return nn.Sequential(stages)


TRANSLATORS: dict[str, Callable[[TranslatorRecipe, int, int], nn.Module]] = {"dense": build_dense}
CHECKS: dict[str, Callable[[TranslatorRecipe, int], None]] = {"dense": check_dense}
