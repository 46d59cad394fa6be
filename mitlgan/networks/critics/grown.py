"""A critic grown from a smaller one, its parent, which sees the reduced image; a new block adds the finer detail, starting from zero.

Its first scores are therefore the parent's, to the bit: a trained generator never faces an untrained critic.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.networks.blocks import Critic
from mitlgan.networks.initialization import apply_spectral_norm
from mitlgan.networks.registry import CRITICS
from mitlgan.recipe.schema.critics import GrownCriticRecipe


class FinerStage(nn.Module):
    """The parent's first stage on the reduced image, and a new block on the image itself, added to it.

    Args:
        parent: The smaller image to its first features.
        recipe: Widths.
        factor: Size of the image over the parent's.
    """

    def __init__(self, parent: nn.Module, recipe: GrownCriticRecipe, factor: int) -> None:
        super().__init__()
        self.parent, self.factor = parent, factor
        self.channels, self.stride, conv = _first_convolution(parent, recipe.width)
        self.stride *= factor
        self.features = nn.Sequential(
            OrderedDict[str, nn.Module](
                reduce=nn.Conv2d(recipe.image_channels, recipe.width, 2 * factor - 1, stride=factor, padding=factor - 1),
                reduced=nn.LeakyReLU(recipe.leak),
                conv=conv,
                activation=nn.LeakyReLU(recipe.leak),
            )
        )
        if recipe.spectral:
            apply_spectral_norm(self.features)
        self.share = nn.Parameter(torch.zeros(self.channels, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the first features (N, W, h, w) of images (N, C, H, W)."""
        return cast(Tensor, self.parent(functional.avg_pool2d(images, self.factor)) + self.share * self.features(images))


def _first_convolution(stage: nn.Module, channels: int) -> tuple[int, int, nn.Conv2d]:
    """Return output channels and stride of a critic's first stage, and a convolution from other channels of the same shape."""
    if isinstance(stage, FinerStage):
        kernel, stride, padding = 2 * stage.stride - 1, stage.stride, stage.stride - 1
        return stage.channels, stride, nn.Conv2d(channels, stage.channels, kernel, stride=stride, padding=padding)
    first = next(module for module in stage.modules() if isinstance(module, nn.Conv2d))
    (kernel, _), (stride, _), padding = first.kernel_size, first.stride, int(first.padding[0])
    return first.out_channels, stride, nn.Conv2d(channels, first.out_channels, kernel, stride=stride, padding=padding)


class GrownCritic(Critic):
    """A critic of its parent's stages, the first of which has a new block next to it.

    Args:
        parent: The smaller critic; its modules become this one's.
        size_px: Height and width of its images.
        recipe: Widths.
    """

    def __init__(self, parent: Critic, size_px: int, recipe: GrownCriticRecipe) -> None:
        (name, first), *after = parent.stages.named_children()
        stages = OrderedDict[str, nn.Module]({f"from_{size_px}px": FinerStage(first, recipe, size_px // recipe.parent_px)})
        self._prefixes = (f"stages.{name}.", f"stages.from_{size_px}px.parent.")
        super().__init__(nn.Sequential(stages | OrderedDict(after)), size_px=size_px, image_channels=parent.image_channels)

    def train_new_block(self) -> None:
        """Take the new block into training, where `freeze_first_blocks` froze the stage that it was added to; the parent's part stays as it is."""
        first = self.stages[0]
        assert isinstance(first, FinerStage)
        first.features.requires_grad_(True)
        first.share.requires_grad_(True)

    def rename_parent_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a smaller critic's tensors under their names in this one."""
        old, new = self._prefixes
        return {new + name.removeprefix(old) if name.startswith(old) else name: tensor for name, tensor in tensors.items()}


@CRITICS.register(GrownCriticRecipe)
def build_critic(recipe: GrownCriticRecipe, size_px: int) -> GrownCritic:
    """Build a critic and, inside it, its parent.

    Args:
        recipe: Settings, those of the parent included.
        size_px: Two or four times the parent's.
    """
    parent = CRITICS[type(recipe.parent)](recipe.parent, recipe.parent_px)
    return GrownCritic(parent, size_px, recipe)
