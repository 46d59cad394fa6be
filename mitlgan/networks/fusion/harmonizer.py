"""Harmonization: a layer's colors follow those behind it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mitlgan.images.alpha import PremultipliedLayer

WIDTH = 32
MAX_CHANGE = 0.5
"""Largest change of contrast and of brightness, so that no object vanishes."""
_TINY = 1e-6


class Harmonizer(nn.Module):
    """One affine color change per image, from statistics of the background (FiLM, Perez et al. 2018, equation 1).

    It reads only means and deviations, so lighting can match but no structure can leak. Untrained, it changes nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(WIDTH, 6)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.stages = nn.Sequential(nn.Linear(15, WIDTH), nn.LeakyReLU(0.2), last)

    def forward(self, front: PremultipliedLayer, back: Tensor) -> PremultipliedLayer:
        """Change the colors of a layer.

        Args:
            front: The layer after its transform.
            back: The image behind it, (N, 3, H, W) in [-1, 1].

        Returns:
            The layer with (1 + contrast) * color + brightness, premultiplied, cut to [0, alpha].
        """
        shares = (back + 1) / 2
        statistics = torch.cat([*_statistics(shares), _mean_under(shares, front.alpha), *_own_statistics(front)], dim=1)  # (N, 15)
        contrast, brightness = (MAX_CHANGE * torch.tanh(self.stages(statistics)))[:, :, None, None].chunk(2, dim=1)  # (N, 3, 1, 1) each
        color = front.color * (1 + contrast) + front.alpha * brightness
        return PremultipliedLayer(torch.minimum(color.clamp_min(0), front.alpha), front.alpha)


def _statistics(shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, (N, 3) each."""
    return shares.mean(dim=(2, 3)), shares.var(dim=(2, 3), correction=0).add(_TINY).sqrt()


def _mean_under(shares: Tensor, matte: Tensor) -> Tensor:
    """Return the mean of each channel behind the layer, (N, 3)."""
    return (shares * matte).sum(dim=(2, 3)) / matte.sum(dim=(2, 3)).add(_TINY)


def _own_statistics(front: PremultipliedLayer) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the layer's colors, weighted by alpha, (N, 3) each."""
    weight = front.alpha.sum(dim=(2, 3)).add(_TINY)
    mean = front.color.sum(dim=(2, 3)) / weight
    # The sum of a (c - mean)^2 with c = color / a, without the division.
    spread = front.color.square() / front.alpha.add(_TINY) - front.alpha * mean[:, :, None, None].square()
    return mean, (spread.sum(dim=(2, 3)).clamp_min(0) / weight).add(_TINY).sqrt()
