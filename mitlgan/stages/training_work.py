"""Multiply-accumulates of a training, counted in its own iterations.

The training's loop runs as it always does, only that convolutions and matrix products give zeros. What a recipe shares, freezes, adapts or does more
than once is therefore counted as it is done, and no account of it can differ from the training.
"""

from __future__ import annotations

import functools
import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.networks.complexity import OperationCounter
from mitlgan.recipe import Recipe, ladder_steps, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.stages.training_speed import open_loop, random_pack
from mitlgan.training.augmentation import ADAPTATION_INTERVAL
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.work import Stretch, TrainingCost

COUNTED = "counted"
"""Name of the recipes of which work is counted."""
COUNTED_BATCH = 2
"""Images of an update that is counted; each further one costs as much."""
WITHOUT_END_KIMG = 1e6


def count_stretches(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> list[Stretch]:
    """Return the training at each size of a recipe's ladder, or the one training of a recipe without, with its multiply-accumulates per kimg.

    Convolutions and matrix products are counted. The critic's own time at the start costs less; an augmentation that adapts itself is taken to be in
    use.

    Args:
        recipe: Of any stage.
        layers: How the frozen generators of a composition are built; empty for a generator.

    Raises:
        UsageError: The critic's frozen network is not on this machine.
    """
    return [Stretch(step, _cost(step, tuple(layers.items()))) for step in ladder_steps(recipe)]


def costs_from(recipe: Recipe, index: int, layers: Mapping[str, GeneratorSpec]) -> tuple[TrainingCost, ...]:
    """Return what a training costs from a step of its ladder on, at each size; empty if all its images cost the same.

    Args:
        recipe: Of any stage, with its whole ladder.
        index: Number of the step, from 0; 0 without a ladder.
        layers: How the frozen generators of a composition are built; empty for a generator.

    Raises:
        UsageError: The critic's frozen network is not on this machine.
    """
    steps = ladder_steps(recipe)[index:]
    if len(steps) == 1 and steps[0].training.critic_first_kimg is None:
        return ()
    return tuple(_cost(step, tuple(layers.items())) for step in steps)


def _cost(recipe: Recipe, layers: tuple[tuple[str, GeneratorSpec], ...]) -> TrainingCost:
    counted = _without_length(recipe)
    both = _count(counted, layers)
    if recipe.training.critic_first_kimg is None:
        return TrainingCost(both, both)
    return TrainingCost(both, _count(with_overrides(counted, training__critic_first_kimg=WITHOUT_END_KIMG), layers))


def _without_length(recipe: Recipe) -> Recipe:
    """Return what decides the work of a recipe; recipes that differ in the rest are counted once."""
    training = {"batch": COUNTED_BATCH, "kimg": WITHOUT_END_KIMG, "shared_fakes": recipe.training.shared_fakes}
    return with_overrides(recipe, name=COUNTED, seed=0, transfer=None, data={}, training=training)


@functools.cache
def _count(recipe: Recipe, layers: tuple[tuple[str, GeneratorSpec], ...]) -> float:
    """Return the multiply-accumulates per thousand real images."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        pack = random_pack(Path(folder) / "pictures.npy", recipe)
        with open_loop(recipe, World(0, 1, torch.device("cpu")), layers=dict(layers), pack=pack) as loop:
            iterations = _representative_iterations(loop)
            operations = sum(times * _operations(loop, iteration) for iteration, times in iterations.items())
    images = iterations.total() * recipe.objective.critic_steps * COUNTED_BATCH
    return operations / 2 / images * 1000


def _operations(loop: TrainingLoop, iteration: int) -> int:
    """Return the floating-point operations of an iteration of a number."""
    loop.state.counters.iteration = iteration
    with OperationCounter(computes=False) as counter:
        loop.train_iteration()
    return int(counter.total)


def _representative_iterations(loop: TrainingLoop) -> Counter[int]:
    """Return one iteration of each kind, and how often its kind is among all that come before the work repeats.

    Kinds differ in which of their critic updates compute a lazy penalty or adapt the augmentation.
    """
    critic_steps = loop.setup.objective.critic_steps
    intervals = (loop.setup.objective.penalty_every, ADAPTATION_INTERVAL if loop.updates.augmentation.is_adaptive else 1)
    first: dict[tuple[bool, ...], int] = {}
    times = Counter[int]()
    for iteration in range(math.lcm(critic_steps, *intervals) // critic_steps):
        updates = range(iteration * critic_steps + 1, (iteration + 1) * critic_steps + 1)
        times[first.setdefault(tuple(update % interval == 0 for update in updates for interval in intervals), iteration)] += 1
    return times
