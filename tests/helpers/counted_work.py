"""The work of a training, counted while it computes, and of each position of a run that is walked update by update."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from mitlgan.artifacts.card import GeneratorSpec
from mitlgan.networks.complexity import OperationCounter
from mitlgan.recipe import Recipe, ladder_steps, with_overrides
from mitlgan.runtime.distributed import World
from mitlgan.stages.training_speed import open_loop, random_pack
from mitlgan.training.augmentation import ADAPTATION_INTERVAL
from mitlgan.training.counters import Counters
from mitlgan.training.schedule import Schedule
from mitlgan.training.work import TrainingCost


class Moment(NamedTuple):
    """A position of a run after an update.

    Attributes:
        steps_kimg: Thousand images at each size so far.
        work: What all of them cost.
        is_kept: Whether an artifact is kept there.
    """

    steps_kimg: tuple[float, ...]
    work: float
    is_kept: bool


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


def counted_costs(recipe: Recipe, layers: Mapping[str, GeneratorSpec]) -> list[TrainingCost]:
    """The multiply-accumulates per kimg at each size of a recipe, counted while both networks learn and while the critic alone does."""
    return [
        TrainingCost(*(counted_while_computing(step, layers, batch=2, critic_alone=alone) for alone in (False, True))) for step in ladder_steps(recipe)
    ]


def walk(recipe: Recipe, costs: Sequence[TrainingCost]) -> list[Moment]:
    """Every position of a run, which the training's own schedule ends, and which costs what each of its updates costs."""
    update, world = recipe.training.batch * recipe.objective.critic_steps, World(0, 1, torch.device("cpu"))
    counters, moments, work, done_kimg = Counters(), list[Moment](), 0.0, tuple[float, ...]()
    for index, (step, cost) in enumerate(zip(ladder_steps(recipe), costs, strict=True)):
        schedule = Schedule(step)
        counters = counters if index == 0 else counters.next_step()
        while not schedule.is_over(counters, world):
            before = schedule.position(counters)
            work += update / 1000 * (cost.critic_alone if schedule.trains_critic_alone(counters) else cost.both)
            counters.images_shown += update
            counters.iteration += 1
            steps_kimg = (*done_kimg, (counters.images_shown - counters.step_images) / 1000)
            moments.append(Moment(steps_kimg, work, schedule.is_artifact_due(before, counters)))
        done_kimg = moments[-1].steps_kimg
    return moments
