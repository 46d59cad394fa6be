"""What convolutional critics may have besides their convolutions: a look at the whole batch, and smaller copies of the image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.recipe.schema.critics import deviation_group

if TYPE_CHECKING:
    from mitlgan.recipe import StridedCriticRecipe, ThesisCriticRecipe

_TINY = 1e-8


class BatchDeviation(nn.Module):
    """One more channel: how much images of a group differ (Karras et al. 2018, section 3), so that a generator without variety is seen as such.

    Args:
        group: Images of a group. A batch that it does not divide, where the authors' code stops, has smaller groups of equal size.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def mixes(self, batch: int) -> bool:
        """Whether two batches in one pass would be grouped otherwise than each in its own, where a group could hold images of both.

        Args:
            batch: Images of one of them.
        """
        return batch % self.group != 0

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, C + 1, H, W) of features (N, C, H, W): last, the mean deviation within each image's group."""
        return self.append(features, self.deviations(features.float()))

    def deviations(self, features: Tensor) -> Tensor:
        """Return (N,) of features (N, C, H, W): the mean deviation within each image's group."""
        size = deviation_group(self.group, len(features))
        grouped = features.reshape(-1, size, *features.shape[1:])
        return (grouped.var(dim=1, correction=0) + _TINY).sqrt().mean(dim=(1, 2, 3)).repeat_interleave(size)

    @staticmethod
    def append(features: Tensor, deviations: Tensor) -> Tensor:
        """Return features (N, C, H, W) with deviations (N,) as one more channel."""
        plane = deviations[:, None, None, None].expand(-1, 1, *features.shape[2:])
        return torch.cat([features, plane.to(features.dtype)], dim=1)


class MultiScale(nn.Module):
    """Critics of one design, the first of which sees the image, and each other one a copy of half the size of the one before (Wang et al. 2018).

    Args:
        critics: Images to scores (N, 1), from the largest size to the smallest.
    """

    def __init__(self, critics: Iterable[nn.Sequential]) -> None:
        super().__init__()
        self.critics = nn.ModuleList(critics)

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean of all scores, (N, 1)."""
        scores = []
        for critic in self.critics:
            scores.append(critic(images))
            images = functional.avg_pool2d(images, 2)
        return torch.stack(scores).mean(dim=0)


def batch_deviation(recipe: ThesisCriticRecipe | StridedCriticRecipe) -> tuple[OrderedDict[str, nn.Module], int]:
    """Return the stage that compares the images of a batch, if the recipe has it, and the channels that it adds."""
    if recipe.batch_deviation is None:
        return OrderedDict(), 0
    return OrderedDict[str, nn.Module](deviation=BatchDeviation(recipe.batch_deviation)), 1


def at_each_scale(build: Callable[[int], nn.Sequential], size_px: int, scales: int | None) -> nn.Sequential:
    """Return the stages of one critic, or one stage that holds a critic for each size of the image.

    Args:
        build: Size in px to the stages of a critic of it.
        size_px: Height and width of the image.
        scales: Number of sizes; None builds one critic, without the stage around it.
    """
    if scales is None:
        return build(size_px)
    return nn.Sequential(OrderedDict[str, nn.Module](scales=MultiScale(build(size_px // 2**index) for index in range(scales))))
