"""Costs of a training as torch counts them on real iterations, with both networks and with the critic alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs

from mitlgan.bench.step import OperationCounter
from mitlgan.recipe import Recipe, load_recipe, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.stages.training_speed import open_loop
from mitlgan.training.costs import TERA, TrainingCost, cost_of_networks, step_costs


def counted(recipe: Recipe) -> tuple[TrainingCost, float]:
    """What is counted without training, and by torch on the first iteration."""
    with open_loop(recipe, World(0, 1, torch.device("cpu"))) as loop:
        cost = cost_of_networks(recipe, loop.setup.generator, loop.setup.critic)
        with OperationCounter() as counter:
            loop.train_iteration()
    return cost, counter.total / 2 / TERA / (recipe.training.batch * recipe.objective.critic_steps / 1000)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"training__shared_fakes": None, "objective__critic_steps": 2},
        {"objective": {"kind": "relativistic", "critic_steps": 1}},
    ],
)
def test_both_and_the_critic_alone_cost_what_torch_counts(tmp_path: Path, change: dict[str, Any]) -> None:
    pack = tiny_runs.pack(tmp_path / "scene.npy", size_px=32)
    recipe = with_overrides(load_recipe("recommended/wgan-32"), data__source=str(pack), training__batch=2, **change)
    alone = with_overrides(recipe, training__critic_first_kimg=1.0)
    cost, both_macs = counted(recipe)
    assert cost.both == pytest.approx(both_macs, rel=0.15)
    cost, alone_macs = counted(alone)
    assert cost.critic_alone == pytest.approx(alone_macs, rel=0.15)
    assert cost.critic_alone / cost.both == pytest.approx(alone_macs / both_macs, rel=0.15)
    assert step_costs(alone, {}) == (cost,)


def test_networks_are_not_changed_and_larger_sizes_cost_more(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    costs = step_costs(load_recipe("recommended/wgan-64-grown"), {})
    assert torch.equal(state, torch.get_rng_state())
    assert costs[1].both > 2 * costs[0].both
    assert all(0 < cost.critic_alone < cost.both for cost in costs)
