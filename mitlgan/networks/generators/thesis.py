"""The generator of the thesis (Élő 2021, Table 7.1), at any size of its family."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from mitlgan.networks.blocks import Generator, activation
from mitlgan.networks.generators.skip_heads import LastSkipStage, SkipStage
from mitlgan.networks.initialization import initialize_weights
from mitlgan.networks.registry import GENERATORS
from mitlgan.recipe.schema.generators import ThesisGeneratorRecipe

BASE_PX = 4


@GENERATORS.register(ThesisGeneratorRecipe)
def build_generator(recipe: ThesisGeneratorRecipe, size_px: int) -> Generator:
    """Build the generator of Table 7.1: dense, then upsampling by two with conv 3x3 until `size_px`.

    BatchNorm and LeakyReLU follow each stage but the last, BatchNorm and the recipe's activation the last. BatchNorm has torch's defaults (momentum
    0.1, eps 1e-5) unless the recipe sets `norm_momentum` and `norm_eps`; the thesis does not print its own.

    Args:
        recipe: Latent size, `widths` (channels at 4, 8, 16, ... px), `leak`, last activation, `heads`, `init`, image channels.
        size_px: 4 * 2 ** len(widths).
    """
    base = recipe.widths[0]
    features = base * BASE_PX**2
    stages = OrderedDict[str, nn.Module]()
    stages["base"] = nn.Sequential(
        OrderedDict[str, nn.Module](
            dense=nn.Linear(recipe.latent_dim, features, bias=False),
            norm=nn.BatchNorm1d(features, **recipe.batchnorm_settings),
            activation=nn.LeakyReLU(recipe.leak),
            reshape=nn.Unflatten(1, (base, BASE_PX, BASE_PX)),
        )
    )
    if recipe.heads == "skip":
        stages["base"] = SkipStage(stages["base"], base, recipe.image_channels, is_first=True)
    px = BASE_PX
    for before, after in pairwise(recipe.widths):
        px *= 2
        stages[f"to_{px}px"] = batchnorm_upsample(recipe, before, after, nn.LeakyReLU(recipe.leak))
        if recipe.heads == "skip":
            stages[f"to_{px}px"] = SkipStage(stages[f"to_{px}px"], after, recipe.image_channels, is_first=False)
    last = activation(recipe.activation, "generator.activation")
    stages["to_image"] = batchnorm_upsample(
        recipe, recipe.widths[-1], recipe.image_channels, nn.Identity() if recipe.heads == "skip" else last, last_norm=recipe.last_norm
    )
    if recipe.heads == "skip":
        stages["to_image"] = LastSkipStage(stages["to_image"], recipe.image_channels, last)
    network = nn.Sequential(stages)
    initialize_weights(network, recipe.init, recipe.init_std)
    return Generator(network, latent_dim=recipe.latent_dim, size_px=size_px, image_channels=recipe.image_channels)


def batchnorm_upsample(recipe: ThesisGeneratorRecipe, in_channels: int, out_channels: int, last: nn.Module, *, last_norm: bool = True) -> nn.Sequential:
    """Return a stage that doubles the size: upsampling, conv 3x3 without bias, BatchNorm, activation (the row of Table 7.1, with one block).

    Args:
        recipe: Its upsampling, `blocks` (convolutions at the new size; LeakyReLU follows all but the last), leak and BatchNorm.
        in_channels: Input channels.
        out_channels: Output channels.
        last: Activation of the last block.
        last_norm: Whether the last block has BatchNorm; else it has a bias.
    """
    stages = OrderedDict[str, nn.Module](upsample=nn.Upsample(scale_factor=2, mode=recipe.upsample))
    for index in range(1, recipe.blocks):
        stages[f"conv_{index}"] = nn.Conv2d(in_channels, max(in_channels // 2, out_channels), 3, padding=1, bias=False)
        in_channels = max(in_channels // 2, out_channels)
        stages[f"norm_{index}"] = nn.BatchNorm2d(in_channels, **recipe.batchnorm_settings)
        stages[f"activation_{index}"] = nn.LeakyReLU(recipe.leak)
    stages["conv"] = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=not last_norm)
    if last_norm:
        stages["norm"] = nn.BatchNorm2d(out_channels, **recipe.batchnorm_settings)
    stages["activation"] = last
    return nn.Sequential(stages)
