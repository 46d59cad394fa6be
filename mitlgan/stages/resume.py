"""Resuming a run from its newest checkpoint, or finishing it there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from mitlgan.artifacts.picture_sets import PictureSet, describe_change, sets_of_header
from mitlgan.artifacts.project_pictures import may_mean, with_own_pictures
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import ArtifactError, UnknownPicturesError, UsageError
from mitlgan.recipe import (
    Recipe,
    diff_recipes,
    is_relative_source,
    ladder_steps,
    parse_recipe,
    to_toml,
    with_data_source,
    with_equal_length,
    with_more_kimg,
)
from mitlgan.runtime.distributed import World, wait_for_all_ranks
from mitlgan.runtime.files import write_atomically
from mitlgan.runtime.progress import Say, format_duration
from mitlgan.stages.context import RunContext
from mitlgan.stages.ladder import open_step_data, step_index
from mitlgan.stages.setup import current_set, setup_from_checkpoint
from mitlgan.stages.training_command import describe_new_training
from mitlgan.stages.training_run import lock_run, train_and_export
from mitlgan.training import run_directory
from mitlgan.training.checkpoint import Checkpoint, load_checkpoint
from mitlgan.training.counters import Counters
from mitlgan.training.export import export_run
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import Schedule
from mitlgan.training.state import TrainingState

MAX_DIFFERENCES = 3
"""Differing recipe keys that a message names."""


def resume(path: Path, context: RunContext, *, more_kimg: float = 0.0) -> Run:
    """Continue a run from its newest checkpoint, with the thread count that it began with.

    Args:
        path: The run directory.
        context: Where and how; its root is not used.
        more_kimg: Added to the run's length.

    Raises:
        UsageError: The path is not a run directory, or the run is to be longer and has used up the time of its recipe.
        ArtifactError: There is no checkpoint, it does not belong to the run's recipe, or nothing says which pictures the run has.
        ResourceError: Another process works on the run.
    """
    run = run_directory.open_run(path)
    with lock_run(run, context.world):
        recipe, checkpoint = _load_recipe_and_checkpoint(run, context)
        world_size = checkpoint.header.get("world_size", 1)
        if world_size != context.world.size:
            context.reporter.say(f"{context.world.size} processes instead of {world_size}: the same samples, but sums are rounded in another order")
        if more_kimg:
            _require_time_left(run, recipe, Counters(**checkpoint.header["counters"]), context.reporter.say)
            longer = with_more_kimg(recipe, more_kimg)
            for sentence in _describe_rates(recipe, longer, float(checkpoint.header["counters"]["images_shown"]) / 1000):
                context.reporter.say(sentence)
            recipe = longer
        step = ladder_steps(recipe)[step_index(checkpoint.header)]
        pack = open_step_data(recipe, step.size_px, context.reporter.say)
        if more_kimg or is_relative_source(run.recorded_recipe().data.source):  # the run stays as it is if its pictures are missing
            wait_for_all_ranks(context.world)  # every rank has read the former recipe before it is overwritten
            if context.world.is_leader:
                if more_kimg:
                    run.write_status({**run.read_status(), "state": "stopped"})  # first: its artifact is not that of the longer recipe
                write_atomically(run.recipe_file, to_toml(recipe), root=run.path)
        _restore_threads(int(checkpoint.header.get("threads", 0)), context.reporter.say)
        warn_if_data_differs(recipe, pack, sets_of_header(checkpoint.header), context.reporter.say)
        return train_and_export(run, recipe, setup_from_checkpoint(step, pack, checkpoint.header), context, checkpoint)


def record_pictures(run: Run, recipe: Recipe, world: World) -> None:
    """Write the full path of the pictures into a run that names them by a relative one, before it goes on with those that its caller names.

    Args:
        run: One that `is_run_of` says has the recipe.
        recipe: The caller's.
        world: Only rank 0 writes; the others wait.

    Raises:
        ResourceError: Another process works on the run.
    """
    if world.is_leader and is_relative_source(run.recorded_recipe().data.source) and not is_relative_source(recipe.data.source):
        with lock_run(run, world):
            write_atomically(run.recipe_file, to_toml(with_data_source(run.recorded_recipe(), recipe.data.source)), root=run.path)
    wait_for_all_ranks(world)  # none reads the recipe before it is written


def finish_at_checkpoint(path: Path, context: RunContext) -> Run:
    """Export a run's newest checkpoint and mark the run as done, however much of its length is left.

    Args:
        path: The run directory.
        context: Where and how; its root is not used.

    Raises:
        UsageError: The path is not a run directory.
        ArtifactError: As of `resume`.
        ResourceError: Another process works on the run.
    """
    run = run_directory.open_run(path)
    with lock_run(run, context.world):
        recipe, checkpoint = _load_recipe_and_checkpoint(run, context)
        step = ladder_steps(recipe)[step_index(checkpoint.header)]
        setup = setup_from_checkpoint(step, open_step_data(recipe, step.size_px, context.reporter.say), checkpoint.header)
        state = TrainingState(setup.generator, setup.critic, step)
        state.restore(*checkpoint)
        if context.world.is_leader:
            export_run(run, step, setup, state, context.on_end)
    return run


def warn_if_data_differs(recipe: Recipe, pack: ImagePack, sets: Sequence[PictureSet], say: Say) -> None:
    """Warn if a run was trained on other pictures than its recipe names now, all along or for a part of its length.

    Args:
        recipe: Names the source.
        pack: The pictures that are there now.
        sets: The pictures that were trained on.
        say: Shows the warning.
    """
    if change := data_change(recipe, pack, sets):
        say(f"warning: {change}")


def data_change(recipe: Recipe, pack: ImagePack, sets: Sequence[PictureSet]) -> str:
    """Return how the pictures differ from those that a run was trained on; empty if they do not; arguments as of `warn_if_data_differs`."""
    change = describe_change(sets, current_set(pack, Counters()))
    return f"{recipe.data.source}: {change}" if change else ""


def _load_recipe_and_checkpoint(run: Run, context: RunContext) -> tuple[Recipe, Checkpoint]:
    """Return a run's recipe, with the full path of pictures that it names by a relative one, and its newest checkpoint.

    Raises:
        ArtifactError: There is no checkpoint, or it was trained with another recipe.
        UnknownPicturesError: As of `with_own_pictures`.
    """
    checkpoint = load_checkpoint(run.path, context.reporter.say)
    if checkpoint is None:
        raise ArtifactError(f"{run.path}: no checkpoint to resume from; start the run again")
    header, recorded = checkpoint.header, run.recorded_recipe()
    trained = parse_recipe(header["recipe"], str(run.path))
    source, full = trained.data.source, recorded.data.source

    def read_sets() -> Sequence[PictureSet]:
        return sets_of_header(header)

    if is_relative_source(source) and not is_relative_source(full) and may_mean(source, full, trained, run.path, read_sets):
        trained = with_data_source(trained, full)  # written before the first checkpoint with it, or by the user
    recipe = with_own_pictures(recorded, run.path, read_sets)
    with suppress(UnknownPicturesError):  # its path is shown as it is
        trained = with_own_pictures(trained, run.path, read_sets, context.reporter.say)
    differing = {key: values for key, values in diff_recipes(with_equal_length(trained, recipe), recipe).items() if key != "training.kimg"}
    if differing:
        examples = "; ".join(f"{key} was {then}, now {now}" for key, (then, now) in list(differing.items())[:MAX_DIFFERENCES])
        raise ArtifactError(f"{run.path}: recipe.toml is not the one its checkpoint was trained with ({examples}); undo the change or start a new run")
    return recipe, checkpoint


def _require_time_left(run: Run, recipe: Recipe, counters: Counters, say: Say) -> None:
    """Refuse more kimg for a run that ends by its time, which is over; say how much is left of it otherwise.

    Raises:
        UsageError: No time is left.
    """
    limit_s = recipe.training.limit_s
    if limit_s is None:
        return
    left_s = limit_s - Schedule(recipe).position(counters).elapsed_s
    if left_s <= 0:
        command = describe_new_training(run, recipe, [f"training.limit_s={2 * limit_s:g}"])
        raise UsageError(
            f"--kimg: {run.path} has used up its training.limit_s = {limit_s:g}, so it cannot become longer; begin a run with more time: {command}"
        )
    say(f"training.limit_s = {limit_s:g} ends the run in {format_duration(left_s)} of training, if its kimg do not end it before")


def _describe_rates(recipe: Recipe, longer: Recipe, begun_kimg: float) -> list[str]:
    """Return what falling learning rates do in a run that becomes longer: they follow the longer run's schedule, so they rise at first."""
    sentences: list[str] = []
    if recipe.grow:  # each size of a ladder has a schedule of its own
        return sentences
    kimg = longer.training.kimg
    for name, optimiser in (("generator", recipe.generator_optimiser), ("critic", recipe.critic_optimiser)):
        if optimiser.schedule != "none":
            before, now = (optimiser.factor(min(1.0, begun_kimg / length)) for length in (recipe.training.kimg, kimg))
            sentences.append(
                f"{name}_optimiser.schedule: the rate follows the longer run: at {begun_kimg:g} kimg it goes from {before:.0%} to {now:.0%} of "
                f"{optimiser.learning_rate:g}, and falls to {optimiser.factor(1.0):.0%} at {kimg:g} kimg"
            )
    return sentences


def _restore_threads(threads: int, say: Say) -> None:
    """Use as many threads as the run began with: other numbers of threads sum in another order, and results differ."""
    if threads and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
        say(f"{threads} threads, as the run began with")
