"""A critic of dense layers only (Goodfellow et al. 2014; Akel 2022, figure 4.4)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from mitlgan.networks.blocks import Critic, score_head
from mitlgan.networks.initialization import initialize_weights
from mitlgan.networks.registry import CRITICS
from mitlgan.recipe.schema.critics import MlpCriticRecipe


@CRITICS.register(MlpCriticRecipe)
def build_critic(recipe: MlpCriticRecipe, size_px: int) -> Critic:
    """Build the critic: flatten, dense and LeakyReLU for each width, then one dense score.

    At 28 x 28 x 1 with default settings: 533,505 parameters (Akel 2022, figure 4.4).

    Args:
        recipe: Its settings.
        size_px: Height and width of its images; any size.
    """
    stages = OrderedDict[str, nn.Module](flatten=nn.Flatten())
    features = recipe.image_channels * size_px**2
    for index, width in enumerate(recipe.widths, start=1):
        stages[f"dense_{index}"] = nn.Sequential(OrderedDict[str, nn.Module](dense=nn.Linear(features, width), activation=nn.LeakyReLU(recipe.leak)))
        features = width
    stages["score"] = score_head(nn.Linear(features, 1), recipe.output)
    network = nn.Sequential(stages)
    initialize_weights(network, recipe.init, recipe.init_std)
    return Critic(network, size_px=size_px, image_channels=recipe.image_channels)
