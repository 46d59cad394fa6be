"""Mattes that are learned: from the layers' images, or from their generators' intermediate activations; and what keeps them from the trivial ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from mitlgan.recipe.schema.composer import MatteFeaturesFusionRecipe, MatteFusionRecipe, OverFusionRecipe

LEAK = 0.2


class ImageMatteNet(nn.Module):
    """Opacity of a layer, from its image and the one behind it.

    Args:
        width: Channels between.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            nn.Conv2d(6, width, 5, padding=2),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, front: Tensor, back: Tensor) -> Tensor:
        """(N, 1, H, W) in [0, 1] of images (N, 3, H, W) in [-1, 1]."""
        return torch.sigmoid(self.stages(torch.cat([front, back], dim=1)))


class FeatureMatteNet(nn.Module):
    """Opacity of a layer, from its frozen generator's activations (the alpha network of Labels4Free, Abdal et al. 2021, section 3).

    Each activation becomes `width` channels by a 1x1 convolution and has the image's size by bilinear interpolation; their sum becomes the matte.

    Args:
        channels: Of each activation.
        width: Channels between.
        size_px: Height and width of the matte.
    """

    def __init__(self, channels: Sequence[int], width: int, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.enter = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.leave = nn.Sequential(nn.LeakyReLU(LEAK), nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(LEAK), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """(N, 1, H, W) in [0, 1] of activations (N, C, h, w), each of its own size."""
        total: Tensor | None = None
        for enter, feature in zip(self.enter, features, strict=True):
            # The convolution comes first: it is cheaper at the activation's own size, and a 1x1 commutes with interpolation.
            size, larger = (self.size_px, self.size_px), feature.shape[-1] > self.size_px
            grown = functional.interpolate(enter(feature), size=size, mode="bilinear", align_corners=False, antialias=larger)
            total = grown if total is None else total + grown
        assert total is not None
        return torch.sigmoid(self.leave(total))


def mean_range_penalty(matte: Tensor, low: float, high: float) -> Tensor:
    """Mean over images of max(0, low - mean m) + max(0, mean m - high) (Bielski & Favaro 2019, equation 7, for both sides).

    Args:
        matte: (N, 1, H, W) in [0, 1].
        low: Smallest mean opacity that costs nothing.
        high: Largest.
    """
    opacity = matte.flatten(1).mean(1)  # (N,)
    return ((low - opacity).clamp_min(0) + (opacity - high).clamp_min(0)).mean()


def binarization_penalty(matte: Tensor) -> Tensor:
    """Mean of min(m, 1 - m): 0 for a matte of zeros and ones, 0.5 at worst."""
    return torch.minimum(matte, 1 - matte).mean()


def matte_regularization(recipe: MatteFusionRecipe | MatteFeaturesFusionRecipe | OverFusionRecipe, matte: Tensor, kimg: float) -> Tensor:
    """What a learned matte costs, beside what the critic says of the image.

    Args:
        recipe: Range and weights.
        matte: (N, 1, H, W) in [0, 1], before the layer is moved.
        kimg: The clock, by which the weight of indecision grows.
    """
    grown = min(1.0, kimg / recipe.binary_kimg) if recipe.binary_kimg else 1.0
    return recipe.range_weight * mean_range_penalty(matte, *recipe.matte_range) + recipe.binary_weight * grown * binarization_penalty(matte)
