"""A translator for few parameters and little time."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn

from mitlgan.networks.registry import TRANSLATORS
from mitlgan.networks.translators.encoder_decoder import output_head, wrap_output
from mitlgan.networks.translators.resnet import ResidualBlock
from mitlgan.recipe.schema.translators import GuidedTranslatorRecipe


class GuidedTranslator(nn.Module):
    """What is decided at a fraction of the size is carried out at full size, beside the image itself.

    Args:
        context: Image (N, C, H, W) to what it says of each place, (N, D, H, W).
        detail: Both, (N, C + D, H, W), to what is to change, (N, D, H, W).
        leave: That to an image.
    """

    def __init__(self, context: nn.Sequential, detail: nn.Sequential, leave: nn.Sequential) -> None:
        super().__init__()
        self.context = context
        self.detail = detail
        self.leave = leave

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W)."""
        return cast(Tensor, self.leave(self.detail(torch.cat([image, self.context(image)], dim=1))))


@TRANSLATORS.register(GuidedTranslatorRecipe)
def build_guided(recipe: GuidedTranslatorRecipe, image_channels: int) -> nn.Module:
    """Build pixel-unshuffle, conv 3x3, residual blocks, conv 1x1, bilinear upsampling; then, with the image beside it, two convs 3x3 at full size.

    Unshuffling (Shi et al. 2016, the other way round) loses nothing and leaves 1 / unshuffle^2 of the places to compute at. The way back is no
    shuffling: its places of one square learn apart, and early in training, when an adversarial gradient is mostly noise, that is a checkerboard all
    over the image (Odena et al. 2016). There is no normalisation: InstanceNorm would take away each image's own light and contrast (Lim et al.
    2017 leave BatchNorm out for the same reason).

    Args:
        recipe: `unshuffle`, `width`, `blocks`, `detail`, last activation.
        image_channels: Channels in and out.
    """
    width, side, detail = recipe.width, recipe.unshuffle, recipe.detail
    context = OrderedDict[str, nn.Module](unshuffle=nn.PixelUnshuffle(side))
    context["enter"] = nn.Sequential(OrderedDict[str, nn.Module](conv=nn.Conv2d(image_channels * side**2, width, 3, padding=1), activation=nn.ReLU()))
    for i in range(1, recipe.blocks + 1):
        change = OrderedDict[str, nn.Module](
            first=nn.Conv2d(width, width, 3, padding=1), activation=nn.ReLU(), second=nn.Conv2d(width, width, 3, padding=1)
        )
        context[f"block_{i}"] = ResidualBlock(nn.Sequential(change))
    context["spread"] = nn.Conv2d(width, detail, 1)
    context["upsample"] = nn.Upsample(scale_factor=side, mode="bilinear")
    fine = OrderedDict[str, nn.Module](conv=nn.Conv2d(image_channels + detail, detail, 3, padding=1), activation=nn.LeakyReLU(0.2))
    return wrap_output(GuidedTranslator(nn.Sequential(context), nn.Sequential(fine), output_head(detail, image_channels, 3, recipe)), recipe)
