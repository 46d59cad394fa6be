"""The pictures of a run where its recipe does not lead to them: a project was moved or copied, or the recipe names them by a relative path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mitlgan.artifacts.known_artifacts import ARMS_FOLDER, PLAN_FILE, RESULTS_FOLDER
from mitlgan.artifacts.picture_sets import PictureSet
from mitlgan.data.pack.reduced import reduced_pack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ArtifactError, DataError, ResourceError
from mitlgan.recipe import Recipe, full_source, is_relative_source, ladder_steps, with_overrides
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.progress import Say, ignore_message

LAYERS = "layers"
"""Folder of a project: cut photographs."""
_MAX_DEPTH = 4
"""Folders between a run's and a file in it, at most, with both."""


class _Plan(BaseModel):
    """What a plan says of its project's identity; see `mitlgan.project.plan.ProjectPlan`. Any other file of this name is no plan."""

    model_config = ConfigDict(extra="ignore")

    schema_version: int
    request: dict[str, Any]
    listing_sha256: str
    count: int
    family: str
    size_px: int
    lengths_kimg: dict[str, float]
    cuts_sha256: str = ""
    places: list[str] = []

    def is_copy_of(self, other: _Plan | None) -> bool:
        """Whether another plan is the same but for what a later call may change."""
        changeable = {"request", "places", "cuts_sha256"}
        return other is not None and self.model_dump(exclude=changeable) == other.model_dump(exclude=changeable)


def with_own_pictures(recipe: Recipe, path: Path, read_sets: Callable[[], Sequence[PictureSet]], say: Say = ignore_message) -> Recipe:
    """Return a recipe of a run with the pictures that the run has now: those of its project, and those that a relative path means.

    The hash of what the run was trained on decides, not what lies where the recipe says. Where the project was before, its own pictures come first,
    elsewhere those that are there. If neither are the trained ones, the project's are taken where it was or may have been: they were edited, as in a
    project that stays in its place.

    Earlier versions recorded a relative path as it was typed, seen from the folder in which the training was begun. That is the one around the runs, or
    the working folder. If neither has the trained pictures, those of the working folder are taken, as edited ones, if it is around the runs; the path
    stays relative if it is not: nothing says what it means.

    Args:
        recipe: As a run, a checkpoint or a card records it.
        path: The run, or a file in it.
        read_sets: Reads which pictures the run was trained on; called only if they may be the project's.
        say: Receives that the project was moved, or copied, since then, that another place still has the trained pictures, or what a relative path
            means if not the pictures that the working folder has.

    Raises:
        ResourceError: Pictures cannot be read for a fault of the machine.
    """
    if is_relative_source(recipe.data.source):
        return _with_full_path(recipe, path, read_sets, say)
    source = Path(recipe.data.source)
    if not source.is_absolute() or source.parent.name != LAYERS:
        return recipe
    project, plan = _project_around(path.resolve())
    if project is None or plan is None or not (own := project / LAYERS / source.name).is_dir() or source.resolve() == own:
        return recipe
    moved, sets = with_overrides(recipe, data__source=str(own)), _read(read_sets)
    if not sets:
        return recipe
    was_here, trained = _was_place_of(source.parent.parent, plan), sets[-1]
    if not was_here and _has_pictures(recipe, trained):
        return recipe
    has_own = _has_pictures(moved, trained)
    if not was_here and not has_own and not _may_have_been_place_of(source, plan):
        return recipe
    if was_here and not has_own and _has_pictures(recipe, trained):
        say(f"{own}: holds other pictures than {path} was trained on, so those of {source} are still its own")
        return recipe
    if was_here or has_own or not _is_there(source):
        say(f"{project}: was moved or copied: its pictures are those of {own}, no longer {source}")
    else:
        say(f"warning: {path} was trained on other pictures than those of {source} and of {own}; those of {own} are taken, of its project")
    return moved


def _with_full_path(recipe: Recipe, path: Path, read_sets: Callable[[], Sequence[PictureSet]], say: Say) -> Recipe:
    """Return a recipe that names its pictures by a relative path with the full one; see `with_own_pictures`."""
    source, around = recipe.data.source, _folders_around(path.resolve())
    here = with_overrides(recipe, data__source=full_source(source))
    meanings = {full_source(source, folder): folder for folder in (*around, Path())}
    sets = _read(read_sets) if len(meanings) > 1 or not around else ()
    for meaning in meanings if sets else ():
        named = with_overrides(recipe, data__source=meaning)
        if _has_pictures(named, sets[-1]):
            if named != here:
                say(f"{path}: was trained on {source} as seen from {meanings[meaning]}: these are its pictures, not {here.data.source}")
            return named
    return here if not sets or Path.cwd() in around else recipe


def _folders_around(path: Path) -> tuple[Path, ...]:
    """Return the folders around the runs among which a run is, or a file of one: of a comparison's or a sweep's runs, also the one around those."""
    run = next((folder for folder in (path, *path.parents)[:_MAX_DEPTH] if (folder / "recipe.toml").is_file()), None)
    if run is None:
        return ()
    root = run.parent.parent
    is_inside = root.name == ARMS_FOLDER or (root.parent / RESULTS_FOLDER).is_dir()
    return (root.parent.parent, root.parent) if is_inside else (root.parent,)


def _project_around(path: Path) -> tuple[Path, _Plan] | tuple[None, None]:
    """Return the innermost project that a path is in, with its plan."""
    for folder in (path, *path.parents):
        if (plan := _read_plan(folder)) is not None:
            return folder, plan
    return None, None


def _read_plan(folder: Path) -> _Plan | None:
    with suppress(ValidationError, ResourceError):
        if (folder / PLAN_FILE).is_file():
            return _Plan.model_validate(read_json(folder / PLAN_FILE))
    return None


def _was_place_of(folder: Path, plan: _Plan) -> bool:
    """Whether a project was in a folder before; plans of earlier versions do not say it, so it was if the same plan is there."""
    return str(folder) in plan.places or (not plan.places and plan.is_copy_of(_read_plan(folder)))


def _may_have_been_place_of(source: Path, plan: _Plan) -> bool:
    """Whether a project that does not say where it was may have left this place: nothing is there now, or another project."""
    return not plan.places and (not _is_there(source) or _read_plan(source.parent.parent) is not None)


def _is_there(source: Path) -> bool:
    with suppress(OSError):  # such as in a folder that may not be read
        return source.exists()
    return False


def _read(read_sets: Callable[[], Sequence[PictureSet]]) -> Sequence[PictureSet]:
    with suppress(ArtifactError):
        return read_sets()
    return ()


def _has_pictures(recipe: Recipe, trained: PictureSet) -> bool:
    """Whether a recipe names the pictures that its training was shown last, at one of its sizes."""
    with suppress(DataError, PermissionError):  # the old place may be another user's now
        pack = open_recipe_data(recipe)
        return any(reduced_pack(pack, step.size_px).content_sha256 == trained.content_sha256 for step in ladder_steps(recipe))
    return False
