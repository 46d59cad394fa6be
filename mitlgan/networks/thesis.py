"""The WGAN of the thesis (Élő 2021), Tables 7.1 and 7.2, at any size of its family."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from mitlgan.errors import UsageError
from mitlgan.networks.blocks import Critic, Generator, activation, batchnorm_upsample, check_kernel
from mitlgan.networks.initialization import apply_spectral_norm

if TYPE_CHECKING:
    from mitlgan.recipe import ThesisCriticRecipe, ThesisGeneratorRecipe

BASE_PX = 4


def check_generator(recipe: ThesisGeneratorRecipe, size_px: int) -> None:
    """Refuse what the generator cannot reach, before anything is built.

    Raises:
        UsageError: `widths` do not lead from 4 px to `size_px` by doubling.
    """
    doublings = (size_px // BASE_PX).bit_length() - 1
    if size_px < 2 * BASE_PX or BASE_PX * 2**doublings != size_px:
        nearest = BASE_PX * 2 ** max(1, doublings)
        raise UsageError(f"size_px: the generator doubles from 4 px, so it cannot reach {size_px}; choose a power of two, such as {nearest}")
    if len(recipe.widths) != doublings:
        raise UsageError(
            f"generator.widths: {len(recipe.widths)} widths make {BASE_PX * 2 ** len(recipe.widths)} px, not size_px = {size_px}; "
            f"give {doublings}, the channels at {', '.join(str(BASE_PX * 2**i) for i in range(doublings))} px"
        )


def build_generator(recipe: ThesisGeneratorRecipe, size_px: int) -> Generator:
    """Build the generator of Table 7.1: dense, then upsampling by two with conv 3x3 until `size_px`.

    Each stage but the last is followed by BatchNorm and LeakyReLU, the last by BatchNorm and the recipe's activation. BatchNorm has
    torch's defaults (momentum 0.1, eps 1e-5), for the thesis does not print its own.

    Args:
        recipe: Latent size, `widths` (channels at 4, 8, 16, ... px), `leak`, last activation, image channels.
        size_px: 4 * 2 ** len(widths).

    Raises:
        UsageError: See `check_generator`.
    """
    check_generator(recipe, size_px)
    base = recipe.widths[0]
    features = base * BASE_PX**2
    stages = OrderedDict[str, nn.Module]()
    stages["base"] = nn.Sequential(
        OrderedDict[str, nn.Module](
            dense=nn.Linear(recipe.latent_dim, features, bias=False),
            norm=nn.BatchNorm1d(features),
            activation=nn.LeakyReLU(recipe.leak),
            reshape=nn.Unflatten(1, (base, BASE_PX, BASE_PX)),
        )
    )
    px = BASE_PX
    for before, after in pairwise(recipe.widths):
        px *= 2
        stages[f"to_{px}px"] = batchnorm_upsample(
            before, after, nn.LeakyReLU(recipe.leak), upsample=recipe.upsample, blocks=recipe.blocks, leak=recipe.leak
        )
    stages["to_image"] = batchnorm_upsample(
        recipe.widths[-1],
        recipe.image_channels,
        activation(recipe.activation, "generator.activation"),
        upsample=recipe.upsample,
        blocks=recipe.blocks,
        leak=recipe.leak,
        last_norm=recipe.last_norm,
    )
    return Generator(nn.Sequential(stages), latent_dim=recipe.latent_dim, size_px=size_px, image_channels=recipe.image_channels)


def check_critic(recipe: ThesisCriticRecipe, size_px: int) -> None:
    """Refuse what the critic cannot take, before anything is built.

    Raises:
        UsageError: The size cannot be halved once per width, `dropout` does not fit `widths`, or the kernel does not fit the image.
    """
    if not recipe.widths:
        raise UsageError("critic.widths: give at least one width")
    shrink = 2 ** len(recipe.widths)
    if size_px % shrink:
        fitting = (size_px & -size_px).bit_length() - 1
        raise UsageError(
            f"critic.widths: {len(recipe.widths)} widths halve the image as many times, which size_px = {size_px} does not allow; "
            f"give at most {fitting}"
        )
    if len(recipe.dropout) != len(recipe.widths):
        raise UsageError(f"critic.dropout: {len(recipe.dropout)} values for {len(recipe.widths)} widths; give one per width, 0 for none")
    check_kernel(recipe.kernel, size_px, "critic.kernel")


def build_critic(recipe: ThesisCriticRecipe, size_px: int) -> Critic:
    """Build the critic of Table 7.2: stride-2 convs with bias and LeakyReLU, then one dense score.

    The thesis has no BatchNorm here, because the gradient penalty is per sample. Dropout draws from torch's global random numbers.

    Args:
        recipe: `widths` and `dropout` of the convs, `flatten_dropout`, `kernel`, `leak`,
            `normalisation`, `spectral`, image channels.
        size_px: Any multiple of 2 ** len(widths).

    Raises:
        UsageError: See `check_critic`.
    """
    check_critic(recipe, size_px)
    stages = OrderedDict[str, nn.Module]()
    channels: int = recipe.image_channels
    px = size_px
    for width, dropout in zip(recipe.widths, recipe.dropout, strict=True):
        px //= 2
        block = OrderedDict[str, nn.Module](conv=nn.Conv2d(channels, width, recipe.kernel, stride=2, padding=recipe.kernel // 2))
        if recipe.normalisation == "batch":
            block["norm"] = nn.BatchNorm2d(width)
        block["activation"] = nn.LeakyReLU(recipe.leak)
        if dropout:
            block["dropout"] = nn.Dropout(dropout)
        stages[f"to_{px}px"] = nn.Sequential(block)
        channels = width
    head = OrderedDict[str, nn.Module](flatten=nn.Flatten())
    if recipe.flatten_dropout:
        head["dropout"] = nn.Dropout(recipe.flatten_dropout)
    head["dense"] = nn.Linear(channels * px**2, 1)
    stages["score"] = nn.Sequential(head)
    network = nn.Sequential(stages)
    if recipe.spectral:
        apply_spectral_norm(network)
    return Critic(network, size_px=size_px, image_channels=recipe.image_channels)
