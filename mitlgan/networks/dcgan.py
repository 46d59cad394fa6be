"""Convolutional GANs: upsampling with convolutions, transposed convolutions, and the strided critic that faces both.

The upsampling generator starts from any small size that doubles to the image's (7 to 28 px, 10 to 40 px), as Keras' tutorials and Akel 2022 have it;
the transposed one from 4 px, as Radford et al. 2016, Benedetti 2019 and Bielko 2022 have it.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from mitlgan.errors import UsageError
from mitlgan.networks.blocks import Critic, Generator, score_head
from mitlgan.networks.initialization import apply_spectral_norm, initialize_weights

if TYPE_CHECKING:
    from mitlgan.recipe import DcganGeneratorRecipe, GrownCriticRecipe, StridedCriticRecipe, UpsampledGeneratorRecipe

BASE_PX = 4
KERNEL = 4
"""Of the transposed convolutions: a multiple of their stride, since 3 leaves a checkerboard (Bielko 2022, section 5.1.1)."""


def check(recipe: UpsampledGeneratorRecipe | DcganGeneratorRecipe | StridedCriticRecipe | GrownCriticRecipe, size_px: int) -> None:
    """Refuse a size that the network cannot reach or take, before anything is built.

    Raises:
        UsageError: One line that begins with the recipe's key.
    """
    try:
        recipe.require_size(size_px)
    except ValueError as error:
        raise UsageError(str(error)) from None


def build_upsampled(recipe: UpsampledGeneratorRecipe, size_px: int) -> Generator:
    """Build the upsampling generator: dense to a small image, then for each doubling upsample, conv, and a last conv with tanh.

    Args:
        recipe: Its measures; `widths` are the channels of the small image and after each doubling.
        size_px: A multiple of 2 ** (len(widths) - 1).

    Raises:
        UsageError: See `check`.
    """
    check(recipe, size_px)
    base, px = recipe.widths[0], size_px // 2 ** (len(recipe.widths) - 1)
    stages = OrderedDict[str, nn.Module]()
    stages["base"] = nn.Sequential(
        OrderedDict[str, nn.Module](
            dense=nn.Linear(recipe.latent_dim, base * px**2), activation=_activation(recipe), reshape=nn.Unflatten(1, (base, px, px))
        )
    )
    for before, after in pairwise(recipe.widths):
        px *= 2
        block = OrderedDict[str, nn.Module](upsample=nn.Upsample(scale_factor=2, mode="nearest"))
        stages[f"to_{px}px"] = nn.Sequential(block | _same_size(before, after, recipe.kernel) | _after(recipe, after))
    last = _same_size(recipe.widths[-1], recipe.image_channels, recipe.kernel)
    stages["to_image"] = nn.Sequential(last | OrderedDict[str, nn.Module](activation=nn.Tanh()))
    return _generator(recipe, nn.Sequential(stages), size_px)


def build_transposed(recipe: DcganGeneratorRecipe, size_px: int) -> Generator:
    """Build the generator of transposed 4x4 convolutions, as deep as `size_px` needs.

    Args:
        recipe: Its measures.
        size_px: 4 * 2^n.

    Raises:
        UsageError: See `check`.
    """
    check(recipe, size_px)
    widths = recipe.widths_at(size_px)
    stages = OrderedDict[str, nn.Module](base=_stem(recipe, widths[0]))
    px = BASE_PX
    for before, after in pairwise(widths):
        px *= 2
        block = OrderedDict[str, nn.Module](conv=_doubling(before, after, recipe.bias))
        stages[f"to_{px}px"] = nn.Sequential(block | _after(recipe, after))
    last: nn.Module = _doubling(widths[-1], recipe.image_channels, recipe.bias)
    if recipe.head == "conv":
        last = nn.Conv2d(widths[-1], recipe.image_channels, 3, padding=1, bias=recipe.bias)
    stages["to_image"] = nn.Sequential(OrderedDict[str, nn.Module](conv=last, activation=nn.Tanh()))
    return _generator(recipe, nn.Sequential(stages), size_px)


def build_critic(recipe: StridedCriticRecipe, size_px: int) -> Critic:
    """Build the strided critic: for each width conv, LeakyReLU, BatchNorm (or in the other order), Dropout; then the score.

    Args:
        recipe: Its measures.
        size_px: Any that leaves at least one pixel.

    Raises:
        UsageError: See `check`.
    """
    check(recipe, size_px)
    stages = OrderedDict[str, nn.Module]()
    channels: int = recipe.image_channels
    strides = recipe.strides or (2,) * len(recipe.widths)
    dropouts = recipe.dropout or (0.0,) * len(recipe.widths)
    for index, (width, stride, dropout) in enumerate(zip(recipe.widths, strides, dropouts, strict=True), start=1):
        conv = nn.Conv2d(channels, width, recipe.kernel, stride=stride, padding=(recipe.kernel - 1) // 2, bias=recipe.bias)
        block = OrderedDict[str, nn.Module](conv=conv)
        block |= _after(recipe, width, normed=index > 1 or recipe.norm_first)
        if dropout:
            block["dropout"] = nn.Dropout(dropout)
        stages[f"conv_{index}"] = nn.Sequential(block)
        channels = width
    px = recipe.sides_px(size_px)[-1]
    if recipe.head == "conv":
        stages["score"] = score_head(nn.Conv2d(channels, 1, px, bias=recipe.bias), recipe.output, flatten_last=True)
    else:
        stages["flatten"] = nn.Flatten()
        stages["score"] = score_head(nn.Linear(channels * px**2, 1), recipe.output)
    network = nn.Sequential(stages)
    if recipe.spectral:
        apply_spectral_norm(network)
    initialize_weights(network, recipe.init, recipe.init_std)
    return Critic(network, size_px=size_px, image_channels=recipe.image_channels)


def _same_size(before: int, after: int, kernel: int) -> OrderedDict[str, nn.Module]:
    """A convolution that keeps the size; an even kernel needs one pixel more at the right and the bottom, where Keras puts it."""
    if kernel % 2:
        return OrderedDict(conv=nn.Conv2d(before, after, kernel, padding=kernel // 2))
    less, more = (kernel - 1) // 2, kernel // 2
    return OrderedDict(pad=nn.ZeroPad2d((less, more, less, more)), conv=nn.Conv2d(before, after, kernel))


def _stem(recipe: DcganGeneratorRecipe, width: int) -> nn.Module:
    """The latent as an image of 4 px."""
    block = OrderedDict[str, nn.Module]()
    if recipe.stem == "dense":
        block["dense"] = nn.Linear(recipe.latent_dim, width * BASE_PX**2, bias=recipe.bias)
        block["reshape"] = nn.Unflatten(1, (width, BASE_PX, BASE_PX))
    else:
        block["reshape"] = nn.Unflatten(1, (recipe.latent_dim, 1, 1))
        block["conv"] = nn.ConvTranspose2d(recipe.latent_dim, width, BASE_PX, bias=recipe.bias)
    return nn.Sequential(block | _after(recipe, width))


def _doubling(before: int, after: int, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, KERNEL, stride=2, padding=1, bias=bias)


def _after(
    recipe: UpsampledGeneratorRecipe | DcganGeneratorRecipe | StridedCriticRecipe, width: int, *, normed: bool = True
) -> OrderedDict[str, nn.Module]:
    """What follows a convolution: activation and BatchNorm in the recipe's order."""
    block = OrderedDict[str, nn.Module](activation=_activation(recipe))
    if normed and recipe.normalisation == "batch":
        block["norm"] = nn.BatchNorm2d(width, eps=recipe.norm_eps, momentum=recipe.norm_momentum)
        if recipe.norm_order == "before":
            block.move_to_end("activation")
    return block


def _activation(recipe: UpsampledGeneratorRecipe | DcganGeneratorRecipe | StridedCriticRecipe) -> nn.Module:
    return nn.ReLU() if getattr(recipe, "activation", "leaky_relu") == "relu" else nn.LeakyReLU(recipe.leak)


def _generator(recipe: UpsampledGeneratorRecipe | DcganGeneratorRecipe, network: nn.Sequential, size_px: int) -> Generator:
    initialize_weights(network, recipe.init, recipe.init_std)
    return Generator(network, latent_dim=recipe.latent_dim, size_px=size_px, image_channels=recipe.image_channels)
