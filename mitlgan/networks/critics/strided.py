"""A critic of strided convolutions, at any size."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from mitlgan.networks.blocks import Critic, norm_act, score_head
from mitlgan.networks.critics.options import at_each_scale, batch_deviation
from mitlgan.networks.initialization import apply_spectral_norm, initialize_weights
from mitlgan.networks.registry import CRITICS
from mitlgan.recipe.schema.critics import StridedCriticRecipe


@CRITICS.register(StridedCriticRecipe)
def build_critic(recipe: StridedCriticRecipe, size_px: int) -> Critic:
    """Build the strided critic: for each width conv, LeakyReLU, BatchNorm (or in the other order), Dropout; then the score.

    Args:
        recipe: Its settings.
        size_px: Height and width of its images; at least one pixel must be left after the convolutions.
    """
    network = at_each_scale(lambda px: _stages(recipe, px), size_px, recipe.scales)
    if recipe.spectral:
        apply_spectral_norm(network)
    initialize_weights(network, recipe.init, recipe.init_std)
    return Critic(network, size_px=size_px, image_channels=recipe.image_channels)


def _stages(recipe: StridedCriticRecipe, size_px: int) -> nn.Sequential:
    stages = OrderedDict[str, nn.Module]()
    channels: int = recipe.image_channels
    widths = recipe.widths_at(size_px)
    strides = recipe.strides or (2,) * len(widths)
    for index, (width, stride, dropout) in enumerate(zip(widths, strides, recipe.dropouts_at(size_px), strict=True), start=1):
        conv = nn.Conv2d(channels, width, recipe.kernel, stride=stride, padding=(recipe.kernel - 1) // 2, bias=recipe.bias)
        block = OrderedDict[str, nn.Module](conv=conv)
        block |= norm_act(recipe, width, has_norm=index > 1 or recipe.norm_first)
        if dropout:
            block["dropout"] = nn.Dropout(dropout)
        stages[f"conv_{index}"] = nn.Sequential(block)
        channels = width
    px = recipe.sides_px(size_px)[-1]
    deviation, more = batch_deviation(recipe)
    stages |= deviation
    channels += more
    if recipe.head == "conv":
        stages["score"] = score_head(nn.Conv2d(channels, 1, px, bias=recipe.bias), recipe.output, flatten_last=True)
    else:
        stages["flatten"] = nn.Flatten()
        stages["score"] = score_head(nn.Linear(channels * px**2, 1), recipe.output)
    return nn.Sequential(stages)
