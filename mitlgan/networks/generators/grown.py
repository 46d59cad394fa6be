"""A generator grown from a smaller one, its parent: the parent's image, enlarged, and a bounded change that begins at zero.

Progressive growing (Karras et al. 2018) fades an untrained block in and trains everything on; here the enlarged parent is there from the first step on,
and only what it lacks is learned: the stage-wise idea of a composition, frozen or slow below, new and bounded above, applied to size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import UsageError
from mitlgan.images.alpha import clip_to_alpha
from mitlgan.networks.blocks import Generator
from mitlgan.networks.registry import GENERATORS
from mitlgan.networks.resample import resize_image
from mitlgan.recipe.schema.generators import GrownGeneratorRecipe

FLAT_RANGE = 2 / 127.5
"""Up to here, two steps of 8 bits, a parent counts as transparent, or as flat, and nothing is changed."""
DETAILED_RANGE = 16 / 127.5
"""From here on the change is allowed in full."""
NEIGHBOURHOOD_PX = 5


class CoarseStage(nn.Module):
    """The parent's last stage, and new features beside its image, both at the parent's size.

    Args:
        parent: From the parent's last features to its image.
        features: Channels of the parent's last features.
        recipe: Widths.
    """

    def __init__(self, parent: nn.Module, features: int, recipe: GrownGeneratorRecipe) -> None:
        super().__init__()
        self.parent = parent
        blocks = OrderedDict[str, nn.Module]()
        channels = features + recipe.image_channels
        for index, width in enumerate(recipe.coarse_widths, start=1):
            blocks[f"conv_{index}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            blocks[f"norm_{index}"] = nn.BatchNorm2d(width)
            blocks[f"activation_{index}"] = nn.LeakyReLU(recipe.leak)
            channels = width
        self.features = nn.Sequential(blocks)

    def forward(self, before: Tensor) -> Tensor:
        """The new features and, last, the parent's image: (N, W + C, h, w) of the parent's last features."""
        image = self.parent(before)
        if before.shape[-1] != image.shape[-1]:
            before = functional.interpolate(before, size=image.shape[-2:], mode="bilinear")  # nearest pixels leave a weave
        return torch.cat([self.features(torch.cat([before, image], dim=1)), image], dim=1)


class FineStage(nn.Module):
    """The parent's image, enlarged and changed.

    Args:
        size_px: Height and width that it gets.
        recipe: Filter, widths, bound.
    """

    def __init__(self, size_px: int, recipe: GrownGeneratorRecipe) -> None:
        super().__init__()
        self.size_px, self.resample, self.change = size_px, recipe.resample, recipe.change
        self.image_channels = int(recipe.image_channels)
        width = recipe.fine_width
        self.finer = nn.Sequential(
            OrderedDict[str, nn.Module](
                conv=nn.Conv2d(recipe.coarse_widths[-1] + self.image_channels, width, 3, padding=1),
                activation=nn.LeakyReLU(recipe.leak),
                upsample=nn.Upsample(scale_factor=size_px // recipe.parent_px, mode="bilinear"),  # a shuffle of pixels leaves a grid
            )
        )
        last = nn.Conv2d(width, self.image_channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.difference = nn.Sequential(
            OrderedDict[str, nn.Module](
                conv=nn.Conv2d(width + self.image_channels, width, 3, padding=1), activation=nn.LeakyReLU(recipe.leak), last=last, bound=nn.Tanh()
            )
        )

    def forward(self, coarse: Tensor) -> Tensor:
        """Images (N, C, size_px, size_px) of what `CoarseStage` gives."""
        enlarged = resize_image(coarse[:, -self.image_channels :], self.size_px, self.resample)
        difference = self.difference(torch.cat([self.finer(coarse), enlarged], dim=1))
        return clip_to_alpha((enlarged + self.change * change_allowance(enlarged) * difference).clamp(-1, 1))


def change_allowance(image: Tensor) -> Tensor:
    """How much of a change an image has room for: nothing where it is transparent, or without a matte where it is flat, so that no fringe can grow.

    Args:
        image: (N, C, H, W) in [-1, 1]; four channels are premultiplied RGB and alpha.

    Returns:
        (N, 1, H, W) in [0, 1].
    """
    if image.shape[1] == 4:
        extent = image[:, 3:] + 1
    else:
        middle = NEIGHBOURHOOD_PX // 2
        highest = functional.max_pool2d(image, NEIGHBOURHOOD_PX, stride=1, padding=middle)
        lowest = -functional.max_pool2d(-image, NEIGHBOURHOOD_PX, stride=1, padding=middle)
        extent = (highest - lowest).amax(dim=1, keepdim=True)
    return ((extent - FLAT_RANGE) / (DETAILED_RANGE - FLAT_RANGE)).clamp(0, 1)


class GrownGenerator(Generator):
    """A generator whose stages are its parent's, but for the last, which new ones take in and go on from.

    Args:
        parent: The smaller generator; its modules become this one's.
        size_px: Height and width of the images.
        recipe: Widths, filter, bound, and how the parent trains on.
    """

    def __init__(self, parent: Generator, size_px: int, recipe: GrownGeneratorRecipe) -> None:
        *before, (_, last) = parent.stages.named_children()
        stages = OrderedDict[str, nn.Module](before)
        stages[f"features_{recipe.parent_px}px"] = CoarseStage(last, feature_channels(parent), recipe)
        stages["to_image"] = FineStage(size_px, recipe)
        super().__init__(nn.Sequential(stages), latent_dim=parent.latent_dim, size_px=size_px, image_channels=parent.image_channels)
        self.parent_rate = recipe.parent_rate
        self.parent_norm_frozen = recipe.parent_norm == "frozen"
        self.requires_grad_()

    def parent_stages(self) -> Iterator[nn.Module]:
        """The stages of the parent, in order."""
        *before, coarse, _ = self.stages
        yield from before
        assert isinstance(coarse, CoarseStage)
        yield coarse.parent

    def load_parent(self, parent: Generator) -> None:
        """Copy a parent's weights and statistics."""
        for own, given in zip(self.parent_stages(), parent.stages, strict=True):
            own.load_state_dict(given.state_dict())

    def lr_factors(self) -> dict[nn.Parameter, float]:
        """What the learning rate of a parameter is multiplied by, where that is not 1."""
        return {parameter: self.parent_rate for stage in self.parent_stages() for parameter in stage.parameters()}

    def train(self, mode: bool = True) -> Self:
        """Leave the parent, or its BatchNorm, in eval mode where the recipe says so."""
        super().train(mode)
        for stage in self.parent_stages():
            for module in stage.modules():
                if not self.parent_rate or (self.parent_norm_frozen and isinstance(module, _BatchNorm)):
                    module.training = False
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Leave a frozen parent without gradients, whatever is asked."""
        super().requires_grad_(requires_grad)
        if not self.parent_rate:
            for stage in self.parent_stages():
                stage.requires_grad_(False)
        return self


@GENERATORS.register(GrownGeneratorRecipe)
def build_generator(recipe: GrownGeneratorRecipe, size_px: int) -> GrownGenerator:
    """Build a generator and, inside it, its parent.

    Args:
        recipe: Settings, those of the parent included.
        size_px: Two or four times the parent's.
    """
    parent = GENERATORS[type(recipe.parent)](recipe.parent, recipe.parent_px)
    return GrownGenerator(parent, size_px, recipe)


def feature_channels(parent: Generator) -> int:
    """Channels of the last features that a generator has before its image.

    Raises:
        UsageError: It has none.
    """
    convolutions = [module for module in parent.stages[-1].modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    if not convolutions or len(parent.stages) < 2:
        raise UsageError("generator.parent: has no features that are images, which growing starts from; give a convolutional parent")
    return convolutions[0].in_channels
