"""The pictures of a run where its recipe does not lead to them: a project was moved or copied, or the recipe names them by a relative path."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mitlgan.artifacts.known_artifacts import PLAN_FILE
from mitlgan.artifacts.picture_sets import PictureSet
from mitlgan.data.pack.reduced import reduced_pack
from mitlgan.data.recipe_data import open_recipe_data
from mitlgan.errors import ArtifactError, DataError, ResourceError, UnknownPicturesError
from mitlgan.recipe import Recipe, full_source, is_relative_source, ladder_steps, with_overrides
from mitlgan.runtime.json_files import read_json
from mitlgan.runtime.outer_folders import both_names, by_height, searched_folders
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


def with_own_pictures(
    recipe: Recipe, path: Path, read_sets: Callable[[], Sequence[PictureSet]], say: Say = ignore_message, *, asked: str = "", option: str = ""
) -> Recipe:
    """Return a recipe of a run with the pictures that the run has now: those of its project, and those that a relative path means.

    The hash of what the run was trained on decides, not what lies where the recipe says. Where the project was before, its own pictures come first,
    elsewhere those that are there. If neither are the trained ones, the project's are taken where it was or may have been: they were edited, as in a
    project that stays in its place.

    Earlier versions recorded a relative path as it was typed, seen from the folder in which the training was begun. That is one around the runs, as
    they were named or where links lead, or the working folder. If none has the trained pictures, they were edited: those of the working folder are
    taken if it is around the run and none nearer to it has any. Else nothing says what the path means, and it is refused, unless the caller asks for
    the pictures of the working folder, which then is around the run, or no other folder around it has any; or nothing says what the run was trained
    on, and only the working folder has any.

    Args:
        recipe: As a run, a checkpoint or a card records it.
        path: The run, or a file in it.
        read_sets: Reads which pictures the run was trained on; called only if they may be the project's.
        say: Receives that the project was moved, or copied, since then, that another place still has the trained pictures, or what a relative path
            means if not the pictures that the working folder has.
        asked: Full path of the pictures that the caller names, whose run is looked for; it decides what a relative path means where nothing else does.
        option: Option by which the user may name the pictures in place of the recipe; empty if there is none.

    Raises:
        UnknownPicturesError: Nothing says which pictures a relative path means; it names the way out.
        ResourceError: Pictures cannot be read for a fault of the machine.
    """
    if is_relative_source(recipe.data.source):
        return _with_full_path(recipe, path, read_sets, say, asked, option)
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


def _with_full_path(recipe: Recipe, path: Path, read_sets: Callable[[], Sequence[PictureSet]], say: Say, asked: str, option: str) -> Recipe:
    """Return a recipe that names its pictures by a relative path with the full one; see `with_own_pictures`."""
    source, around = recipe.data.source, _folders_around(path)
    here, meanings = full_source(source), _meanings(source, around)
    present = [meaning for meaning in meanings if _is_there(Path(meaning))]
    is_around, are_no_others = Path.cwd() in around, set(present) <= {here}
    sets = () if is_around and are_no_others else _read(read_sets)
    for meaning in sorted(present if sets else (), key=lambda meaning: meaning != asked):
        named = with_overrides(recipe, data__source=meaning)
        if _has_pictures(named, sets[-1]):
            if meaning not in (here, asked):
                say(f"{path}: was trained on {source} as seen from {meanings[meaning]}: these are its pictures, not {here}")
            return named
    is_nearest = is_around and present[:1] == [here]
    is_asked = here == asked and (is_around or are_no_others)
    is_alone = not sets and present == [here]
    if not (is_nearest or is_asked or is_alone):
        raise UnknownPicturesError(_describe_unknown(source, path, option, is_known=bool(sets)))
    return with_overrides(recipe, data__source=here)


def _describe_unknown(source: str, path: Path, option: str, *, is_known: bool) -> str:
    """Say that nothing tells what a relative path of a run means, and the way out; arguments as of `with_own_pictures`.

    Args:
        source: The relative path.
        path: The run, or a file in it.
        option: Names the pictures.
        is_known: Whether something says what the run was trained on.
    """
    here, folder = full_source(source), _folder_to_call_from(source, path)
    is_there = _is_there(Path(here))
    if folder is None and not is_there:
        way_out = f"call this in the folder that has {source}{f', or name its pictures by {option}' if option else ''}"
    else:
        likely = here if folder is None else str(folder / source)
        if option:
            words = f"name them: {option} {likely}"
        elif folder is not None:
            words = f"call this in {folder}{'' if path.is_absolute() else f', with {os.path.normpath(path.absolute())} in place of {path}'}"
        else:
            words = f'write source = "{here}" into {path / "recipe.toml"} and call this in {Path.cwd()} again'
        way_out = f"if {'they are these' if folder is None else f'{likely} has them'}, edited since then, {words}"
    now = ("has others" if is_known else "may have others") if is_there else "is not there"
    return f"{path}: was trained on the pictures of {source}, but {here} {now}; {way_out}"


def may_mean(source: str, full: str, recipe: Recipe, path: Path, read_sets: Callable[[], Sequence[PictureSet]]) -> bool:
    """Return whether a relative path of a run may mean what a full one names: seen from a folder around the run, or the working folder, or by the hash.

    Args:
        source: The relative path.
        full: The full path.
        recipe: The run's, with any pictures.
        path: The run, or a file in it.
        read_sets: As of `with_own_pictures`.

    Raises:
        ResourceError: Pictures cannot be read for a fault of the machine.
    """
    if full_source(full) in _meanings(source, _folders_around(path)):
        return True
    sets = _read(read_sets)
    return bool(sets) and _has_pictures(with_overrides(recipe, data__source=full), sets[-1])


def _folder_to_call_from(source: str, path: Path) -> Path | None:
    """Return the folder around a run, the nearest one, from which a relative path of the run names something; None if there is none."""
    around = _folders_around(path)
    return next((folder for meaning, folder in _meanings(source, around).items() if folder in around and _is_there(Path(meaning))), None)


def _meanings(source: str, around: Sequence[Path]) -> dict[str, Path]:
    """Return the full paths that a relative one may mean, each with the folder from which it is seen: those around a run, then the working folder."""
    meanings = dict[str, Path]()
    for folder in (*searched_folders(around), Path.cwd()):
        meanings.setdefault(full_source(source, folder), folder)
    return meanings


def _folders_around(path: Path) -> tuple[Path, ...]:
    """Return the folders around a run or a file of one, the nearest first, from that of all runs on: as it is named, and where links lead."""
    places = [(name, *name.parents)[:_MAX_DEPTH] for name in both_names(path)]
    runs = [next((folder for folder in folders if (folder / "recipe.toml").is_file()), None) for folders in places]
    return by_height(run.parents[1:] for run in runs if run is not None)


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
