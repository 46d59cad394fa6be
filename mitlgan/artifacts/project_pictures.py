"""The pictures of a project's own trainings, which move and are copied with it; recipes name them by their full path."""

from __future__ import annotations

from pathlib import Path

from mitlgan.artifacts.known_artifacts import PLAN_FILE
from mitlgan.recipe import Recipe, with_overrides
from mitlgan.runtime.progress import Say, ignore_message

LAYERS = "layers"
"""Folder of a project: cut photographs."""


def with_own_pictures(recipe: Recipe, path: Path, say: Say = ignore_message) -> Recipe:
    """Return a recipe of a project's run with the pictures of the project that the run is in now; any other recipe unchanged.

    Args:
        recipe: As a run, a checkpoint or a card records it.
        path: The run, or a file in it.
        say: Receives that the project was moved, or copied, since then.
    """
    source = Path(recipe.data.source)
    project = next((folder for folder in (path.resolve(), *path.resolve().parents) if (folder / PLAN_FILE).is_file()), None)
    if project is None or not source.is_absolute() or source.parent.name != LAYERS:
        return recipe
    own = project / LAYERS / source.name
    if not own.is_dir() or source.resolve() == own:
        return recipe
    say(f"{project}: was moved or copied: its pictures are those of {own}, no longer {source}")
    return with_overrides(recipe, data__source=str(own))
