"""Stages that translators share: down to a quarter of the size, up again, and the output."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from mitlgan.networks.initialization import initialize_weights
from mitlgan.networks.translators.bounded_residual import BoundedResidual
from mitlgan.recipe.schema.translators import OUTER_KERNEL, RESIDUAL_SCALE

if TYPE_CHECKING:
    from mitlgan.recipe import (
        DensenetTranslatorRecipe,
        DenseTranslatorRecipe,
        GuidedTranslatorRecipe,
        ResnetTranslatorRecipe,
        UnetTranslatorRecipe,
    )

    EndedRecipe = DenseTranslatorRecipe | ResnetTranslatorRecipe | DensenetTranslatorRecipe | UnetTranslatorRecipe | GuidedTranslatorRecipe

OUTPUT_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "residual": nn.Tanh}


def conv_norm_act(in_channels: int, out_channels: int, kernel: int, last: nn.Module | None, stride: int = 1) -> nn.Sequential:
    """Return a convolution without bias, affine InstanceNorm, and an activation if any."""
    block = OrderedDict[str, nn.Module](
        conv=nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False),
        norm=nn.InstanceNorm2d(out_channels, affine=True),
    )
    if last is not None:
        block["activation"] = last
    return nn.Sequential(block)


def downsample_stages(widths: tuple[int, ...], image_channels: int) -> OrderedDict[str, nn.Module]:
    """Return the stages from the image to the last width: conv 7x7, then a stride-2 conv 3x3 for each halving."""
    stages = OrderedDict[str, nn.Module](enter=conv_norm_act(image_channels, widths[0], OUTER_KERNEL, nn.ReLU()))
    for i, (before, after) in enumerate(pairwise(widths), start=1):
        stages[f"down_{i}"] = conv_norm_act(before, after, 3, nn.ReLU(), stride=2)
    return stages


def upsample_stages(channels: int, widths: tuple[int, ...], image_channels: int, recipe: EndedRecipe) -> OrderedDict[str, nn.Module]:
    """Return the stages from the reduced size to the image: nearest upsampling and conv 3x3 for each doubling, then conv 7x7.

    Args:
        channels: Channels at the reduced size.
        widths: Channels at full size, half, a quarter, ...
        image_channels: Channels of the image.
        recipe: Its output activation.
    """
    stages = OrderedDict[str, nn.Module]()
    for i, width in enumerate(reversed(widths[:-1]), start=1):
        stages[f"upsample_{i}"] = nn.Upsample(scale_factor=2, mode="nearest")
        stages[f"up_{i}"] = conv_norm_act(channels, width, 3, nn.ReLU())
        channels = width
    stages["leave"] = output_head(channels, image_channels, OUTER_KERNEL, recipe)
    return stages


def output_head(channels: int, image_channels: int, kernel: int, recipe: EndedRecipe) -> nn.Sequential:
    """Return the last convolution, with bias but no normalization, and the recipe's activation.

    For `residual` the convolution starts at zero and the activation is tanh: the correction that `wrap_output` adds to the image.

    Args:
        channels: Input channels.
        image_channels: Channels of the image.
        kernel: Side of the kernel.
        recipe: Its output activation.
    """
    conv = nn.Conv2d(channels, image_channels, kernel, padding=kernel // 2)
    block = OrderedDict[str, nn.Module](conv=conv, activation=OUTPUT_ACTIVATIONS[recipe.activation]())
    if recipe.activation == "residual":
        _zero(conv)
    return nn.Sequential(block)


def _zero(conv: nn.Module) -> None:
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)


def wrap_output(stages: nn.Module, recipe: EndedRecipe) -> nn.Module:
    """Return the stages with the recipe's initial weights and InstanceNorm, for `residual` as a bounded correction of the image."""
    initialize_weights(stages, recipe.init, None)
    for module in stages.modules():
        if isinstance(module, nn.InstanceNorm2d):
            module.eps = getattr(recipe, "norm_eps", None) or module.eps
    if recipe.activation == "residual" and recipe.init is not None:
        _zero(stages.get_submodule("leave.conv"))
    if recipe.activation != "residual":
        return stages
    return BoundedResidual(stages, RESIDUAL_SCALE if recipe.residual_scale is None else recipe.residual_scale)
