"""What all stages share: creating and locking a run, training in it, exporting its artifact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from torch import Tensor

from mitlgan.artifacts.safetensors_io import tensors_sha256
from mitlgan.data.pack.image_pack import NO_MATTE
from mitlgan.data.recipe_data import note_demo_data
from mitlgan.errors import DataError
from mitlgan.networks.batchnorm import recalibrate_batchnorm
from mitlgan.recipe import Recipe, display_name, ladder_steps, require_trainable, to_toml
from mitlgan.recipe.advice import training_advice
from mitlgan.runtime.distributed import World
from mitlgan.runtime.files import lock_folder
from mitlgan.stages.context import RunContext
from mitlgan.stages.ladder import next_step, step_folder, step_index, with_ladder
from mitlgan.training import run_directory
from mitlgan.training.artifact_keeper import ArtifactKeeper
from mitlgan.training.checkpoint import Checkpoint
from mitlgan.training.counters import Counters
from mitlgan.training.export import export_networks, export_run
from mitlgan.training.loop import train
from mitlgan.training.run_directory import Run
from mitlgan.training.setup import Callbacks, TrainingSetup
from mitlgan.training.state import TrainingState


def start_run(recipe: Recipe, setup: TrainingSetup, context: RunContext, inputs: Mapping[str, str], critic_weights: Mapping[str, Tensor]) -> Run:
    """Create a run, train in it and export its artifact.

    Args:
        recipe: All settings.
        setup: Networks, objective and pictures.
        context: Where and how.
        inputs: Hashes of the artifacts that the run is made from; see `Run.read_inputs`.
        critic_weights: Tensors that the critic begins with, by name; may be empty or a part of all.

    Returns:
        The finished run.

    Raises:
        UsageError: The generator would never learn.
        DataError: The generator has a matte, and the pictures have none.
    """
    require_trainable(recipe)
    if setup.generator.image_channels == 4 and setup.pack.channels != 4:
        raise DataError(f"{recipe.data.source}: {NO_MATTE}")
    if len(setup.pack) < recipe.training.batch:
        context.reporter.say(f"warning: {len(setup.pack)} pictures for batches of {recipe.training.batch}: each batch repeats some")
    if recipe.augment is not None and not recipe.augment.applies_to(len(setup.pack)):
        context.reporter.say(f"no augmentation: {len(setup.pack)} pictures, and augment.below_pictures is {recipe.augment.below_pictures}")
    if not context.has_data_option:
        note_demo_data(recipe, None, context.reporter.say)
    for line in training_advice(recipe, len(setup.pack)):
        context.reporter.say(line)
    if critic_weights:
        setup.critic.load_state_dict({**setup.critic.state_dict(), **critic_weights})
        inputs = {**inputs, "critic": tensors_sha256(critic_weights)}
    is_leader = context.world.is_leader
    files = {"recipe.toml": to_toml(recipe), "inputs.json": json.dumps(dict(inputs), indent=2) + "\n"}
    run = run_directory.create_run(context.root, recipe.command, recipe.name, files) if is_leader else Run(context.root)  # other ranks write nothing
    with lock_run(run, context.world):
        if is_leader:
            context.reporter.say(f"{recipe.command} {recipe.role}: {run.path} ({display_name(recipe)})")
        return train_and_export(run, recipe, setup, context)


def train_and_export(run: Run, recipe: Recipe, setup: TrainingSetup, context: RunContext, checkpoint: Checkpoint | None = None) -> Run:
    """Train in a locked run, from the start or from a checkpoint, and export the artifact."""
    steps = ladder_steps(recipe)
    index = 0 if checkpoint is None else step_index(checkpoint.header)
    setup = with_ladder(setup, recipe, index)
    state = _train_step(run, steps[index], setup, context, checkpoint=checkpoint)
    for following in range(index + 1, len(steps)):
        recalibrate_batchnorm(state.ema, recipe.seed)  # as the export does it, on every rank
        if context.world.is_leader:
            export_networks(step_folder(run.path, steps[following - 1].size_px), run, steps[following - 1], setup, state)
        setup = next_step(run, recipe, following, setup, state, context)
        state = _train_step(run, steps[following], setup, context, counters=state.counters.next_step())
    if context.world.is_leader:
        export_run(run, steps[-1], setup, state, context.on_end)
    return run


def _train_step(
    run: Run, recipe: Recipe, setup: TrainingSetup, context: RunContext, *, checkpoint: Checkpoint | None = None, counters: Counters | None = None
) -> TrainingState:
    """Train one step of a ladder of sizes, or all of a run without one."""
    keeper = ArtifactKeeper(run, recipe, setup, context.reporter)
    if checkpoint is not None and context.world.is_leader:
        keeper.restore(checkpoint.iteration)
    on_stats = None if context.on_stats is None else partial(context.on_stats, run.path)

    def save_artifact(state: TrainingState) -> None:
        network = keeper.keep(state)
        if context.on_artifact is not None:
            context.on_artifact(state, network)

    callbacks = Callbacks(save_artifact=save_artifact, on_stats=on_stats)
    return train(run, recipe, setup, context.world, context.reporter, checkpoint=checkpoint, counters=counters, callbacks=callbacks)


@contextmanager
def lock_run(run: Run, world: World) -> Iterator[None]:
    """Hold a run's directory for this process and remove what an interrupted write left there; only rank 0 does so.

    Raises:
        ResourceError: Another process holds the directory.
    """
    if not world.is_leader:
        yield
        return
    with lock_folder(run.path):
        run_directory.remove_temporaries(run)
        yield
