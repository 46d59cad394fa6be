"""Composition: frozen generators joined by a fusion and a translator."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import torch

from mitlgan import networks
from mitlgan.artifacts.card import Card, GeneratorSpec, LayerCard
from mitlgan.artifacts.load_save import layer_hashes, load_layer
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.context import RunContext
from mitlgan.stages.initial_critic import has_new_block, load_initial_critic, with_critic_parent
from mitlgan.stages.placement_fit import fit_placement_to_mattes
from mitlgan.stages.setup import make_setup
from mitlgan.stages.training_run import start_run
from mitlgan.training.run_directory import Run

DEFAULT_COMPOSITION_RECIPE = "thesis-32/compose"
"""Recipe of a composition that names none: the one that belongs to the pretrainings that name none."""


def compose(
    recipe: Recipe, layers: Mapping[str, Path], context: RunContext, *, critic: Path | None = None, settings: Collection[str] = ()
) -> Run:  # fmt: skip
    """Train a fusion and a translator over frozen generators, and export the composer.

    Args:
        recipe: A recipe with a [composer].
        layers: Artifact of each layer by name, in the order of their latents.
        context: Where and how.
        critic: Run or artifact whose weights the critic begins with; a new critic by default, as in the thesis.
        settings: The user's changes of the recipe, `a.b=v`, or their keys alone.

    Returns:
        The finished run; its artifact holds the frozen layers, and its card proves by hash that they did not change.

    Raises:
        MitlganError: The recipe, the data, an artifact or the machine does not allow it; see the error classes.
    """
    say = context.reporter.say
    recipe = with_critic_parent(recipe, critic, say, settings)
    if recipe.composer is None:
        raise UsageError(f"--recipe {recipe.name}: has no [composer]; give one for `compose`")
    critic_weights = load_initial_critic(critic, recipe, say)
    loaded = {name: load_layer(path, name, recipe.size_px, recipe.composer.resample) for name, path in layers.items()}
    pack = open_recipe_data(recipe, say=say)
    torch.manual_seed(derived_seed(recipe.seed, "initial composer"))
    composer = networks.build_composer(recipe.composer, {name: generator for name, (generator, _) in loaded.items()}, recipe.size_px)
    hashes = layer_hashes(composer)
    cards = {name: _layer_card(card, hashes[name]) for name, (_, card) in loaded.items()}
    fit_placement_to_mattes(recipe, composer, pack, say)
    setup = make_setup(recipe, composer, pack, cards, has_new_block=has_new_block(recipe, critic_weights))
    return start_run(recipe, setup, context, hashes, critic_weights)


def check_layers(recipe: Recipe, layers: Mapping[str, Path]) -> dict[str, GeneratorSpec]:
    """Check that a composition can be built of layers, without training, and return how their generators are built.

    Raises:
        MitlganError: An artifact is damaged, or does not fit the recipe.
    """
    assert recipe.composer is not None
    loaded = {name: load_layer(path, name, recipe.size_px, recipe.composer.resample) for name, path in layers.items()}
    networks.check_composer(recipe.composer, {name: generator for name, (generator, _) in loaded.items()}, recipe.size_px)
    return {name: GeneratorSpec(card.generator, card.size_px) for name, (_, card) in loaded.items() if card.generator is not None}


def _layer_card(card: Card, sha256_before: str) -> LayerCard:
    """Return what a composition's card says of a layer whose generator has this card."""
    assert card.generator is not None
    account = {
        "recipe": card.recipe.get("name", ""),
        "made_by": card.recipe,  # comparisons derive the cost of the layer's own training from it
        **{key: getattr(card, key) for key in ("data", "kimg", "iterations", "seconds", "cpu_seconds", "licence", "credit")},
        **({"parent": card.parent} if card.parent else {}),
    }
    return LayerCard(
        role=card.role, generator=card.generator, size_px=card.size_px, sha256_before=sha256_before, sha256_after="",
        card=json.loads(json.dumps(account)),
    )  # fmt: skip
