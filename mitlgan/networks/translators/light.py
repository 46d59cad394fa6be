"""A translator for few parameters and little time."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import nn

from mitlgan.networks.translators.frame import check_translator, ended, leave
from mitlgan.networks.translators.resnet import ResidualBlock

if TYPE_CHECKING:
    from mitlgan.recipe import LightTranslatorRecipe


def build_light(recipe: LightTranslatorRecipe, size_px: int, image_channels: int) -> nn.Module:
    """Build pixel-unshuffle, conv 3x3, residual blocks, conv 3x3, pixel-shuffle.

    Unshuffling (Shi et al. 2016, the other way round) loses nothing and leaves 1 / unshuffle^2 of the places to compute at. There is no normalisation:
    InstanceNorm would take away each image's own light and contrast (Lim et al. 2017 leave BatchNorm out for the same reason).

    Args:
        recipe: `unshuffle`, `width`, `blocks`, last activation.
        size_px: Height and width.
        image_channels: Channels in and out.

    Raises:
        UsageError: See `check_translator`.
    """
    check_translator(recipe, size_px)
    width, side = recipe.width, recipe.unshuffle
    stages = OrderedDict[str, nn.Module](unshuffle=nn.PixelUnshuffle(side))
    stages["enter"] = nn.Sequential(OrderedDict[str, nn.Module](conv=nn.Conv2d(image_channels * side**2, width, 3, padding=1), activation=nn.ReLU()))
    for i in range(1, recipe.blocks + 1):
        change = OrderedDict[str, nn.Module](
            first=nn.Conv2d(width, width, 3, padding=1), activation=nn.ReLU(), second=nn.Conv2d(width, width, 3, padding=1)
        )
        stages[f"block_{i}"] = ResidualBlock(nn.Sequential(change))
    stages["leave"] = leave(width, image_channels, 3, recipe, shuffle=side)
    return ended(nn.Sequential(stages), recipe)
