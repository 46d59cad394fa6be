"""The weights that a critic begins with: new, those of a run or an artifact, or those of a smaller critic that it grows from."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from mitlgan import networks
from mitlgan.artifacts.card import KIND_WITH_ARTICLE, check_critic_network, read_critic_network
from mitlgan.artifacts.hub import fetch_hub_artifact, is_hub_reference
from mitlgan.artifacts.load_save import CRITIC_FILE, CRITIC_FOLDER, load_network
from mitlgan.errors import ArtifactError, UsageError
from mitlgan.networks import GrownCritic
from mitlgan.recipe import AnyCritic, GrownCriticRecipe, Recipe, as_dict, ladder_steps, parse_recipe, setting_keys, with_overrides
from mitlgan.recipe.schema.critics import ANY_SIZE_KINDS, freezable_convolutions
from mitlgan.recipe.schema.ladder import GROWTH_FACTORS
from mitlgan.runtime.progress import Say
from mitlgan.stages.ladder import step_index
from mitlgan.stages.replaced_settings import report_replaced
from mitlgan.training import run_directory
from mitlgan.training.checkpoint import load_checkpoint

NEEDED_WITH_KIND = ("critic", "critic.parent", "critic.parent_px")
"""Settings without which `critic.kind = "grown"` is no whole recipe; a single key of the parent is none of them."""


def with_critic_parent(recipe: Recipe, critic: Path | None, say: Say, settings: Collection[str] = (), *, is_kept: bool = False) -> Recipe:
    """Return a recipe whose grown critic has the parent that `--critic` names; any other recipe unchanged.

    Args:
        recipe: Of any training.
        critic: As `load_initial_critic` takes it: the smaller critic, or one that this recipe grew before and that is trained further.
        say: Shows a warning if the newest checkpoint cannot be read, and what of a recipe of the user's own gives way.
        settings: The user's changes of the recipe, `a.b=v`, or their keys alone. A parent that is set with `critic.kind` gives way: the kind needs one.
        is_kept: Whether the critic is the one that is kept with the generator, which no `--critic` names.

    Raises:
        UsageError: The recipe grows a critic, and no parent is given, or the user set what the critic decides.
        ArtifactError: The critic cannot grow to the recipe's images.
    """
    grown = recipe.critic
    if not isinstance(grown, GrownCriticRecipe):
        return recipe
    if critic is None:
        raise UsageError('--critic: critic.kind = "grown" needs the smaller critic that it grows from; name its run, or the folder where it is kept')
    trained, size_px, _ = load_trained_critic(critic, say)
    decider = f"the critic of {critic}" if is_kept else f"the critic of --critic {critic}"
    if size_px == recipe.size_px and isinstance(trained, GrownCriticRecipe):
        return _with_parent_critic(recipe, trained.parent, trained.parent_px, decider, say, settings)
    sizes = [recipe.size_px // factor for factor in GROWTH_FACTORS]
    if recipe.size_px not in (size_px * factor for factor in GROWTH_FACTORS):
        raise ArtifactError(
            f"--critic {critic}: scores {size_px} px, which does not grow to size_px = {recipe.size_px}; give a critic of {sizes[0]} or {sizes[1]} px"
        )
    if trained.kind in ANY_SIZE_KINDS:
        raise ArtifactError(f"--critic {critic}: has no convolutions of its own, which growing needs; give a convolutional critic")
    if trained.image_channels != grown.image_channels:
        raise ArtifactError(
            f"--critic {critic}: scores {trained.image_channels} channels, the recipe's [critic] {grown.image_channels}; give one that scores as many"
        )
    return _with_parent_critic(recipe, trained, size_px, decider, say, settings)


def load_initial_critic(path: Path | None, recipe: Recipe, say: Say) -> dict[str, Tensor]:
    """Return the tensors that a critic begins with, by name; none for a new critic, those of its parent for a grown one.

    Args:
        path: A critic's artifact, the folder of a generator that has a critic, or a run, whose newest checkpoint is used.
        recipe: Has the [critic] that the tensors must fit.
        say: Shows a warning if the newest checkpoint cannot be read.

    Raises:
        UsageError: The path is neither a critic nor a run, the recipe freezes a new critic or more convolutions than there are, or its frozen
            network is not on this machine.
        ArtifactError: The run has no checkpoint, or its critic has another architecture.
    """
    networks.require_critic_weights(recipe.critic)
    if path is None:
        if recipe.critic_start is not None:
            what = "a new critic must train" if recipe.critic_start.freeze else "its critic goes on from a trained one"
            raise UsageError(f"critic_start.freeze: {what}; name the run that it begins with by --critic, or remove it")
        return {}
    trained, size_px, tensors = load_trained_critic(path, say)
    freeze, most = 0 if recipe.critic_start is None else recipe.critic_start.freeze, freezable_convolutions(recipe.critic, recipe.size_px)
    if freeze > most:
        raise UsageError(f"critic_start.freeze is {freeze}, but the critic has {most} convolutions; give at most as many")
    if isinstance(recipe.critic, GrownCriticRecipe) and (trained, size_px) == (recipe.critic.parent, recipe.critic.parent_px):
        with torch.device("meta"):
            grown = networks.build_critic(recipe.critic, recipe.size_px)
        assert isinstance(grown, GrownCritic)
        return grown.rename_parent_tensors(tensors)
    if trained != recipe.critic or size_px != recipe.size_px:
        raise ArtifactError(f"--critic {path}: another architecture than the recipe's [critic] at {recipe.size_px} px; name a run that has the same")
    return tensors


def has_new_block(recipe: Recipe, tensors: Collection[str]) -> bool:
    """Return whether a critic begins with the tensors of a smaller one, to which growing adds a block that has learned nothing yet.

    Args:
        recipe: With the critic.
        tensors: Names, or the tensors by name, that it begins with; empty for a new critic.
    """
    return isinstance(recipe.critic, GrownCriticRecipe) and bool(tensors) and f"stages.from_{recipe.size_px}px.share" not in tensors


def load_trained_critic(path: Path, say: Say) -> tuple[AnyCritic, int, dict[str, Tensor]]:
    """Return architecture, image size and tensors of a trained critic."""
    path = fetch_hub_artifact(path) if is_hub_reference(path) else path
    files = [path] if path.is_file() else [path / CRITIC_FILE, path / CRITIC_FOLDER / CRITIC_FILE]
    file = next((file for file in files if file.is_file()), None)
    if file is None or (path / "recipe.toml").is_file():
        return _critic_of_run(path, say)
    network, card = load_network(file)
    if card.kind != "critic":
        kind = KIND_WITH_ARTICLE[card.kind]
        raise ArtifactError(f"--critic {file}: is {kind}; give a critic, which a pretraining leaves in {CRITIC_FOLDER}/{CRITIC_FILE}")
    assert card.critic is not None
    return card.critic, card.size_px, network.state_dict()


def _with_parent_critic(recipe: Recipe, parent: AnyCritic, parent_px: int, decider: str, say: Say, settings: Collection[str]) -> Recipe:
    changed = with_overrides(recipe, critic__parent=as_dict(parent), critic__parent_px=parent_px)
    if any("critic.kind" in setting_keys(setting) for setting in settings):
        settings = [setting for setting in settings if setting.partition("=")[0].strip() not in NEEDED_WITH_KIND]
    report_replaced(recipe, changed, {"critic": decider}, settings, say)
    return changed


def _critic_of_run(path: Path, say: Say) -> tuple[AnyCritic, int, dict[str, Tensor]]:
    checkpoint = load_checkpoint(run_directory.open_run(path).path, say)
    if checkpoint is None:
        raise ArtifactError(f"--critic {path}: has no checkpoint with a critic; name another run")
    tensors, header = checkpoint
    trained = ladder_steps(parse_recipe(header["recipe"], f"--critic {path}"))[step_index(header)]
    check_critic_network(f"--critic {path}", read_critic_network(header), trained.critic)
    return trained.critic, trained.size_px, {name.removeprefix("critic."): tensor for name, tensor in tensors.items() if name.startswith("critic.")}
