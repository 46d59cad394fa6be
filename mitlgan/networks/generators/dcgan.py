"""A generator of transposed convolutions from 4 px on (Radford et al. 2016, Benedetti 2019, Bielko 2022)."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from mitlgan.networks.blocks import Generator, norm_act
from mitlgan.networks.initialization import initialize_weights
from mitlgan.networks.registry import GENERATORS
from mitlgan.recipe.schema.generators import DcganGeneratorRecipe

BASE_PX = 4
KERNEL = 4
"""Side of the transposed convolutions' kernel: a multiple of their stride, since 3 leaves a checkerboard (Bielko 2022, section 5.1.1)."""


@GENERATORS.register(DcganGeneratorRecipe)
def build_transposed(recipe: DcganGeneratorRecipe, size_px: int) -> Generator:
    """Build the generator of transposed 4x4 convolutions, as deep as `size_px` needs.

    Args:
        recipe: Its settings.
        size_px: 4 * 2^n.
    """
    widths = recipe.widths_at(size_px)
    stages = OrderedDict[str, nn.Module](base=_stem(recipe, widths[0]))
    px = BASE_PX
    for before, after in pairwise(widths):
        px *= 2
        block = OrderedDict[str, nn.Module](conv=_upsample_conv(before, after, recipe.bias))
        stages[f"to_{px}px"] = nn.Sequential(block | norm_act(recipe, after))
    last: nn.Module = _upsample_conv(widths[-1], recipe.image_channels, recipe.bias)
    if recipe.head == "conv":
        last = nn.Conv2d(widths[-1], recipe.image_channels, 3, padding=1, bias=recipe.bias)
    stages["to_image"] = nn.Sequential(OrderedDict[str, nn.Module](conv=last, activation=nn.Tanh()))
    network = nn.Sequential(stages)
    initialize_weights(network, recipe.init, recipe.init_std)
    return Generator(network, latent_dim=recipe.latent_dim, size_px=size_px, image_channels=recipe.image_channels)


def _stem(recipe: DcganGeneratorRecipe, width: int) -> nn.Module:
    """Return the stage from the latent to 4 px."""
    block = OrderedDict[str, nn.Module]()
    if recipe.stem == "dense":
        block["dense"] = nn.Linear(recipe.latent_dim, width * BASE_PX**2, bias=recipe.bias)
        block["reshape"] = nn.Unflatten(1, (width, BASE_PX, BASE_PX))
    else:
        block["reshape"] = nn.Unflatten(1, (recipe.latent_dim, 1, 1))
        block["conv"] = nn.ConvTranspose2d(recipe.latent_dim, width, BASE_PX, bias=recipe.bias)
    return nn.Sequential(block | norm_act(recipe, width))


def _upsample_conv(in_channels: int, out_channels: int, bias: bool) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(in_channels, out_channels, KERNEL, stride=2, padding=1, bias=bias)
