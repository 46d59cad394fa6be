"""The critic of the thesis (Élő 2021, Table 7.2), at any size of its family."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from mitlgan.networks.blocks import Critic
from mitlgan.networks.critics.options import at_each_scale, batch_deviation
from mitlgan.networks.initialization import apply_spectral_norm, initialize_weights
from mitlgan.networks.registry import CRITICS
from mitlgan.recipe.schema.critics import ThesisCriticRecipe


@CRITICS.register(ThesisCriticRecipe)
def build_critic(recipe: ThesisCriticRecipe, size_px: int) -> Critic:
    """Build the critic of Table 7.2: stride-2 convs with bias and LeakyReLU, then one dense score.

    There is no BatchNorm by default, because the gradient penalty is per sample. Dropout uses torch's global random numbers.

    Args:
        recipe: `widths` and `dropout` of the convs, `flatten_dropout`, `kernel`, `leak`,
            `normalisation`, `spectral`, `batch_deviation`, `scales`, `init`, image channels.
        size_px: Any multiple of 2 ** len(widths).
    """
    network = at_each_scale(lambda px: _stages(recipe, px), size_px, recipe.scales)
    if recipe.spectral:
        apply_spectral_norm(network)
    initialize_weights(network, recipe.init, recipe.init_std)
    return Critic(network, size_px=size_px, image_channels=recipe.image_channels)


def _stages(recipe: ThesisCriticRecipe, size_px: int) -> nn.Sequential:
    stages = OrderedDict[str, nn.Module]()
    channels: int = recipe.image_channels
    px = size_px
    for width, dropout in zip(recipe.widths, recipe.dropout, strict=True):
        px //= 2
        block = OrderedDict[str, nn.Module](conv=nn.Conv2d(channels, width, recipe.kernel, stride=2, padding=recipe.kernel // 2))
        if recipe.normalisation == "batch":
            block["norm"] = nn.BatchNorm2d(width, **recipe.batchnorm_settings)
        block["activation"] = nn.LeakyReLU(recipe.leak)
        if dropout:
            block["dropout"] = nn.Dropout(dropout)
        stages[f"to_{px}px"] = nn.Sequential(block)
        channels = width
    deviation, more = batch_deviation(recipe)
    stages |= deviation
    head = OrderedDict[str, nn.Module](flatten=nn.Flatten())
    if recipe.flatten_dropout:
        head["dropout"] = nn.Dropout(recipe.flatten_dropout)
    head["dense"] = nn.Linear((channels + more) * px**2, 1)
    stages["score"] = nn.Sequential(head)
    return nn.Sequential(stages)
