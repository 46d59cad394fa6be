"""The thesis' translator of dense blocks (Table 7.3)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from mitlgan.networks.registry import TRANSLATORS
from mitlgan.networks.translators.encoder_decoder import OUTPUT_ACTIVATIONS, output_head, wrap_output
from mitlgan.networks.translators.recomputed_concat import apply_to_concat, concat_features
from mitlgan.recipe.schema.translators import OUTER_KERNEL, DenseTranslatorRecipe


class DenseBlock(nn.Module):
    """Two convolutions over all earlier features.

    Args:
        in_channels: Channels of all earlier features together.
        growth: Channels of its output.
        inner_activation: Whether ReLU follows the first conv; the thesis prints none in its first block.
    """

    def __init__(self, in_channels: int, growth: int, *, inner_activation: bool) -> None:
        super().__init__()
        self.first = instancenorm_conv(in_channels, growth, 3, nn.ReLU() if inner_activation else None)
        self.second = instancenorm_conv(growth, growth, 3, nn.ReLU())

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (N, growth, H, W) of earlier features, (N, C_i, H, W) each, in_channels in total."""
        return cast(Tensor, self.second(apply_to_concat(self.first, features)))


class DenseTranslator(nn.Module):
    """Conv 7x7, stride-2 convs, dense blocks, as many upsamplings, conv 7x7.

    Args:
        recipe: `widths` (channels at full size, half, a quarter, ...), number of dense `blocks`, last activation.
        image_channels: Channels in and out.
    """

    def __init__(self, recipe: DenseTranslatorRecipe, image_channels: int) -> None:
        super().__init__()
        widths = recipe.widths
        self.halvings = range(1, len(widths))
        self.blocks = range(1, recipe.blocks + 1)
        self.enter = instancenorm_conv(image_channels, widths[0], OUTER_KERNEL, nn.ReLU())
        for i, (before, after) in enumerate(pairwise(widths), start=1):
            self.add_module(f"down_{i}", instancenorm_conv(before, after, 3, nn.ReLU(), stride=2))
        for i in self.blocks:
            self.add_module(f"block_{i}", DenseBlock(widths[-1] * i, widths[-1], inner_activation=i > 1))
        channels = widths[-1] * (recipe.blocks + 1)
        for i, width in enumerate(reversed(widths[:-1]), start=1):
            self.add_module(f"upsample_{i}", nn.Upsample(scale_factor=2, mode="nearest"))
            self.add_module(f"up_{i}", instancenorm_conv(channels, width, 3, nn.ReLU()))
            channels = width
        if recipe.activation == "residual":
            self.leave = output_head(channels, image_channels, OUTER_KERNEL, recipe)
        else:
            self.leave = instancenorm_conv(channels, image_channels, OUTER_KERNEL, OUTPUT_ACTIVATIONS[recipe.activation]())

    def forward(self, image: Tensor) -> Tensor:
        """Translate images (N, C, H, W)."""
        value: Tensor = self.enter(image)
        for i in self.halvings:
            value = self.get_submodule(f"down_{i}")(value)
        features = [value]
        for i in self.blocks:
            features.append(self.get_submodule(f"block_{i}")(features))
        value = concat_features(features)
        for i in self.halvings:
            value = self.get_submodule(f"up_{i}")(self.get_submodule(f"upsample_{i}")(value))
        return cast(Tensor, self.leave(value))


@TRANSLATORS.register(DenseTranslatorRecipe)
def build_dense(recipe: DenseTranslatorRecipe, image_channels: int) -> nn.Module:
    """Build the thesis' translator (Table 7.3).

    Affine InstanceNorm follows every convolution, and ReLU all but the first of the first block and the last, whose activation the recipe sets. For
    `residual` the last has no InstanceNorm, so that it can start at zero.

    Args:
        recipe: See `DenseTranslator`.
        image_channels: Channels in and out.
    """
    return wrap_output(DenseTranslator(recipe, image_channels), recipe)


def instancenorm_conv(in_channels: int, out_channels: int, kernel: int, last: nn.Module | None, stride: int = 1) -> nn.Sequential:
    """Return a convolution with bias, affine InstanceNorm, and an activation if any (the row of Table 7.3).

    The bias has no effect before the normalization, but the thesis counts it.
    """
    block = OrderedDict[str, nn.Module](
        conv=nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2),
        norm=nn.InstanceNorm2d(out_channels, affine=True),
    )
    if last is not None:
        block["activation"] = last
    return nn.Sequential(block)
