"""A generator grown from a smaller one, its parent: the parent's enlarged image plus a bounded change that starts at zero.

Progressive growing (Karras et al. 2018) fades in an untrained block and trains everything; here the enlarged parent is present from the first step,
frozen or learning slowly, and only the bounded change is new.
"""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import UsageError
from mitlgan.images.alpha import within_alpha
from mitlgan.networks.blocks import Generator
from mitlgan.networks.registry import GENERATORS
from mitlgan.networks.resample import resize_image
from mitlgan.recipe.schema.generators import GrownGeneratorRecipe, ParentedGeneratorRecipe

FLAT_RANGE = 2 / 127.5
"""A parent whose range is at most this, two steps of 8 bits, counts as transparent or flat and is not changed."""
DETAILED_RANGE = 16 / 127.5
"""From this range on, the full change is allowed."""
NEIGHBORHOOD_PX = 5


class CoarseStage(nn.Module):
    """The parent's last stage, and new features at the same size.

    Args:
        parent: The parent's last features to its image.
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
        """Return new features and, last, the parent's image, (N, W + C, h, w), from the parent's last features."""
        image = self.parent(before)
        if before.shape[-1] != image.shape[-1]:
            before = functional.interpolate(before, size=image.shape[-2:], mode="bilinear")  # nearest pixels leave a pattern
        return torch.cat([self.features(torch.cat([before, image], dim=1)), image], dim=1)


class FineStage(nn.Module):
    """The parent's image, enlarged and changed.

    Args:
        size_px: Height and width of the result.
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
                upsample=nn.Upsample(scale_factor=size_px // recipe.parent_px, mode="bilinear"),  # pixel shuffle leaves a grid
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
        """Return images (N, C, size_px, size_px) from the output of `CoarseStage`."""
        enlarged = resize_image(coarse[:, -self.image_channels :], self.size_px, self.resample)
        difference = self.difference(torch.cat([self.finer(coarse), enlarged], dim=1))
        return within_alpha(enlarged + self.change * change_allowance(enlarged) * difference)


def change_allowance(image: Tensor) -> Tensor:
    """Return how much change each pixel allows: none where the image is transparent or, without a matte, flat, so that no fringe can grow.

    Args:
        image: (N, C, H, W) in [-1, 1]; four channels are premultiplied RGB and alpha.

    Returns:
        (N, 1, H, W) in [0, 1].
    """
    extent = image[:, 3:] + 1 if image.shape[1] == 4 else (neighborhood_maximum(image) + neighborhood_maximum(-image)).amax(dim=1, keepdim=True)
    return ((extent - FLAT_RANGE) / (DETAILED_RANGE - FLAT_RANGE)).clamp(0, 1)


def neighborhood_maximum(image: Tensor) -> Tensor:
    """Return the largest value around each pixel, within `NEIGHBORHOOD_PX`.

    Args:
        image: (N, C, H, W).

    Returns:
        The same shape.
    """
    reach = NEIGHBORHOOD_PX // 2
    if image.requires_grad or image.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.max_pool2d(image, NEIGHBORHOOD_PX, stride=1, padding=reach)
    height, width = image.shape[-2:]  # row by row, then column by column: pooling takes five times as long on a CPU
    padded = functional.pad(image, (reach,) * 4, value=-math.inf)
    rows = functools.reduce(torch.maximum, [padded[..., start : start + height, :] for start in range(NEIGHBORHOOD_PX)])
    return functools.reduce(torch.maximum, [rows[..., start : start + width] for start in range(NEIGHBORHOOD_PX)])


class GrownGenerator(Generator):
    """A generator of its parent's stages, the last of which is wrapped in new ones.

    Args:
        parent: The smaller generator; its modules become this one's.
        size_px: Height and width of the images.
        recipe: Widths, filter, bound, and how the parent keeps training.
    """

    def __init__(self, parent: Generator, size_px: int, recipe: GrownGeneratorRecipe) -> None:
        *before, (_, last) = parent.stages.named_children()
        stages = OrderedDict[str, nn.Module](before)
        stages[f"features_{recipe.parent_px}px"] = CoarseStage(last, feature_channels(parent), recipe)
        stages["to_image"] = FineStage(size_px, recipe)
        super().__init__(nn.Sequential(stages), latent_dim=parent.latent_dim, size_px=size_px, image_channels=parent.image_channels)
        self.set_parent_training(recipe)

    def set_parent_training(self, recipe: ParentedGeneratorRecipe) -> None:
        """Let the parent train, or freeze it, as a recipe says."""
        self.parent_rate = recipe.parent_rate
        self.parent_norm_frozen = recipe.parent_norm == "frozen"
        self.requires_grad_()

    def parent_stages(self) -> Iterator[nn.Module]:
        """Yield the stages of the parent, in order."""
        *before, coarse, _ = self.stages
        yield from before
        assert isinstance(coarse, CoarseStage)
        yield coarse.parent

    def load_parent(self, parent: Generator) -> None:
        """Copy a parent's weights and statistics."""
        for own, source in zip(self.parent_stages(), parent.stages, strict=True):
            own.load_state_dict(source.state_dict())

    def lr_factors(self) -> dict[nn.Parameter, float]:
        """Return the factor of the parent's learning rate, for each of its parameters."""
        return {parameter: self.parent_rate for stage in self.parent_stages() for parameter in stage.parameters()}

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters that training changes, without those of a frozen parent."""
        frozen = set[nn.Parameter]() if self.parent_rate else {parameter for stage in self.parent_stages() for parameter in stage.parameters()}
        return (parameter for parameter in self.parameters() if parameter not in frozen)

    def train(self, mode: bool = True) -> Self:
        """Switch the mode, but leave the parent or its BatchNorm in eval mode if the recipe says so."""
        super().train(mode)
        for stage in self.parent_stages():
            for module in stage.modules():
                if not self.parent_rate or (self.parent_norm_frozen and isinstance(module, _BatchNorm)):
                    module.training = False
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch gradients, but leave a frozen parent without."""
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
    """Return the channels of a generator's last features before its image.

    Raises:
        UsageError: It has no such features.
    """
    convolutions = [module for module in parent.stages[-1].modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    if not convolutions or len(parent.stages) < 2:
        raise UsageError("generator.parent: has no features that are images, which growing starts from; give a convolutional parent")
    return convolutions[0].in_channels
