"""Networks by recipe.

Unless a recipe's `init` says otherwise, weights are initialised by torch's defaults (Kaiming uniform with a = sqrt(5) for convs and dense, ones and
zeros for normalisation) from torch's global random numbers: call `torch.manual_seed` before a build function to get the same network again.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from mitlgan.errors import UsageError
from mitlgan.networks import context_encoder, dcgan, mlp, thesis
from mitlgan.networks.adapters import FeatureAffineAdapter
from mitlgan.networks.blocks import Critic, Generator
from mitlgan.networks.complexity import BlockSummary, ParameterCounts, count_macs, count_parameters, summarize_blocks
from mitlgan.networks.composer import PLACEMENT_LATENT, Composer, CompositionStages, FrozenGenerators
from mitlgan.networks.context_encoder import ContextEncoder
from mitlgan.networks.critics import grown as grown_critic
from mitlgan.networks.critics.grown import GrownCritic
from mitlgan.networks.fusion.fusions import FUSION_CHECKS, FUSIONS, NEEDS_FEATURES, FusionOutput, LayerSpec, back_to_front
from mitlgan.networks.generators import grown
from mitlgan.networks.generators.grown import GrownGenerator
from mitlgan.networks.placement import EffectStrengths, LayerTransform
from mitlgan.networks.translators import TRANSLATORS, check_translator

if TYPE_CHECKING:
    from mitlgan.recipe import AnyCritic, AnyGenerator, ComposerRecipe, InpainterRecipe

__all__ = [
    "PLACEMENT_LATENT",
    "BlockSummary",
    "Composer",
    "CompositionStages",
    "ContextEncoder",
    "Critic",
    "EffectStrengths",
    "FusionOutput",
    "Generator",
    "GrownCritic",
    "GrownGenerator",
    "LayerTransform",
    "ParameterCounts",
    "back_to_front",
    "build_composer",
    "build_critic",
    "build_generator",
    "build_inpainter",
    "check_composer",
    "check_critic",
    "check_generator",
    "check_layer_name",
    "count_macs",
    "count_parameters",
    "forward_with_aux_loss",
    "input_shape",
    "summarize_blocks",
]

T = TypeVar("T")

IMAGE_CHANNELS = 3
RESERVED_LAYER_NAMES = ("training", PLACEMENT_LATENT, "matte", "fused", "output")
"""Names of other things than layers: a module's own, the placement's latent, and stages as reports and files call them."""


def _any_size(_recipe: object, _size_px: int) -> None:
    """Dense layers take any size."""


GENERATORS: dict[str, Callable[[Any, int], Generator]] = {
    "thesis": thesis.build_generator,
    "mlp": mlp.build_generator,
    "upsampled": dcgan.build_upsampled,
    "dcgan": dcgan.build_transposed,
    "grown": lambda recipe, size_px: grown.build(recipe, size_px, build_generator(recipe.parent, recipe.parent_px)),
}
GENERATOR_CHECKS: dict[str, Callable[[Any, int], None]] = {
    "thesis": thesis.check_generator,
    "mlp": _any_size,
    "upsampled": dcgan.check,
    "dcgan": dcgan.check,
    "grown": grown.check,
}
CRITICS: dict[str, Callable[[Any, int], Critic]] = {
    "thesis": thesis.build_critic,
    "mlp": mlp.build_critic,
    "strided": dcgan.build_critic,
    "grown": lambda recipe, size_px: grown_critic.build(recipe, size_px, build_critic(recipe.parent, recipe.parent_px)),
}
CRITIC_CHECKS: dict[str, Callable[[Any, int], None]] = {"thesis": thesis.check_critic, "mlp": _any_size, "strided": dcgan.check, "grown": dcgan.check}


def build_generator(recipe: AnyGenerator, size_px: int) -> Generator:
    """Build a generator.

    Args:
        recipe: Its kind and measures.
        size_px: Height and width of its images.

    Raises:
        UsageError: The recipe does not lead to `size_px`.
    """
    return _named(GENERATORS, recipe.kind, "generator.kind")(recipe, size_px)


def check_generator(recipe: AnyGenerator, size_px: int) -> None:
    """Refuse, without building it, a generator that does not lead to `size_px`.

    Raises:
        UsageError: One line that begins with the recipe's key.
    """
    _named(GENERATOR_CHECKS, recipe.kind, "generator.kind")(recipe, size_px)


def build_critic(recipe: AnyCritic, size_px: int) -> Critic:
    """Build a critic, newly initialised.

    Args:
        recipe: Its kind and measures.
        size_px: Height and width of the images that it scores.

    Raises:
        UsageError: The recipe does not fit images of `size_px`.
    """
    return _named(CRITICS, recipe.kind, "critic.kind")(recipe, size_px)


def check_critic(recipe: AnyCritic, size_px: int) -> None:
    """Refuse, without building it, a critic that does not fit images of `size_px`.

    Raises:
        UsageError: One line that begins with the recipe's key.
    """
    _named(CRITIC_CHECKS, recipe.kind, "critic.kind")(recipe, size_px)


def build_composer(recipe: ComposerRecipe, layers: Mapping[str, Generator], size_px: int) -> Composer:
    """Build a composer around frozen copies of generators.

    Args:
        recipe: Fusion and translator.
        layers: Trained generators by layer name, in the order of their latents; they are copied, so that the given ones stay as they are.
        size_px: Height and width of the composed image, and of all layers unless the recipe says how they are resampled.

    Raises:
        UsageError: A layer has another size, or the recipe does not fit `size_px`.
    """
    check_composer(recipe, layers, size_px)
    fusion = FUSIONS[recipe.fusion.kind](recipe.fusion, _sources(recipe.fusion.kind, layers), size_px, recipe.placement)
    translator = TRANSLATORS[recipe.translator.kind](recipe.translator, size_px, IMAGE_CHANNELS)
    copies = {name: copy.deepcopy(generator) for name, generator in layers.items()}
    adapters = {name: FeatureAffineAdapter(generator) for name, generator in copies.items()} if recipe.adapters else None
    return Composer(copies, fusion, translator, size_px, IMAGE_CHANNELS, recipe.resample, adapters)


def check_composer(recipe: ComposerRecipe, layers: Mapping[str, Generator], size_px: int) -> None:
    """Refuse, without building it, a composer that does not fit its layers or `size_px`.

    Raises:
        UsageError: One line that begins with the recipe's key or the layer.
    """
    fits = _named(FUSION_CHECKS, recipe.fusion.kind, "composer.fusion.kind")
    _named(TRANSLATORS, recipe.translator.kind, "composer.translator.kind")
    check_translator(recipe.translator, size_px)
    if not layers:
        raise UsageError("layers: a composer needs at least one generator; give --fg and --bg")
    for name, generator in layers.items():
        check_layer_name(name)
        if generator.size_px != size_px and recipe.resample is None:
            raise UsageError(
                f"layer {name}: its generator makes {generator.size_px} px, not size_px = {size_px}; give one of that size, "
                'or say how it is resampled: composer.resample = "bilinear"'
            )
    fits(recipe.fusion, _sources(recipe.fusion.kind, layers))


def check_layer_name(name: str) -> None:
    """Refuse a name that a layer cannot have: it would be no attribute, or that of another stage.

    Raises:
        UsageError: One line that begins with the layer.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED_LAYER_NAMES or hasattr(FrozenGenerators, name):
        raise UsageError(f"layer {name!r}: not a name that a layer can have; choose letters, such as fg or bg")


