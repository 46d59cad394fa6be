"""What a training begins with: an artifact's weights, a smaller generator to grow from, a critic that was kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mitlgan import networks
from mitlgan.artifacts.card import KIND_WITH_ARTICLE, Card, read_card, read_weights_hash
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER, load_network
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.networks import Generator, GrownCritic, GrownGenerator, Network
from mitlgan.recipe import AnyCritic, GrownCriticRecipe, GrownGeneratorRecipe, Recipe, as_dict, parse_recipe, with_overrides
from mitlgan.runtime.randomness import derived_seed
from mitlgan.training import run_directory
from mitlgan.training.checkpoint import load_checkpoint

GROWTH_FACTORS = (2, 4)


def with_parent(recipe: Recipe, start: Path | None) -> Recipe:
    """A recipe whose grown generator has the parent that `--from` names; any other recipe as it is.

    Args:
        recipe: Of a pretraining.
        start: The parent's artifact, or that of a generator which this recipe grew before, to be trained on.

    Raises:
        UsageError: A generator that grows, and nothing that it grows from.
        ArtifactError: The artifact cannot be grown to the recipe's images, or is damaged.
    """
    if not isinstance(recipe.generator, GrownGeneratorRecipe):
        return recipe
    if start is None:
        raise UsageError(
            '--from: generator.kind = "grown" needs the smaller generator that it grows from; name its artifact, such as '
            f"--from pretrained/modern-{recipe.role}-{recipe.generator.parent_px}"
        )
    _, card = load_network(start)  # a damaged one is refused now
    if _was_grown_alike(card, recipe):
        assert isinstance(card.generator, GrownGeneratorRecipe)
        return with_overrides(recipe, generator__parent=as_dict(card.generator.parent), generator__parent_px=card.generator.parent_px)
    _refuse_parent(f"--from {start}", card, recipe)
    assert card.generator is not None
    return with_overrides(recipe, generator__parent=as_dict(card.generator), generator__parent_px=card.size_px)


def with_critic_parent(recipe: Recipe, critic: Path | None, say: Callable[[str], None]) -> Recipe:
    """A recipe whose grown critic has the parent that `--critic` names; any other recipe as it is.

    Args:
        recipe: Of any training.
        critic: As `critic_weights` takes it: the smaller critic, or one that this recipe grew before, to be trained on.
        say: Likewise.

    Raises:
        UsageError: A critic that grows, and nothing that it grows from.
        ArtifactError: The critic cannot be grown to the recipe's images.
    """
    form = recipe.critic
    if not isinstance(form, GrownCriticRecipe):
        return recipe
    if critic is None:
        raise UsageError('--critic: critic.kind = "grown" needs the smaller critic that it grows from; name its run, or the folder where it is kept')
    trained, size_px, _ = _trained_critic(critic, say)
    if size_px == recipe.size_px and isinstance(trained, GrownCriticRecipe):
        return with_overrides(recipe, critic__parent=as_dict(trained.parent), critic__parent_px=trained.parent_px)
    sizes = [recipe.size_px // factor for factor in GROWTH_FACTORS]
    if recipe.size_px not in (size_px * factor for factor in GROWTH_FACTORS):
        raise ArtifactError(
            f"--critic {critic}: scores {size_px} px, which does not grow to size_px = {recipe.size_px}; give a critic of {sizes[0]} or {sizes[1]} px"
        )
    if trained.kind == "mlp":
        raise ArtifactError(f"--critic {critic}: has no convolutions that a new block could stand beside; give a convolutional critic")
    if trained.image_channels != form.image_channels:
        raise ArtifactError(
            f"--critic {critic}: scores {trained.image_channels} channels, the recipe's [critic] {form.image_channels}; give one that scores as many"
        )
    return with_overrides(recipe, critic__parent=as_dict(trained), critic__parent_px=size_px)


def load_initial_generator(recipe: Recipe, start: Path | None) -> Network:
    """The generator of a pretraining, as it begins.

    Args:
        recipe: As `with_parent` gives it.
        start: Artifact whose weights it begins with, or that it grows from.

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
    if card.kind != "generator" or not _same_generator(card, recipe):
        raise ArtifactError(f"--from {start}: another architecture than the recipe's [generator] at {recipe.size_px} px; give one that fits")
    generator.load_state_dict(network.state_dict())
    return generator


def describe_parent(start: Path | None) -> dict[str, Any]:
    """What a card says of the generator that a training began with or grew from: which it is and what its own training took."""
    if start is None:
        return {}
    card = read_card(start)
    account = {key: getattr(card, key) for key in ("size_px", "data", "kimg", "iterations", "seconds", "cpu_seconds", "licence", "credit", "parent")}
    return {"recipe": card.recipe.get("name", ""), "made_by": card.recipe, "tensors_sha256": read_weights_hash(start), **account}


