"""Multiply-accumulates of a training.

They are counted, not measured: a backward pass to weights and inputs as twice the forward pass, one to the inputs alone as once, and the backward
pass of a gradient penalty's own gradient as twice what it differentiates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from mitlgan import networks, objectives
from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.networks import Network, count_macs, summarize_blocks
from mitlgan.recipe import Recipe, ladder_steps
from mitlgan.training import augmentation

TERA = 1e12


class TrainingCost(NamedTuple):
    """Tera multiply-accumulates per thousand real images shown to the critic.

    Attributes:
        both: While both networks learn.
        critic_alone: While only the critic learns.
    """

    both: float
    critic_alone: float


def step_costs(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> tuple[TrainingCost, ...]:
    """Return the cost of training at each size of a ladder, or the one cost of a recipe without.

    Args:
        recipe: Of a generator or a composition.
        layers: How the frozen generators of a composition are built; empty for a generator.
    """
    return tuple(_cost_at_one_size(step, layers) for step in ladder_steps(recipe))


def cost_of_networks(recipe: Recipe, network: Network, critic: Network) -> TrainingCost:
    """Return the cost of training two networks by a recipe of one size; they are not changed."""
    rows = summarize_blocks(critic, critic.input_shape)
    score = sum(row.multiply_accumulates for row in rows)
    fixed = sum(row.multiply_accumulates for row in rows if not row.trainable)  # a frozen network, without a backward pass in its updates
    image = count_macs(network, network.input_shape)
    frozen = sum(count_macs(generator, generator.input_shape) for generator in network.frozen_generators().values())
    objective = objectives.build(recipe.objective)
    critic_update = image + 2 * (3 * (score - fixed) + fixed) + objective.penalty_scores * score  # per real image
    if recipe.augment is not None and recipe.augment.probability == "auto":
        critic_update += 2 * score / augmentation.ADAPTATION_INTERVAL  # a look at overfitting
    generator_update = frozen + 3 * (image - frozen) + objective.generator_update_scores * score
    generator_loss = (0 if recipe.training.shared_fakes else image) + (objective.generator_update_scores - 1) * score  # is logged all the same
    both, alone = (critic_update + once / recipe.objective.critic_steps for once in (generator_update, generator_loss))
    return TrainingCost(1000 * both / TERA, 1000 * alone / TERA)


def _cost_at_one_size(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> TrainingCost:
    with torch.random.fork_rng(devices=[]):
        critic = networks.build_critic(recipe.critic, recipe.size_px)  # with weights: spectral normalization takes long without
    with torch.device("meta"):
        if recipe.generator is not None:
            network: Network = networks.build_generator(recipe.generator, recipe.size_px)
        else:
            assert recipe.composer is not None
            network = networks.build_composer(recipe.composer, {name: form.build() for name, form in layers.items()}, recipe.size_px)
    return cost_of_networks(recipe, network, critic)
