"""A small, fast translator: it computes at a fraction of the size and applies the result at full size."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.networks.registry import TRANSLATORS
from mitlgan.networks.translators.encoder_decoder import output_head, wrap_output
from mitlgan.networks.translators.recomputed_concat import apply_to_concat, concat_features
from mitlgan.networks.translators.resnet import ResidualBlock
from mitlgan.recipe.schema.translators import GuidedTranslatorRecipe


class GuidedTranslator(nn.Module):
    """Context features, computed at a fraction of the size, guide a correction at full size.

    Args:
        context: Image (N, C, H, W) to context features (N, D, H, W).
        detail: Image and context features, (N, C + D, H, W), to features (N, D, H, W).
        leave: Features to an image.
    """

    def __init__(self, context: nn.Sequential, detail: nn.Sequential, leave: nn.Sequential) -> None:
        super().__init__()
        self.context = context
        self.detail = detail
        self.leave = leave

    def forward(self, image: Tensor) -> Tensor:
        """Translate images (N, C, H, W)."""
        return cast(Tensor, self.leave(self.detail(torch.cat([image, self.context(image)], dim=1))))


class DenseConvs(nn.Module):
    """Convolutions with ReLU, each over the input and the outputs of all before it (Huang et al. 2017), without normalization.

    Args:
        width: Channels of the input.
        growth_rate: Channels that each convolution adds.
        blocks: Number of convolutions.
    """

    def __init__(self, width: int, growth_rate: int, blocks: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width + i * growth_rate, growth_rate, 3, padding=1) for i in range(blocks))

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, width + blocks * growth_rate, H, W) of features (N, width, H, W)."""
        outputs = [features]
        for conv in self.convs:
            outputs.append(functional.relu(apply_to_concat(conv, outputs)))
        return concat_features(outputs)


@TRANSLATORS.register(GuidedTranslatorRecipe)
def build_guided(recipe: GuidedTranslatorRecipe, image_channels: int) -> nn.Module:
    """Build pixel-unshuffle, conv 3x3, residual blocks, conv 1x1, bilinear upsampling; then two convs 3x3 at full size, which also get the image.

    Pixel-unshuffle (the inverse of Shi et al. 2016) loses nothing and leaves 1 / unshuffle^2 of the positions. Upsampling is not a pixel-shuffle,
    whose subpixels learn independently: early in training the noisy adversarial gradient would draw a checkerboard (Odena et al. 2016). There is no
    normalization, since InstanceNorm would remove each image's brightness and contrast (Lim et al. 2017 drop BatchNorm for the same reason).

    Args:
        recipe: `unshuffle`, `width`, `blocks`, `growth_rate`, `detail`, last activation.
        image_channels: Channels in and out.
    """
    width, side, detail = recipe.width, recipe.unshuffle, recipe.detail
    context = OrderedDict[str, nn.Module](unshuffle=nn.PixelUnshuffle(side))
    context["enter"] = nn.Sequential(OrderedDict[str, nn.Module](conv=nn.Conv2d(image_channels * side**2, width, 3, padding=1), activation=nn.ReLU()))
    if recipe.growth_rate is not None:
        context["dense"] = DenseConvs(width, recipe.growth_rate, recipe.blocks)
    for i in range(1, recipe.blocks + 1) if recipe.growth_rate is None else ():
        change = OrderedDict[str, nn.Module](
            first=nn.Conv2d(width, width, 3, padding=1), activation=nn.ReLU(), second=nn.Conv2d(width, width, 3, padding=1)
        )
        context[f"block_{i}"] = ResidualBlock(nn.Sequential(change))
    context["spread"] = nn.Conv2d(width + recipe.blocks * (recipe.growth_rate or 0), detail, 1)
    context["upsample"] = nn.Upsample(scale_factor=side, mode="bilinear")
    fine = OrderedDict[str, nn.Module](conv=nn.Conv2d(image_channels + detail, detail, 3, padding=1), activation=nn.LeakyReLU(0.2))
    return wrap_output(GuidedTranslator(nn.Sequential(context), nn.Sequential(fine), output_head(detail, image_channels, 3, recipe)), recipe)
