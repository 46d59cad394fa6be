"""The work of a training is what its iterations do: counted without computing, it is the same as counted while computing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from helpers.counted_work import counted_while_computing

from mitlgan import networks
from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.recipe import GrownGeneratorRecipe, Recipe, ladder_steps, load_layer_recipe, load_recipe, shipped_recipe_names, with_overrides
from mitlgan.stages.training_work import count_stretches
from mitlgan.training.work import TrainingCost

PARENTED = "recommended/bg-64-grown"
QUICK: list[tuple[str, dict[str, Any]]] = [
    ("recommended/wgan-32", {}),
    ("recommended/wgan-32", {"training__shared_fakes": None, "objective__penalty_every": 3}),
    ("recommended/compose-32", {}),
    ("recommended/compose-32", {"training__shared_fakes": None, "composer__adapters": "channels"}),
    ("recommended/fg-64-sharp", {}),
    (PARENTED, {"generator__parent_rate": 0.0}),
    ("recommended/bg-32", {"augment": {"probability": "auto"}}),
    ("recommended/fg-32-projected", {"critic__network": "efficientnet-lite0", "evaluation__extractor": "mobilenet-v2"}),
    ("classic/akel-01", {}),
    ("classic/evolutionary", {}),
    ("inpaint/context-32", {}),
]


def layers_of(name: str, recipe: Recipe) -> dict[str, GeneratorSpec]:
    """The layers that ship for a composition."""
    if recipe.composer is None:
        return {}
    last = {layer: ladder_steps(load_layer_recipe(layer, recipe, name, None, ()))[-1] for layer in recipe.composer.order or ("bg", "fg")}
    return {layer: GeneratorSpec(one.generator, one.size_px) for layer, one in last.items() if one.generator is not None}


def cost_of(recipe: Recipe, layers: Mapping[str, GeneratorSpec] | None = None) -> TrainingCost:
    """The multiply-accumulates per kimg of a training at one size."""
    (stretch,) = count_stretches(recipe, layers or {})
    return stretch.cost


@pytest.mark.parametrize(("name", "change"), QUICK)
def test_work_is_that_of_the_iterations(name: str, change: dict[str, Any]) -> None:
    recipe = with_overrides(ladder_steps(load_recipe(name))[0], training__critic_first_kimg=None, **change)
    layers = layers_of(name, recipe)
    assert cost_of(recipe, layers).both == pytest.approx(counted_while_computing(recipe, layers, batch=3), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_recipe_names())
def test_work_of_every_shipped_recipe(name: str) -> None:
    recipe = load_recipe(name)
    layers = layers_of(name, recipe)
    for step in ladder_steps(recipe):
        step = with_overrides(step, training__critic_first_kimg=None)
        assert cost_of(step, layers).both == pytest.approx(counted_while_computing(step, layers, batch=2), rel=1e-9)


def test_shared_pictures_save_one_pass_of_the_generator_in_each_iteration() -> None:
    shared = load_recipe("recommended/wgan-32")
    alone = with_overrides(shared, training__shared_fakes=None)
    assert shared.generator is not None
    image = networks.count_macs(networks.build_generator(shared.generator, 32), (shared.generator.latent_dim,))
    saved = cost_of(alone).both - cost_of(shared).both
    assert saved == pytest.approx(1000 * image / shared.objective.critic_steps, rel=1e-9)


def test_a_frozen_parent_takes_no_backward_pass() -> None:
    learning = with_overrides(load_recipe(PARENTED), training__critic_first_kimg=None)
    frozen = with_overrides(learning, generator__parent_rate=0.0)
    assert isinstance(learning.generator, GrownGeneratorRecipe)
    parent = networks.build_generator(learning.generator.parent, learning.generator.parent_px)
    grown = networks.build_generator(learning.generator, learning.size_px)
    rows = networks.summarize_blocks(grown, grown.input_shape)
    # Its weights and inputs take twice its forward pass; and what takes its features needs no gradient of them any more.
    own = 2 * networks.count_macs(parent, parent.input_shape)
    next_inputs = next(row.multiply_accumulates for row in rows if row.name.endswith("features.conv_1"))
    spared = (cost_of(learning).both - cost_of(frozen).both) / 1000 * learning.objective.critic_steps
    assert own < spared < own + 4 * next_inputs


def test_the_critics_own_time_costs_what_it_costs() -> None:
    recipe = load_recipe(PARENTED)
    assert recipe.training.critic_first_kimg == 6
    learning = with_overrides(recipe, training__critic_first_kimg=None)
    cost = cost_of(recipe)
    assert cost == pytest.approx((cost_of(learning).both, counted_while_computing(recipe, {}, batch=2, critic_alone=True)), rel=1e-9)
    assert cost.critic_alone < cost.both
    assert cost_of(learning).critic_alone == cost.both, "nothing is counted that is not done"


def test_a_frozen_convolution_of_the_critic_takes_no_gradient() -> None:
    recipe = load_recipe("recommended/bg-32")
    freed = with_overrides(recipe, critic_start={"freeze": 1})
    critic = networks.build_critic(recipe.critic, recipe.size_px)
    first = next(row.multiply_accumulates for row in networks.summarize_blocks(critic, critic.input_shape) if row.multiply_accumulates)
    second = next(row.multiply_accumulates for row in networks.summarize_blocks(critic, critic.input_shape)[1:] if row.multiply_accumulates)
    saved = (cost_of(recipe).both - cost_of(freed).both) / 1000
    assert saved == pytest.approx(2 * (first + second), rel=1e-9)  # of real and generated pictures: the first's weights, the second's inputs


def test_counting_leaves_random_numbers_alone_and_ignores_what_does_not_count() -> None:
    recipe = load_recipe("recommended/bg-32")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = cost_of(with_overrides(recipe, critic__kernel=3)).both
    assert torch.equal(torch.get_rng_state(), before)
    assert first == cost_of(with_overrides(recipe, critic__kernel=3, seed=9, training__batch=64, data__source="elsewhere")).both
