"""Finding the run of a recipe that was trained before, in place of training it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.load_save import network_hash
from mitlgan.artifacts.picture_sets import sets_of_card
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ResourceError
from mitlgan.recipe import Recipe
from mitlgan.runtime.distributed import text_from_leader
from mitlgan.runtime.progress import Say
from mitlgan.stages.compose import compose
from mitlgan.stages.context import RunContext
from mitlgan.stages.inpainter import train_inpainter
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import data_change, record_pictures, resume
from mitlgan.training import run_directory
from mitlgan.training.checkpoint import list_checkpoints
from mitlgan.training.run_directory import Run


def get_or_train(recipe: Recipe, context: RunContext, layers: Mapping[str, Path] | None = None) -> Run:
    """Return the finished run of exactly this recipe; resume or start it where needed.

    Args:
        recipe: Of a generator, a composition or an inpainter.
        context: Where and how.
        layers: Artifact of each layer of a composition, which its run must have been made from.

    Raises:
        MitlganError: As `pretrain`, `compose` and `resume`.
    """
    hashes = {name: network_hash(path) for name, path in layers.items()} if layers else None
    run = find_matching_run(context.root, recipe, hashes)
    choice = "start" if run is None else f"resume {run.path}" if not run.is_finished else f"take {run.path}"
    choice, _, path = text_from_leader(choice, context.world).partition(" ")
    if choice == "start" and layers:
        return compose(recipe, layers, context)
    if choice == "start":
        return pretrain(recipe, context) if recipe.inpainter is None else train_inpainter(recipe, context)
    run = Run(Path(path))
    if choice == "resume":
        record_pictures(run, recipe, context.world)
        return resume(run.path, context)
    warn_if_data_changed(run, recipe, context.reporter.say)
    return run


def find_matching_run(root: Path, recipe: Recipe, inputs: Mapping[str, str] | None = None) -> Run | None:
    """Return the newest run of exactly this recipe that is finished or has a checkpoint.

    Args:
        root: Folder of the runs.
        recipe: All settings.
        inputs: Hashes of the artifacts that the run must be made from, as `Run.read_inputs` gives them; None accepts any.
    """
    for run in reversed(run_directory.list_runs(root, recipe.command)):
        try:
            if run_directory.is_run_of(run, recipe, inputs) and (run.is_finished or list_checkpoints(run.path)):
                return run
        except ResourceError:  # a run that cannot be resumed
            continue
    return None


def warn_if_data_changed(run: Run, recipe: Recipe, say: Say) -> None:
    """Warn if a finished run that is reused was trained on other pictures than its recipe names now, all along or for a part of its length."""
    if change := data_change_of_run(run, recipe):
        say(f"warning: {change}")


def data_change_of_run(run: Run, recipe: Recipe) -> str:
    """Return how the pictures that a recipe names differ from those that a finished run was trained on; empty if they do not, or nothing says it."""
    sets = () if run.artifact_file is None else sets_of_card(read_card(run.artifact_file).data)
    return data_change(recipe, open_recipe_data(recipe), sets) if sets else ""