def build_inpainter(recipe: InpainterRecipe, size_px: int) -> ContextEncoder:
    """Build a context encoder, newly initialised.

    Args:
        recipe: Its measures.
        size_px: Height and width of the pictures that it fills.

    Raises:
        UsageError: The recipe does not fit pictures of `size_px`.
    """
    return context_encoder.build(recipe, size_px)


def input_shape(network: nn.Module) -> tuple[int, ...]:
    """Of one input of a network, without the batch: a latent's, that of a picture with its hole, or that of a picture for a critic."""
    if isinstance(network, Critic):
        return (network.image_channels, network.size_px, network.size_px)
    if isinstance(network, ContextEncoder):
        return (network.image_channels + 1, network.size_px, network.size_px)
    return (int(network.latent_dim),)  # type: ignore[arg-type]


def forward_with_aux_loss(network: nn.Module, z: Tensor, kimg: float) -> tuple[Tensor, Tensor | None]:
    """Images of a generator, composer or inpainter in training, and what it costs beside what the critic says, if anything.

    Args:
        network: Inputs to images.
        z: Latents (N, D), standard normal; for an inpainter pictures and their holes, (N, C + 1, H, W).
        kimg: The clock.
    """
    if isinstance(network, ContextEncoder):
        return network.forward_with_aux_loss(z)
    if isinstance(network, Composer):
        return network.forward_with_aux_loss(z, kimg)
    return network(z), None


def _sources(kind: str, layers: Mapping[str, Generator]) -> dict[str, LayerSpec]:
    """What a fusion of a kind must know of its layers; a generator shows its activations on the meta device, where nothing is computed."""
    if kind not in NEEDS_FEATURES:  # a forward pass on the meta device brings torch's compiler along: a second, and 200 MB
        return {name: LayerSpec(generator.image_channels) for name, generator in layers.items()}
    found = {}
    for name, generator in layers.items():
        described = copy.deepcopy(generator).to("meta").eval()
        _, features = described.forward_with_features(torch.empty(1, generator.latent_dim, device="meta"))
        found[name] = LayerSpec(generator.image_channels, tuple(feature.shape[1] for feature in features))
    return found


def _named(table: Mapping[str, T], kind: str, option: str) -> T:
    """Look a kind up.

    Raises:
        UsageError: There is none of that name.
    """
    if kind not in table:
        raise UsageError(f"{option}: there is no {kind!r}; choose one of {', '.join(table)}")
    return table[kind]