def load_initial_critic(path: Path | None, recipe: Recipe, say: Callable[[str], None]) -> dict[str, Tensor]:
    """The weights that a critic begins with: those of a kept critic, of a run's newest checkpoint, or none, for a new one; of a grown one its parent's.

    Args:
        path: A critic's artifact, the folder of a generator that has one beside it, or a run, if there is one.
        recipe: With the [critic] that they must fit.
        say: Told if the newest checkpoint cannot be read.

    Raises:
        UsageError: Neither a critic nor a run, or the recipe freezes what begins anew.
        ArtifactError: The run has no checkpoint, or its critic is another.
    """
    if path is None:
        if recipe.critic_start is not None:
            raise UsageError("critic_start.freeze: a critic that begins anew must train; name the run that it begins with by --critic, or remove it")
        return {}
    trained, size_px, tensors = _trained_critic(path, say)
    if isinstance(recipe.critic, GrownCriticRecipe) and (trained, size_px) == (recipe.critic.parent, recipe.critic.parent_px):
        with torch.device("meta"):
            grown = networks.build_critic(recipe.critic, recipe.size_px)
        assert isinstance(grown, GrownCritic)
        return grown.rename_parent_tensors(tensors)
    if trained != recipe.critic or size_px != recipe.size_px:
        raise ArtifactError(f"--critic {path}: another architecture than the recipe's [critic] at {recipe.size_px} px; name a run that has the same")
    return tensors


def find_critic_file(path: Path) -> Path | None:
    """The artifact of a critic that a path names: itself, or the one that was kept beside the generator in a folder."""
    if path.is_file():
        return path
    return next((file for file in (path / CRITIC_FILE, path / CRITIC_FOLDER / CRITIC_FILE) if file.is_file()), None)


def _trained_critic(path: Path, say: Callable[[str], None]) -> tuple[AnyCritic, int, dict[str, Tensor]]:
    """Architecture, image size and tensors of a critic that was trained."""
    file = None if (path / "recipe.toml").is_file() else find_critic_file(path)
    return _critic_of_run(path, say) if file is None else _critic_of_artifact(file)


def _critic_of_artifact(file: Path) -> tuple[AnyCritic, int, dict[str, Tensor]]:
    network, card = load_network(file)
    if card.kind != "critic":
        raise ArtifactError(
            f"--critic {file}: is {KIND_WITH_ARTICLE[card.kind]}; give a critic, which a pretraining leaves in {CRITIC_FOLDER}/{CRITIC_FILE}"
        )
    assert card.critic is not None
    return card.critic, card.size_px, network.state_dict()


def _critic_of_run(path: Path, say: Callable[[str], None]) -> tuple[AnyCritic, int, dict[str, Tensor]]:
    found = load_checkpoint(run_directory.open_run(path).path, say)
    if found is None:
        raise ArtifactError(f"--critic {path}: has no checkpoint, where a critic would be; name another run")
    tensors, header = found
    trained = parse_recipe(header["recipe"], f"--critic {path}")
    return trained.critic, trained.size_px, {name.removeprefix("critic."): tensor for name, tensor in tensors.items() if name.startswith("critic.")}


def _refuse_parent(option: str, card: Card, recipe: Recipe) -> None:
    """Refuse what cannot be the parent of a recipe's generator.

    Raises:
        ArtifactError: One line that begins with the option.
    """
    assert recipe.generator is not None
    channels, sizes = recipe.generator.image_channels, [recipe.size_px // factor for factor in GROWTH_FACTORS]
    if card.kind != "generator":
        raise ArtifactError(
            f"{option}: is {KIND_WITH_ARTICLE[card.kind]}; a generator grows from a generator, such as `mitlgan pretrain {recipe.role}` makes"
        )
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
        raise ArtifactError(f"{option}: has no features that are images, which growing starts from; give a convolutional parent")


def _was_grown_alike(card: Card, recipe: Recipe) -> bool:
    return card.kind == "generator" and card.role == recipe.role and card.size_px == recipe.size_px and _same_generator(card, recipe)


def _same_generator(card: Card, recipe: Recipe) -> bool:
    """Whether a card's generator has a recipe's architecture; how a grown one's parent trains, and which it is, belongs not to that."""
    first, second = card.generator, recipe.generator
    if isinstance(first, GrownGeneratorRecipe) and isinstance(second, GrownGeneratorRecipe):
        same = {key: getattr(second, key) for key in ("parent", "parent_px", "parent_rate", "parent_norm")}
        first = first.model_copy(update=same)
    return first == second and card.size_px == recipe.size_px
