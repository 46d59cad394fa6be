"""Critics whose slopes are known, and the batches that the tests of objectives share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mitlgan import networks
from mitlgan.recipe import ThesisCriticRecipe


class Linear(nn.Module):
    """Its gradient is its weight, wherever; it notes in which precision it worked."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.seen: list[torch.dtype] = []

    def forward(self, images: Tensor) -> Tensor:
        score = nn.functional.linear(images.flatten(1), self.weight[None]).squeeze(1)
        self.seen.append(score.dtype)
        return score


class Quadratic(nn.Module):
    """|x|^2 / 2, whose gradient is x itself: tells at which images a slope was taken."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).square().sum(1) / 2


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(seed: int, count: int = 6) -> Tensor:
    """(count, 3, 4, 4) in [-1, 1)."""
    return torch.rand(count, 3, 4, 4, generator=rng(seed)) * 2 - 1


def small_critic(**change: object) -> networks.Critic:
    """The thesis' critic for such images, without dropout."""
    torch.manual_seed(0)
    return networks.build_critic(ThesisCriticRecipe(widths=(8, 8), dropout=(0, 0), flatten_dropout=0, kernel=3).model_copy(update=change), 4)
