"""A translator of residual blocks."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

from torch import Tensor, nn

from mitlgan.networks.registry import TRANSLATORS
from mitlgan.networks.translators.encoder_decoder import conv_norm_act, downsample_stages, upsample_stages, wrap_output
from mitlgan.recipe.schema.translators import ResnetTranslatorRecipe


class ResidualBlock(nn.Module):
    """Two convolutions whose output is added to their input (He et al. 2016), without activation (Johnson et al. 2016, supplement).

    Args:
        change: (N, C, H, W) to (N, C, H, W).
    """

    def __init__(self, change: nn.Sequential) -> None:
        super().__init__()
        self.change = change

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W) of the same shape."""
        return features + cast(Tensor, self.change(features))


@TRANSLATORS.register(ResnetTranslatorRecipe)
def build_resnet(recipe: ResnetTranslatorRecipe, image_channels: int) -> nn.Module:
    """Build conv 7x7, stride-2 convs, residual blocks, as many upsamplings with conv, conv 7x7 (Johnson et al. 2016, table 1).

    Affine InstanceNorm replaces their BatchNorm, as in the thesis' translator; upsampling and a convolution replace their strided ones, which leave a
    checkerboard; the outer kernels are 7x7 instead of 9x9, so that 8 px are enough.

    Args:
        recipe: `widths`, `blocks`, last activation.
        image_channels: Channels in and out.
    """
    width = recipe.widths[-1]
    stages = downsample_stages(recipe.widths, image_channels)
    for i in range(1, recipe.blocks + 1):
        change = OrderedDict[str, nn.Module](first=conv_norm_act(width, width, 3, nn.ReLU()), second=conv_norm_act(width, width, 3, None))
        stages[f"block_{i}"] = ResidualBlock(nn.Sequential(change))
    stages |= upsample_stages(width, recipe.widths, image_channels, recipe)
    return wrap_output(nn.Sequential(stages), recipe)
