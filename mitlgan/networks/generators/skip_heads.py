"""Image heads at every size: each size's image is the one before, enlarged, and what its own features add (Karras et al. 2020, section 4.1).

Between stages the image travels as the last channels of the features, so that a generator stays a sequence of stages.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SkipStage(nn.Module):
    """Features to larger features, and the image to a larger image.

    Args:
        block: Features to features.
        channels: Channels of the block's output.
        image_channels: Channels of the image.
        is_first: Whether no image comes with the input.
    """

    def __init__(self, block: nn.Module, channels: int, image_channels: int, *, is_first: bool) -> None:
        super().__init__()
        self.block, self.image_channels, self.is_first = block, image_channels, is_first
        self.head = nn.Conv2d(channels, image_channels, 1)

    def forward(self, value: Tensor) -> Tensor:
        """Return features and image, (N, W + C, 2h, 2w), from features and image (N, V + C, h, w), or from what the first block takes."""
        features = self.block(value if self.is_first else value[:, : -self.image_channels])
        image: Tensor = self.head(features)
        if not self.is_first:
            image = image + enlarge_image(value[:, -self.image_channels :])
        return torch.cat([features, image], dim=1)


class LastSkipStage(nn.Module):
    """Features and image to the final image.

    Args:
        block: Features to what they add to the enlarged image.
        image_channels: Channels of the image.
        activation: Of the sum.
    """

    def __init__(self, block: nn.Module, image_channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.block, self.image_channels, self.activation = block, image_channels, activation

    def forward(self, value: Tensor) -> Tensor:
        """Return images (N, C, 2h, 2w) from features and image (N, V + C, h, w)."""
        image: Tensor = self.activation(self.block(value[:, : -self.image_channels]) + enlarge_image(value[:, -self.image_channels :]))
        return image


def enlarge_image(image: Tensor) -> Tensor:
    """Return an image (N, C, h, w) at twice its size."""
    return functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
