"""Pretraining: one generator on one kind of pictures."""

from __future__ import annotations

from pathlib import Path

from mitlgan.artifacts.card import read_weights_hash
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe
from mitlgan.stages.context import RunContext
from mitlgan.stages.initial_critic import load_initial_critic, with_critic_parent
from mitlgan.stages.initial_generator import describe_parent, load_initial_generator, with_parent
from mitlgan.stages.setup import make_setup
from mitlgan.stages.training_run import start_run
from mitlgan.training.run_directory import Run


def pretrain(recipe: Recipe, context: RunContext, *, start: Path | None = None, critic: Path | None = None) -> Run:
    """Train a generator and export it.

    Args:
        recipe: A recipe with a [generator].
        context: Where and how.
        start: Artifact whose weights the generator begins with, or that it grows from.
        critic: Run or artifact whose weights the critic begins with.

    Returns:
        The finished run; its artifact is the moving average of the generator.

    Raises:
        MitlganError: The recipe, the data, an artifact or the machine does not allow it; see the error classes.
    """
    if recipe.generator is None:
        raise UsageError(f"--recipe {recipe.name}: has no [generator]; give one for `pretrain`")
    say = context.reporter.say
    recipe = with_critic_parent(with_parent(recipe, start), critic, say)
    critic_weights = load_initial_critic(critic, recipe, say)
    generator = load_initial_generator(recipe, start)
    parent = describe_parent(start)
    pack = open_recipe_data(recipe, say=say)
    inputs = {} if start is None else {"start": read_weights_hash(start)}
    return start_run(recipe, make_setup(recipe, generator, pack, {}, parent), context, inputs, critic_weights)
