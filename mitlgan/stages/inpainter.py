"""Training of an inpainter, a network that fills holes."""

from __future__ import annotations

import torch

from mitlgan import networks
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.context import RunContext
from mitlgan.stages.initial_critic import load_initial_critic, with_critic_parent
from mitlgan.stages.setup import make_setup
from mitlgan.stages.training_run import start_run
from mitlgan.training.run_directory import Run


def train_inpainter(recipe: Recipe, context: RunContext) -> Run:
    """Train a context encoder to fill holes, and export it.

    Args:
        recipe: A recipe with an [inpainter].
        context: Where and how.

    Returns:
        The finished run; its artifact is the moving average of the context encoder.

    Raises:
        MitlganError: The recipe, the data or the machine does not allow it; see the error classes.
    """
    say = context.reporter.say
    recipe = with_critic_parent(recipe, None, say)
    if recipe.inpainter is None:
        raise UsageError(f"--recipe {recipe.name}: has no [inpainter]; give one such as inpaint/context-32")
    critic_weights = load_initial_critic(None, recipe, say)
    pack = open_recipe_data(recipe, say=say)
    torch.manual_seed(derived_seed(recipe.seed, f"initial inpainter {recipe.role}"))
    inpainter = networks.build_inpainter(recipe.inpainter, recipe.size_px)
    return start_run(recipe, make_setup(recipe, inpainter, pack, {}), context, {}, critic_weights)
