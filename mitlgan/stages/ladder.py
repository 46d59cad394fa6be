"""A ladder of sizes: how a step begins from the one before, and which step a checkpoint is of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mitlgan import networks
from mitlgan.artifacts.card import LayerCard
from mitlgan.artifacts.picture_sets import PictureSet
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.reduced import reduced_pack, whole_sha256
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.networks import Critic, Generator, GrownCritic, GrownGenerator
from mitlgan.recipe import Recipe, ladder_steps
from mitlgan.runtime.progress import Say, format_kimg
from mitlgan.runtime.randomness import derived_seed
from mitlgan.stages.context import RunContext
from mitlgan.stages.initial_generator import describe_parent
from mitlgan.stages.setup import current_set, make_setup, with_sets
from mitlgan.stages.training_work import costs_from
from mitlgan.training.counters import Counters
from mitlgan.training.export import STEPS_FOLDER
from mitlgan.training.run_directory import Run
from mitlgan.training.setup import LadderStep, TrainingSetup
from mitlgan.training.state import TrainingState


def open_step_data(recipe: Recipe, size_px: int, say: Say | None = None) -> ImagePack:
    """Open the pictures of one step; files are decoded once, at the size of the result, and smaller pictures are averages of those.

    Raises:
        DataError: There are no usable pictures.
    """
    return reduced_pack(open_recipe_data(recipe, say=say), size_px)


def step_index(header: Mapping[str, Any]) -> int:
    """Return which step of its ladder a checkpoint is of; 0 without a ladder."""
    return int(header["counters"].get("step", 0))


def with_ladder(setup: TrainingSetup, recipe: Recipe, index: int) -> TrainingSetup:
    """Return a setup that knows its step of a recipe's ladder, if there is one, and what this step and those after it cost."""
    layers = {name: LayerCard.model_validate_json(json.dumps(card)) for name, card in setup.header.get("layers", {}).items()}
    costs = costs_from(recipe, index, {name: layer.generator_spec(recipe.size_px) for name, layer in layers.items()})
    return replace(setup, ladder=None if recipe.grow is None else LadderStep(recipe, index), costs=costs)


def next_step(run: Run, recipe: Recipe, index: int, earlier: TrainingSetup, state: TrainingState, context: RunContext) -> TrainingSetup:
    """Return the setup of a step that grows from the one before, whose networks are in `state`; nothing random depends on when it is called.

    Args:
        run: Holds the exported generator of the step before, whose account goes into the cards of this one.
        recipe: The whole ladder.
        index: Number of this step, from 1.
        earlier: Setup of the step before.
        state: As the step before ended, with the moving average as it was exported.
        context: Shows the size.
    """
    step, before = ladder_steps(recipe)[index], ladder_steps(recipe)[index - 1]
    context.reporter.say(f"growing from {before.size_px} to {step.size_px} px at {format_kimg(state.counters.kimg)} kimg")
    assert step.generator is not None
    torch.manual_seed(derived_seed(recipe.seed, f"initial generator {recipe.role}"))
    generator = networks.build_generator(step.generator, step.size_px)
    assert isinstance(generator, GrownGenerator)
    assert isinstance(state.ema, Generator)
    generator.load_parent(state.ema)
    exported = step_folder(run.path, before.size_px) / "generator.safetensors"
    parent = describe_parent(exported if context.world.is_leader else None)  # other ranks write nothing
    setup = make_setup(step, generator, open_step_data(recipe, step.size_px), {}, parent)
    if isinstance(setup.critic, GrownCritic):
        assert isinstance(state.critic, Critic)
        tensors = setup.critic.rename_parent_tensors(dict(state.critic.state_dict()))
        setup.critic.load_state_dict({**setup.critic.state_dict(), **tensors})
    return with_ladder(with_sets(setup, _sets_at_next_size(earlier, setup.pack, state.counters)), recipe, index)


def _sets_at_next_size(earlier: TrainingSetup, pack: ImagePack, counters: Counters) -> tuple[PictureSet, ...]:
    """Return the pictures of the steps so far and of this one, whose hash is another one although they are the same, at another size."""
    *before, last = earlier.picture_sets(counters)
    now = current_set(pack, counters)
    if whole_sha256(earlier.pack) == whole_sha256(pack):
        return (*before, last.model_copy(update={"content_sha256": now.content_sha256}))
    return (*before, last, now)


def step_folder(run: Path, size_px: int) -> Path:
    """Return the folder of the artifacts that a run's step ended with."""
    return run / STEPS_FOLDER / f"{size_px}px"
