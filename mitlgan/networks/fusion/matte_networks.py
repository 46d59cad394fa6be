"""Networks that predict mattes, and the regularization that keeps mattes from all-foreground or all-background."""

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
    """Matte of a layer, from its image and the image behind it.

    Args:
        width: Hidden channels.
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
        """Return the matte (N, 1, H, W) in [0, 1] of images (N, 3, H, W) in [-1, 1]."""
        return torch.sigmoid(self.stages(torch.cat([front, back], dim=1)))


class FeatureMatteNet(nn.Module):
    """Matte of a layer, from its frozen generator's activations (the alpha network of Labels4Free, Abdal et al. 2021, section 3).

    A 1x1 convolution turns each activation into `width` channels, bilinear interpolation gives it the image's size, and the sum becomes the matte.

    Args:
        channels: Channels of each activation.
        width: Hidden channels.
        size_px: Height and width of the matte.
    """

    def __init__(self, channels: Sequence[int], width: int, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.enter = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.leave = nn.Sequential(nn.LeakyReLU(LEAK), nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(LEAK), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return the matte (N, 1, H, W) in [0, 1] of activations (N, C, h, w), each of its own size."""
        total: Tensor | None = None
        for enter, feature in zip(self.enter, features, strict=True):
            # The convolution first: it is cheaper at the activation's own size, and a 1x1 commutes with interpolation.
            size, shrinks = (self.size_px, self.size_px), feature.shape[-1] > self.size_px
            resized = functional.interpolate(enter(feature), size=size, mode="bilinear", align_corners=False, antialias=shrinks)
            total = resized if total is None else total + resized
        assert total is not None
        return torch.sigmoid(self.leave(total))


def mean_range_penalty(matte: Tensor, low: float, high: float) -> Tensor:
    """Return the mean over images of max(0, low - mean m) + max(0, mean m - high) (Bielski & Favaro 2019, equation 7, for both sides).

    Args:
        matte: (N, 1, H, W) in [0, 1].
        low: Smallest mean opacity without a penalty.
        high: Largest mean opacity without a penalty.
    """
    opacity = matte.flatten(1).mean(1)  # (N,)
    return ((low - opacity).clamp_min(0) + (opacity - high).clamp_min(0)).mean()


def binarization_penalty(matte: Tensor) -> Tensor:
    """Return the mean of min(m, 1 - m): 0 for a matte of zeros and ones, 0.5 at worst."""
    return torch.minimum(matte, 1 - matte).mean()


def matte_regularization(recipe: MatteFusionRecipe | MatteFeaturesFusionRecipe | OverFusionRecipe, matte: Tensor, kimg: float) -> Tensor:
    """Return the regularization loss of a learned matte.

    Args:
        recipe: Range and weights.
        matte: (N, 1, H, W) in [0, 1], before the layer is transformed.
        kimg: Training so far, with which the binarization weight grows.
    """
    ramp = min(1.0, kimg / recipe.binary_kimg) if recipe.binary_kimg else 1.0
    return recipe.range_weight * mean_range_penalty(matte, *recipe.matte_range) + recipe.binary_weight * ramp * binarization_penalty(matte)
