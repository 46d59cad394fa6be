"""A translator that is a U-Net."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from mitlgan.networks.registry import TRANSLATORS
from mitlgan.networks.translators.encoder_decoder import conv_norm_act, output_head, wrap_output
from mitlgan.recipe.schema.translators import OUTER_KERNEL, UnetTranslatorRecipe


class UnetTranslator(nn.Module):
    """Down by stride-2 convolutions, up by upsampling; each size on the way up also gets the features of that size on the way down.

    Args:
        recipe: `widths` (channels at full size, half, a quarter, ...), `blocks` (convolutions at each size), last activation.
        image_channels: Channels in and out.
    """

    def __init__(self, recipe: UnetTranslatorRecipe, image_channels: int) -> None:
        super().__init__()
        widths, blocks = recipe.widths, recipe.blocks
        self.levels = range(1, len(widths))
        self.enter = _convs(conv_norm_act(image_channels, widths[0], OUTER_KERNEL, nn.ReLU()), widths[0], blocks)
        for level, (before, after) in enumerate(pairwise(widths), start=1):
            self.add_module(f"down_{level}", _convs(conv_norm_act(before, after, 3, nn.ReLU(), stride=2), after, blocks))
            self.add_module(f"up_{level}", _convs(conv_norm_act(after + before, before, 3, nn.ReLU()), before, blocks))
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.leave = output_head(widths[0], image_channels, OUTER_KERNEL, recipe)

    def forward(self, image: Tensor) -> Tensor:
        """Translate images (N, C, H, W)."""
        features = [cast(Tensor, self.enter(image))]
        for level in self.levels:
            features.append(self.get_submodule(f"down_{level}")(features[-1]))
        value = features.pop()
        for level in reversed(self.levels):
            value = self.get_submodule(f"up_{level}")(torch.cat([self.upsample(value), features.pop()], dim=1))
        return cast(Tensor, self.leave(value))


@TRANSLATORS.register(UnetTranslatorRecipe)
def build_unet(recipe: UnetTranslatorRecipe, image_channels: int) -> nn.Module:
    """Build a U-Net (Ronneberger et al. 2015; thesis, section 3.1), padded so that sizes stay, with affine InstanceNorm as in the thesis' translator.

    Args:
        recipe: See `UnetTranslator`.
        image_channels: Channels in and out.
    """
    return wrap_output(UnetTranslator(recipe, image_channels), recipe)


def _convs(first: nn.Sequential, width: int, blocks: int) -> nn.Sequential:
    """Return a stage of `blocks` convolutions with normalization and ReLU, of which the first is given."""
    more = ((f"conv_{index}", conv_norm_act(width, width, 3, nn.ReLU())) for index in range(2, blocks + 1))
    return nn.Sequential(OrderedDict[str, nn.Module](conv_1=first, **dict(more)))
