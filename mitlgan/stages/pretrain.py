"""Pretraining: one generator on one kind of pictures."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mitlgan import networks
from mitlgan.artifacts.card import read_weights_hash
from mitlgan.errors import UsageError
from mitlgan.recipe import GrownCriticRecipe, ParentedGeneratorRecipe, Recipe, ladder_steps, with_first_step
from mitlgan.runtime.progress import Say, ignore_message
from mitlgan.stages.context import RunContext
from mitlgan.stages.initial_critic import has_new_block, load_initial_critic, with_critic_parent
from mitlgan.stages.initial_generator import describe_parent, load_initial_generator, with_parent
from mitlgan.stages.ladder import open_step_data
from mitlgan.stages.setup import make_setup
from mitlgan.stages.training_run import start_run
from mitlgan.stages.transfer import default_transfer_recipe, with_transfer
from mitlgan.training.run_directory import Run


def with_start(
    recipe: Recipe, start: Path | None, critic: Path | None, say: Say, settings: Collection[str] = ()
) -> tuple[Recipe, Path | None]:  # fmt: skip
    """Return the recipe of a pretraining with the networks that it begins with, and the critic that it begins with.

    Args:
        recipe: A recipe with a [generator].
        start: Artifact whose weights the generator begins with, or that it grows from.
        critic: Run or artifact whose weights the critic begins with.
        say: Shows what was chosen.
        settings: The user's changes of the recipe, `a.b=v`, or their keys alone.

    Raises:
        MitlganError: An artifact is missing, does not fit, or decides what the user set; nothing was written.
    """
    first, begun_with = with_transfer(ladder_steps(recipe)[0], start, critic, say, settings)
    first = with_critic_parent(with_parent(first, start, say, settings), begun_with, say, settings, is_kept=critic is None)
    return with_first_step(recipe, first), begun_with


def check_training_start(recipe: Recipe) -> None:
    """Refuse, as `pretrain` without `start` and `critic` does, a recipe that needs one of them; nothing is read or trained.

    Raises:
        UsageError: It goes on from a trained generator or critic, or its critic's frozen network is not on this machine.
    """
    recipe, critic = with_start(recipe, None, None, ignore_message)
    load_initial_critic(critic, ladder_steps(recipe)[0], ignore_message)


def needs_trained_generator(recipe: Recipe) -> bool:
    """Return whether a recipe's training goes on from a trained generator, which `pretrain --from` names."""
    first = ladder_steps(recipe)[0]
    return first.transfer is not None or isinstance(first.generator, ParentedGeneratorRecipe)


def check_new_start(recipe: Recipe, instead: str, *, has_generator: bool = False) -> None:
    """Refuse a recipe whose training cannot begin with new networks; nothing is trained.

    Args:
        recipe: Of any stage.
        instead: What to do with a recipe that goes on from trained networks, where none can be named.
        has_generator: Whether its generator has a start; only its critic must be new then.

    Raises:
        UsageError: It goes on from a trained generator or critic, or its critic's frozen network is not on this machine.
    """
    first = ladder_steps(recipe)[0]
    if not has_generator and needs_trained_generator(recipe):
        raise UsageError(f"goes on from a trained generator, which cannot be named here; {instead}")
    if first.critic_start is not None or isinstance(first.critic, GrownCriticRecipe):
        raise UsageError(f"goes on from a trained critic, which cannot be named here; {instead}")
    networks.require_critic_weights(first.critic)


def default_pretraining_recipe(role: str, start: Path | None) -> str:
    """Return the name of the recipe of a pretraining that names none: the one that goes on from its start, else the thesis'."""
    transfer = None if start is None else default_transfer_recipe(role, start)
    return transfer or ("thesis-32/wgan" if role == "scene" else f"thesis-32/pretrain_{role}")


def pretrain(
    recipe: Recipe, context: RunContext, *, start: Path | None = None, critic: Path | None = None, settings: Collection[str] = ()
) -> Run:  # fmt: skip
    """Train a generator and export it.

    Args:
        recipe: A recipe with a [generator].
        context: Where and how.
        start: Artifact whose weights the generator begins with, or that it grows from.
        critic: Run or artifact whose weights the critic begins with.
        settings: The user's changes of the recipe, `a.b=v`, or their keys alone.

    Returns:
        The finished run; its artifact is the moving average of the generator.

    Raises:
        MitlganError: The recipe, the data, an artifact or the machine does not allow it; see the error classes.
    """
    if recipe.generator is None:
        raise UsageError(f"--recipe {recipe.name}: has no [generator]; give one for `pretrain`")
    say = context.reporter.say
    recipe, critic = with_start(recipe, start, critic, say, settings)
    first = ladder_steps(recipe)[0]
    critic_weights = load_initial_critic(critic, first, say)
    generator = load_initial_generator(first, start)
    parent = describe_parent(start)
    pack = open_step_data(recipe, first.size_px, say)
    inputs = {} if start is None else {"start": read_weights_hash(start)}
    setup = make_setup(first, generator, pack, {}, parent, has_new_block=has_new_block(first, critic_weights))
    return start_run(recipe, setup, context, inputs, critic_weights)
