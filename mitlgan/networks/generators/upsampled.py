"""A generator of upsampling and convolutions, from any small size that doubles to the image's (Keras' tutorials, Akel 2022)."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from mitlgan.networks.blocks import Generator, hidden_activation, norm_act
from mitlgan.networks.initialization import initialize_weights
from mitlgan.networks.registry import GENERATORS
from mitlgan.recipe.schema.generators import UpsampledGeneratorRecipe


@GENERATORS.register(UpsampledGeneratorRecipe)
def build_upsampled(recipe: UpsampledGeneratorRecipe, size_px: int) -> Generator:
    """Build the upsampling generator: dense to a small image, then for each doubling upsample, conv, and a last conv with tanh.

    Args:
        recipe: Its settings; `widths` are the channels of the small image and after each doubling.
        size_px: A multiple of 2 ** (len(widths) - 1).
    """
    base, px = recipe.widths[0], size_px // 2 ** (len(recipe.widths) - 1)
    stages = OrderedDict[str, nn.Module]()
    stages["base"] = nn.Sequential(
        OrderedDict[str, nn.Module](
            dense=nn.Linear(recipe.latent_dim, base * px**2), activation=hidden_activation(recipe), reshape=nn.Unflatten(1, (base, px, px))
        )
    )
    for before, after in pairwise(recipe.widths):
        px *= 2
        block = OrderedDict[str, nn.Module](upsample=nn.Upsample(scale_factor=2, mode="nearest"))
        stages[f"to_{px}px"] = nn.Sequential(block | _same_conv(before, after, recipe.kernel) | norm_act(recipe, after))
    last = _same_conv(recipe.widths[-1], recipe.image_channels, recipe.kernel)
    stages["to_image"] = nn.Sequential(last | OrderedDict[str, nn.Module](activation=nn.Tanh()))
    network = nn.Sequential(stages)
    initialize_weights(network, recipe.init, recipe.init_std)
    return Generator(network, latent_dim=recipe.latent_dim, size_px=size_px, image_channels=recipe.image_channels)


def _same_conv(in_channels: int, out_channels: int, kernel: int) -> OrderedDict[str, nn.Module]:
    """Return a convolution that keeps the size; an even kernel gets one more pixel of padding at the right and bottom, as in Keras."""
    if kernel % 2:
        return OrderedDict(conv=nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2))
    before_px, after_px = (kernel - 1) // 2, kernel // 2
    return OrderedDict(pad=nn.ZeroPad2d((before_px, after_px, before_px, after_px)), conv=nn.Conv2d(in_channels, out_channels, kernel))
