"""A generator of dense layers only (Goodfellow et al. 2014; Akel 2022, figure 4.5)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from mitlgan.networks.blocks import Generator
from mitlgan.networks.initialization import initialize_weights
from mitlgan.networks.registry import GENERATORS
from mitlgan.recipe.schema.generators import MlpGeneratorRecipe


@GENERATORS.register(MlpGeneratorRecipe)
def build_generator(recipe: MlpGeneratorRecipe, size_px: int) -> Generator:
    """Build the generator: dense, LeakyReLU, BatchNorm for each width, then dense to the pixels and tanh.

    At 28 x 28 x 1 with default settings: 1,493,520 parameters with BatchNorm statistics, 1,489,936 of them trainable (Akel 2022, figure 4.5).

    Args:
        recipe: Its settings.
        size_px: Height and width of its images; any size.
    """
    stages = OrderedDict[str, nn.Module]()
    features = recipe.latent_dim
    for index, width in enumerate(recipe.widths, start=1):
        block = OrderedDict[str, nn.Module](dense=nn.Linear(features, width))
        norm = nn.BatchNorm1d(width, eps=recipe.norm_eps, momentum=recipe.norm_momentum) if recipe.normalisation == "batch" else None
        if norm is not None and recipe.norm_order == "before":
            block["norm"] = norm
        block["activation"] = nn.LeakyReLU(recipe.leak)
        if norm is not None and recipe.norm_order == "after":
            block["norm"] = norm
        stages[f"dense_{index}"] = nn.Sequential(block)
        features = width
    shape = (recipe.image_channels, size_px, size_px)
    stages["to_image"] = nn.Sequential(
        OrderedDict[str, nn.Module](dense=nn.Linear(features, recipe.image_channels * size_px**2), activation=nn.Tanh(), reshape=nn.Unflatten(1, shape))
    )
    network = nn.Sequential(stages)
    initialize_weights(network, recipe.init, recipe.init_std)
    return Generator(network, latent_dim=recipe.latent_dim, size_px=size_px, image_channels=recipe.image_channels)
