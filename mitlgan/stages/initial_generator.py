"""The generator that a pretraining begins with: new, with an artifact's weights, or grown from a smaller one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from mitlgan import networks
from mitlgan.artifacts.card import KIND_WITH_ARTICLE, Card, read_card, read_weights_hash
from mitlgan.artifacts.load_save import load_network
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.networks import Generator, GrownGenerator, Network
from mitlgan.recipe import ParentedGeneratorRecipe, Recipe, as_dict, shipped_folder, with_overrides
from mitlgan.recipe.schema.ladder import GROWTH_FACTORS
from mitlgan.runtime.progress import Say, ignore_message
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.replaced_settings import report_replaced


def with_parent(recipe: Recipe, start: Path | None, say: Say = ignore_message, settings: Collection[str] = ()) -> Recipe:
    """Return a recipe whose grown generator has the parent that `--from` names; any other recipe unchanged.

    Args:
        recipe: Of a pretraining.
        start: Artifact of the parent, or of a generator that this recipe grew before and that is trained further.
        say: Shows what of a recipe of the user's own gives way.
        settings: The user's changes of the recipe, `a.b=v`, or their keys alone.

    Raises:
        UsageError: The recipe grows a generator, and no parent is given, or the user set what the artifact decides.
        ArtifactError: The artifact is damaged, or cannot grow to the recipe's images.
    """
    if not isinstance(recipe.generator, ParentedGeneratorRecipe):
        return recipe
    if start is None:
        raise UsageError(
            f'--from: generator.kind = "{recipe.generator.kind}" needs the smaller generator that it grows from; name its artifact, such as '
            f"--from {suggest_start(recipe)}"
        )
    _, card = load_network(start)  # all of it, so that a damaged one is refused now
    if _was_grown_by(recipe, card):
        assert isinstance(card.generator, ParentedGeneratorRecipe)
        parent, parent_px = card.generator.parent, card.generator.parent_px
    else:
        _check_parent(f"--from {start}", card, recipe)
        assert card.generator is not None
        parent, parent_px = card.generator, card.size_px
    changed = with_overrides(recipe, generator__parent=as_dict(parent), generator__parent_px=parent_px)
    report_replaced(recipe, changed, {"generator": f"the generator of --from {start}"}, settings, say)
    return changed


def suggest_start(recipe: Recipe) -> str:
    """Return the artifact to name in a message as the start of a pretraining: a shipped one that fits, else the word ARTIFACT."""
    size_px = recipe.generator.parent_px if isinstance(recipe.generator, ParentedGeneratorRecipe) else recipe.size_px
    name = f"modern-{recipe.role}-{size_px}"
    return f"pretrained/{name}" if (shipped_folder("pretrained") / name).is_dir() else "ARTIFACT"


def load_initial_generator(recipe: Recipe, start: Path | None) -> Network:
    """Build the generator of a pretraining, with its initial weights.

    Args:
        recipe: As `with_parent` returned it.
        start: Artifact whose weights the generator begins with, or that it grows from.

    Raises:
        ArtifactError: The artifact's architecture is not the recipe's.
    """
    assert recipe.generator is not None
    torch.manual_seed(derived_seed(recipe.seed, f"initial generator {recipe.role}"))
    generator = networks.build_generator(recipe.generator, recipe.size_px)
    if start is None:
        return generator
    network, card = load_network(start)
    if isinstance(generator, GrownGenerator) and card.size_px != recipe.size_px:
        assert isinstance(network, Generator)
        generator.load_parent(network)
        return generator
    if card.kind != "generator" or not _has_same_architecture(card, recipe):
        raise ArtifactError(f"--from {start}: another architecture than the recipe's [generator] at {recipe.size_px} px; give one that fits")
    generator.load_state_dict(network.state_dict())
    return generator


def describe_parent(start: Path | None) -> dict[str, Any]:
    """Return what a card says of the generator that a training began with or grew from: its identity and the cost of its training."""
    if start is None:
        return {}
    card = read_card(start)
    account = {key: getattr(card, key) for key in ("size_px", "data", "kimg", "iterations", "seconds", "cpu_seconds", "licence", "credit", "parent")}
    return {"recipe": card.recipe.get("name", ""), "made_by": card.recipe, "tensors_sha256": read_weights_hash(start), **account}


def _check_parent(option: str, card: Card, recipe: Recipe) -> None:
    """Refuse an artifact that cannot be the parent of a recipe's generator.

    Raises:
        ArtifactError: Its message begins with the option.
    """
    assert recipe.generator is not None
    channels, sizes = recipe.generator.image_channels, [recipe.size_px // factor for factor in GROWTH_FACTORS]
    if card.kind != "generator":
        kind = KIND_WITH_ARTICLE[card.kind]
        raise ArtifactError(f"{option}: is {kind}; a generator grows from a generator, such as `mitlgan pretrain {recipe.role}` makes")
    if card.role != recipe.role:
        raise ArtifactError(f"{option}: was trained as {card.role}; give a parent of role {recipe.role}")
    if card.image_channels != channels:
        raise ArtifactError(f"{option}: makes {card.image_channels} channels, the recipe's [generator] {channels}; give a parent of {channels}")
    if tuple(card.value_range) != (-1.0, 1.0):
        raise ArtifactError(f"{option}: its values lie in {list(card.value_range)}; a parent's must lie in [-1, 1]")
    if recipe.size_px not in (card.size_px * factor for factor in GROWTH_FACTORS):
        raise ArtifactError(
            f"{option}: makes {card.size_px} px, which does not grow to size_px = {recipe.size_px}; give a parent of {sizes[0]} or {sizes[1]} px, "
            f"or --set size_px={2 * card.size_px}"
        )
    if card.generator is None or card.generator.kind == "mlp":
        raise ArtifactError(f"{option}: has no convolutional features, which growing needs; give a convolutional parent")


def _was_grown_by(recipe: Recipe, card: Card) -> bool:
    return card.kind == "generator" and card.role == recipe.role and card.size_px == recipe.size_px and _has_same_architecture(card, recipe)


def _has_same_architecture(card: Card, recipe: Recipe) -> bool:
    """Whether a card's generator has a recipe's architecture, whichever parent a grown one has and however the parent trains."""
    first, second = card.generator, recipe.generator
    if isinstance(first, ParentedGeneratorRecipe) and isinstance(second, type(first)):
        first = first.model_copy(update={key: getattr(second, key) for key in first.training_keys})
    return first == second and card.size_px == recipe.size_px
