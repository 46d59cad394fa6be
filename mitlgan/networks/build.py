"""Networks by recipe.

Unless a recipe's `init` says otherwise, weights have torch's default initialization (Kaiming uniform with a = sqrt(5) for convolutions and dense
layers) from torch's global random numbers: call `torch.manual_seed` before building to get the same network again.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch

from mitlgan.errors import UsageError
from mitlgan.networks.adapters import FeatureAffineAdapter
from mitlgan.networks.blocks import Critic, Generator
from mitlgan.networks.composer import PLACEMENT_LATENT, Composer, FrozenGenerators
from mitlgan.networks.context_encoder import ContextEncoder
from mitlgan.networks.feature_networks.frozen import FEATURE_NETWORKS, FeatureNetworkId, require_weights
from mitlgan.networks.fusion.interface import LayerSpec
from mitlgan.networks.registry import CRITICS, FUSIONS, GENERATORS, TRANSLATORS

if TYPE_CHECKING:
    from mitlgan.recipe import AnyCritic, AnyGenerator, ComposerRecipe, InpainterRecipe

IMAGE_CHANNELS = 3
RESERVED_LAYER_NAMES = ("training", PLACEMENT_LATENT, "matte", "fused", "output")
"""Names with another meaning: an attribute of every module, the placement's latent, and stages in reports and files."""


class SizedRecipe(Protocol):
    """A recipe of a network that works only at some sizes."""

    def require_size(self, size_px: int) -> None:
        """Raise a ValueError if the size is not among them."""
        ...


def check_size(recipe: SizedRecipe, size_px: int) -> None:
    """Refuse, without building it, a network that does not work at a size.

    Raises:
        UsageError: One line that begins with the recipe's key.
    """
    try:
        recipe.require_size(size_px)
    except ValueError as error:
        raise UsageError(str(error)) from None


def build_generator(recipe: AnyGenerator, size_px: int) -> Generator:
    """Build a generator with new weights.

    Args:
        recipe: Its settings.
        size_px: Height and width of its images.

    Raises:
        UsageError: It cannot make images of `size_px`.
    """
    check_size(recipe, size_px)
    return GENERATORS[type(recipe)](recipe, size_px)


def build_critic(recipe: AnyCritic, size_px: int) -> Critic:
    """Build a critic with new weights; arguments and errors as of `build_generator`."""
    check_size(recipe, size_px)
    return CRITICS[type(recipe)](recipe, size_px)


def identify_feature_network(recipe: AnyCritic) -> FeatureNetworkId | None:
    """Return the frozen network that a critic looks through, with the hash of its weights; None for all other critics."""
    return FeatureNetworkId(recipe.network, str(FEATURE_NETWORKS[recipe.network].sha256)) if recipe.kind == "projected" else None


def require_critic_weights(recipe: AnyCritic) -> None:
    """Refuse, without building it, a critic whose frozen network is not on this machine.

    Raises:
        AbsentWeightsError: One line that begins with the recipe's key and says how to get its weights.
    """
    if recipe.kind == "projected":
        require_weights(recipe.network, "critic.network")


def build_inpainter(recipe: InpainterRecipe, size_px: int) -> ContextEncoder:
    """Build a context encoder with new weights; arguments and errors as of `build_generator`."""
    check_size(recipe, size_px)
    return ContextEncoder(recipe, size_px)


def build_composer(recipe: ComposerRecipe, layers: Mapping[str, Generator], size_px: int) -> Composer:
    """Build a composer around frozen copies of generators.

    Args:
        recipe: Fusion and translator.
        layers: Trained generators by layer name, in the order of their latents; the composer copies them.
        size_px: Height and width of the composed image, and of all layers unless the recipe says how they are resampled.

    Raises:
        UsageError: A layer has another size, or the recipe does not fit `size_px`.
    """
    check_composer(recipe, layers, size_px)
    make_fusion, make_translator = FUSIONS[type(recipe.fusion)], TRANSLATORS[type(recipe.translator)]
    fusion = make_fusion(recipe.fusion, _layer_specs(recipe, layers), size_px, recipe.placement)
    translator = make_translator(recipe.translator, IMAGE_CHANNELS)
    copies = {name: copy.deepcopy(generator) for name, generator in layers.items()}
    adapters = {name: FeatureAffineAdapter(generator) for name, generator in copies.items()} if recipe.adapters else None
    return Composer(copies, fusion, translator, size_px, IMAGE_CHANNELS, recipe.resample, adapters)


def check_composer(recipe: ComposerRecipe, layers: Mapping[str, Generator], size_px: int) -> None:
    """Refuse, without building it, a composer that does not fit its layers or `size_px`.

    Raises:
        UsageError: One line that begins with the recipe's key or the layer.
    """
    check_size(recipe.translator, size_px)
    if not layers:
        raise UsageError("layers: a composer needs at least one generator; give --fg and --bg")
    for name, generator in layers.items():
        check_layer_name(name)
        if generator.size_px != size_px and recipe.resample is None:
            raise UsageError(
                f"layer {name}: its generator makes {generator.size_px} px, not size_px = {size_px}; give one of that size, "
                'or say how it is resampled: composer.resample = "bilinear"'
            )
    FUSIONS[type(recipe.fusion)].check(recipe.fusion, _layer_specs(recipe, layers))


def check_layer_name(name: str) -> None:
    """Refuse a name that a layer cannot have.

    Raises:
        UsageError: It is no identifier, or has another meaning.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED_LAYER_NAMES or hasattr(FrozenGenerators, name):
        raise UsageError(f"layer {name!r}: not a name that a layer can have; choose letters, such as fg or bg")


def _layer_specs(recipe: ComposerRecipe, layers: Mapping[str, Generator]) -> dict[str, LayerSpec]:
    """Return what the fusion must know of its layers; a run on the meta device, which computes nothing, gives the shapes of activations."""
    if not FUSIONS[type(recipe.fusion)].may_need_features(recipe.fusion):
        return {name: LayerSpec(generator.image_channels) for name, generator in layers.items()}  # the meta device costs a second and 200 MB
    specs = {}
    for name, generator in layers.items():
        shapes = copy.deepcopy(generator).to("meta").eval()
        _, features = shapes.forward_with_features(torch.empty(1, generator.latent_dim, device="meta"))
        specs[name] = LayerSpec(generator.image_channels, tuple(feature.shape[1] for feature in features))
    return specs
