"""The thesis' 1x1 fusion over a true composite."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mitlgan.networks.translators.bounded_residual import clamp_image

CHANNELS = 3


class CompositeConv(nn.Module):
    """A 1x1 convolution of what is seen of each layer (Table 7.3, first row, whose six channels are those of whole layers).

    It begins with the weights of a sum, so that its image is the true composite, to rounding; what it learns are the same few numbers for all pixels.

    Args:
        layers: Number of layers.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS * layers, CHANNELS, 1)
        assert self.conv.bias is not None
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(CHANNELS).repeat(1, layers)[:, :, None, None])
            self.conv.bias.zero_()

    def forward(self, visible: Sequence[Tensor]) -> Tensor:
        """Join layers.

        Args:
            visible: Light of each layer, from back to front, that those in front of it let through, (N, 3, H, W) in [0, 1] each.

        Returns:
            (N, 3, H, W) in [-1, 1].
        """
        return clamp_image(2 * self.conv(torch.cat(list(visible), dim=1)) - 1)
