"""A translator that is a plain DenseNet."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from mitlgan.networks.registry import TRANSLATORS
from mitlgan.networks.translators.encoder_decoder import downsample_stages, upsample_stages, wrap_output
from mitlgan.networks.translators.recomputed_concat import apply_to_concat, concat_features
from mitlgan.recipe.schema.translators import DensenetTranslatorRecipe

BOTTLENECK = 4
"""Channels of the 1x1 convs, in growth rates (Huang et al. 2017, section 3)."""


class DenselyConnected(nn.Module):
    """A dense block: each step gets the input and the outputs of all earlier steps.

    Args:
        in_channels: Input channels.
        growth_rate: Channels that each step adds.
        steps: Number of them.
        bottleneck: Whether each begins with a 1x1 conv.
    """

    def __init__(self, in_channels: int, growth_rate: int, steps: int, *, bottleneck: bool) -> None:
        super().__init__()
        self.steps = nn.Sequential(
            OrderedDict((f"step_{i + 1}", _step(in_channels + i * growth_rate, growth_rate, bottleneck=bottleneck)) for i in range(steps))
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, in_channels + steps * growth_rate, H, W) of features (N, in_channels, H, W)."""
        outputs = [features]
        for step in self.steps:
            outputs.append(apply_to_concat(step, outputs))
        return concat_features(outputs)


@TRANSLATORS.register(DensenetTranslatorRecipe)
def build_densenet(recipe: DensenetTranslatorRecipe, image_channels: int) -> nn.Module:
    """Build conv 7x7, stride-2 convs, dense blocks (Huang et al. 2017) with transitions, as many upsamplings with conv, conv 7x7.

    In the blocks, normalization and ReLU come before each convolution. Transitions halve the channels but not the size, which is already a quarter.
    Affine InstanceNorm replaces their BatchNorm, as in the thesis' translator.

    Args:
        recipe: `widths`, `growth_rate`, `blocks`, `bottleneck`, last activation.
        image_channels: Channels in and out.
    """
    channels = recipe.widths[-1]
    stages = downsample_stages(recipe.widths, image_channels)
    for i, steps in enumerate(recipe.blocks, start=1):
        stages[f"block_{i}"] = DenselyConnected(channels, recipe.growth_rate, steps, bottleneck=recipe.bottleneck)
        channels += steps * recipe.growth_rate
        stages[f"transition_{i}"] = nn.Sequential(_norm_act_conv(channels, channels // 2, 1))
        channels //= 2
    stages |= upsample_stages(channels, recipe.widths, image_channels, recipe)
    return wrap_output(nn.Sequential(stages), recipe)


def _step(in_channels: int, growth_rate: int, *, bottleneck: bool) -> nn.Sequential:
    if not bottleneck:
        return nn.Sequential(_norm_act_conv(in_channels, growth_rate, 3))
    width = BOTTLENECK * growth_rate
    stages = OrderedDict[str, nn.Module](
        narrow=nn.Sequential(_norm_act_conv(in_channels, width, 1)), wide=nn.Sequential(_norm_act_conv(width, growth_rate, 3))
    )
    return nn.Sequential(stages)


def _norm_act_conv(in_channels: int, out_channels: int, kernel: int) -> OrderedDict[str, nn.Module]:
    """Return affine InstanceNorm, ReLU and a convolution without bias."""
    return OrderedDict(
        norm=nn.InstanceNorm2d(in_channels, affine=True),
        activation=nn.ReLU(),
        conv=nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
    )
