"""The work of a training is what its iterations do: counted without computing, it is the same as counted while computing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from mitlgan import networks
from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.networks.complexity import OperationCounter
from mitlgan.recipe import GrownGeneratorRecipe, Recipe, ladder_steps, load_layer_recipe, load_recipe, shipped_recipe_names, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.stages.training_speed import open_loop, random_pack
from mitlgan.stages.training_work import macs_per_kimg
from mitlgan.training.augmentation import ADAPTATION_INTERVAL

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


def counted_while_computing(recipe: Recipe, layers: Mapping[str, GeneratorSpec], *, batch: int, critic_alone: bool = False) -> float:
    """The multiply-accumulates per kimg of a training's iterations, one after the other."""
    recipe = with_overrides(recipe, transfer=None, training__critic_first_kimg=1.0 if critic_alone else None, training__batch=batch)
    updates = getattr(recipe.objective, "penalty_every", 1)
    if recipe.augment is not None and recipe.augment.probability == "auto":
        updates *= ADAPTATION_INTERVAL
    with tempfile.TemporaryDirectory() as folder:
        pack = random_pack(Path(folder) / "pictures.npy", recipe)
        with open_loop(recipe, World(0, 1, torch.device("cpu")), layers=layers, pack=pack) as loop, OperationCounter() as counter:
            for _ in range(updates):
                loop.train_iteration()
    return counter.total / 2 / (updates * recipe.objective.critic_steps * batch) * 1000


@pytest.mark.parametrize(("name", "change"), QUICK)
def test_work_is_that_of_the_iterations(name: str, change: dict[str, Any]) -> None:
    recipe = with_overrides(ladder_steps(load_recipe(name))[0], training__critic_first_kimg=None, **change)
    layers = layers_of(name, recipe)
    assert macs_per_kimg(recipe, layers, recipe.training.kimg) == pytest.approx(counted_while_computing(recipe, layers, batch=3), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_recipe_names())
def test_work_of_every_shipped_recipe(name: str) -> None:
    recipe = load_recipe(name)
    layers = layers_of(name, recipe)
    for step in ladder_steps(recipe):
        step = with_overrides(step, training__critic_first_kimg=None)
        assert macs_per_kimg(step, layers, step.training.kimg) == pytest.approx(counted_while_computing(step, layers, batch=2), rel=1e-9)


def test_shared_pictures_save_one_pass_of_the_generator_in_each_iteration() -> None:
    shared = load_recipe("recommended/wgan-32")
    alone = with_overrides(shared, training__shared_fakes=None)
    assert shared.generator is not None
    image = networks.count_macs(networks.build_generator(shared.generator, 32), (shared.generator.latent_dim,))
    saved = macs_per_kimg(alone, {}, 1.0) - macs_per_kimg(shared, {}, 1.0)
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
    spared = (macs_per_kimg(learning, {}, 1.0) - macs_per_kimg(frozen, {}, 1.0)) / 1000 * learning.objective.critic_steps
    assert own < spared < own + 4 * next_inputs


def test_the_critics_own_time_costs_what_it_costs() -> None:
    recipe = load_recipe(PARENTED)
    assert recipe.training.critic_first_kimg == 6
    both = macs_per_kimg(with_overrides(recipe, training__critic_first_kimg=None), {}, 24.0)
    alone = counted_while_computing(recipe, {}, batch=2, critic_alone=True)
    assert alone < both
    assert macs_per_kimg(recipe, {}, 24.0) == pytest.approx((18 * both + 6 * alone) / 24, rel=1e-9)
    assert macs_per_kimg(recipe, {}, 3.0) == pytest.approx(alone, rel=1e-9)


def test_a_frozen_convolution_of_the_critic_takes_no_gradient() -> None:
    recipe = load_recipe("recommended/bg-32")
    freed = with_overrides(recipe, critic_start={"freeze": 1})
    critic = networks.build_critic(recipe.critic, recipe.size_px)
    first = next(row.multiply_accumulates for row in networks.summarize_blocks(critic, critic.input_shape) if row.multiply_accumulates)
    second = next(row.multiply_accumulates for row in networks.summarize_blocks(critic, critic.input_shape)[1:] if row.multiply_accumulates)
    saved = (macs_per_kimg(recipe, {}, 1.0) - macs_per_kimg(freed, {}, 1.0)) / 1000
    assert saved == pytest.approx(2 * (first + second), rel=1e-9)  # of real and generated pictures: the first's weights, the second's inputs


def test_counting_leaves_random_numbers_alone_and_ignores_what_does_not_count() -> None:
    recipe = load_recipe("recommended/bg-32")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = macs_per_kimg(with_overrides(recipe, critic__kernel=3), {}, 1.0)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == macs_per_kimg(with_overrides(recipe, critic__kernel=3, seed=9, training__batch=64, data__source="elsewhere"), {}, 7.0)
