"""Run directories: their files, their state, and lists of them."""

from __future__ import annotations

import math
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitlgan.artifacts.known_artifacts import PLAN_FILE, run_order
from mitlgan.artifacts.run_steps import is_step_reference
from mitlgan.errors import ResourceError, UnknownPicturesError, UsageError
from mitlgan.runtime.command_line import command_line
from mitlgan.runtime.files import (
    TEMPORARY_SUFFIX,
    ensure_folder,
    is_locked,
    is_regular,
    list_files,
    lock_folder,
    remove_temporary_files,
    translate_disk_errors,
    write_atomically,
    write_json,
)
from mitlgan.runtime.json_files import plain_values, read_json
from mitlgan.runtime.progress import Say, ignore_message

if TYPE_CHECKING:
    from mitlgan.artifacts.picture_sets import PictureSet
    from mitlgan.recipe import Recipe

STATES = ("running", "done", "stopped", "nan", "diverged", "failed")
KILLED = "stopped (killed)"
STATUS_TEXTS = frozenset({"state", "command", "role", "diagnosis"})
"""Keys of a status that are text; all others are numbers or null."""
MIN_ABANDONED_S = 1.0
"""Longer than `create_run` needs from making a folder to locking it."""
_STAGING_NAME = re.compile(rf"\..+\.[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}")


@dataclass(frozen=True)
class Run:
    """A run directory, `runs/<command>/<name>-NNN/`, which is never overwritten.

    It may come from anywhere, so every file is opened as a regular file inside it (`mitlgan.runtime.files.open_regular`); links are not followed.

    Attributes:
        path: The directory.
    """

    path: Path

    @property
    def stats_file(self) -> Path:
        """One JSON line per logged iteration; equal bytes for equal recipe, machine and threads."""
        return self.path / "stats.jsonl"

    @property
    def timing_file(self) -> Path:
        """One JSON line of times per logged iteration, apart from the statistics, which must be bit-equal."""
        return self.path / "timing.jsonl"

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    def load_recipe(self, say: Say = ignore_message, *, asked: str = "") -> Recipe:
        """Read the resolved recipe with its pictures where they are now: of a project that was moved, or of a relative path.

        Args:
            say: As of `with_own_pictures`.
            asked: As of `with_own_pictures`.

        Raises:
            UsageError: It is not valid, or is a link.
            UnknownPicturesError: Nothing says which pictures a relative path means.
            ResourceError: Pictures cannot be read for a fault of the machine.
        """
        from mitlgan.artifacts.project_pictures import with_own_pictures

        return with_own_pictures(self.recorded_recipe(), self.path, self.read_sets, say, asked=asked)

    def read_sets(self) -> Sequence[PictureSet]:
        """Read which pictures the run was trained on; none if nothing says it. A checkpoint may be of a longer training than the artifact beside it."""
        from mitlgan.artifacts.card import read_card
        from mitlgan.artifacts.picture_sets import sets_of_card

        checkpoints = [] if self.is_finished else list_files(self.path / "checkpoints", "[0-9]*.safetensors", root=self.path)
        trained = checkpoints[-1] if checkpoints else self.artifact_file
        return () if trained is None else sets_of_card(read_card(trained).data)

    def recorded_recipe(self) -> Recipe:
        """Read the resolved recipe as it was written, which is faster and enough where its pictures do not matter; errors as of `load_recipe`."""
        from mitlgan.recipe import load_recipe  # slow to import, and a list of runs does not need it

        return load_recipe(self.recipe_file, root=self.path)

    @property
    def artifact_file(self) -> Path | None:
        """The finished generator, composer or inpainter."""
        return self._first_regular(self.path / f"{name}.safetensors" for name in ("composer", "generator", "inpainter"))

    @property
    def is_finished(self) -> bool:
        """Whether the artifact is that of the whole recipe: not one that a longer training will replace, or whose writing was interrupted."""
        return self.artifact_file is not None and self._written_state() in ("done", "empty")

    @property
    def inputs_file(self) -> Path:
        """Hashes of the artifacts that the run was made from."""
        return self.path / "inputs.json"

    def read_inputs(self) -> dict[str, Any]:
        """Read the hashes of the artifacts that the run was made from: of layers by name, of initial weights as "start" and "critic"."""
        return read_json(self.inputs_file)

    @property
    def is_comparison(self) -> bool:
        """Whether the directory is a comparison's, which reports on other runs and has no recipe of its own."""
        return self.read_status().get("command") == "compare"

    @property
    def report_file(self) -> Path | None:
        """The HTML report, if there is one."""
        return self._first_regular([self.path / "report.html"])

    @property
    def evaluations_file(self) -> Path:
        """One JSON line per artifact that was evaluated during training."""
        return self.path / "evaluations.jsonl"

    def list_kept_artifacts(self) -> list[Path]:
        """Return the artifacts that were kept during training, the earliest first."""
        return [path for path in list_files(self.path / "kept", "*/*.safetensors", root=self.path) if is_regular(path, root=self.path)]

    def kept_folder(self, kimg: float) -> Path:
        """Return the folder of the artifact that is kept after so many kimg."""
        return self.path / "kept" / f"{kimg:010.3f}"

    def list_snapshots(self) -> list[Path]:
        """Return the snapshots in the order of the training; files of other names come last."""
        paths = [path for path in list_files(self.path / "snapshots", "*.png", root=self.path) if is_regular(path, root=self.path)]
        return sorted(paths, key=lambda path: (math.inf if (position := snapshot_position(path)) is None else position, path.name))

    @property
    def progress_file(self) -> Path:
        """Animation of the snapshots."""
        return self.path / "progress.webp"

    def read_status(self) -> dict[str, Any]:
        """Read the last status that the run wrote, without values of a wrong type; empty if there is none or it cannot be read."""
        try:
            return plain_values(read_json(self.path / "status.json"), STATUS_TEXTS)
        except ResourceError:  # one bad run must not hide the others in a list; a resume writes another status
            return {}

    def read_state(self) -> str:
        """Return one of `STATES`, "empty" before the first status, or `KILLED` if the status is "running" but no process holds the directory."""
        if self._written_state() == "running" and not is_locked(self.path):
            state = self._written_state()  # read again: a process writes its last status before it releases the lock
            return KILLED if state == "running" else state
        return self._written_state()

    def _first_regular(self, paths: Iterable[Path]) -> Path | None:
        return next((path for path in paths if is_regular(path, root=self.path)), None)

    def _written_state(self) -> str:
        return str(self.read_status().get("state", "empty"))

    def write_status(self, values: Mapping[str, Any]) -> None:
        """Replace the status."""
        write_json(self.path / "status.json", dict(values), root=self.path)


def snapshot_position(path: Path) -> float | None:
    """Return the kimg, or after an `i` the iterations, in the name of a snapshot; None if the file is called otherwise."""
    match = re.fullmatch(r"i?([0-9]{1,12}(?:\.[0-9]{3})?)(?:-[0-9]{4}px)?", path.stem)
    return float(match.group(1)) if match else None


def create_run(root: Path, command: str, name: str, files: Mapping[str, str] | None = None) -> Run:
    """Create the next free run directory under `root/command`.

    It appears with its first files or not at all: a killed process leaves a hidden folder, which the next call removes.

    Args:
        root: Folder of all runs.
        command: What the run does.
        name: Name of its recipe.
        files: Its first files: text by name.

    Raises:
        ResourceError: The folder cannot be written.
    """
    parent = root / command
    ensure_folder(parent)
    _remove_abandoned(parent)
    staging = _staging_folder(parent, name)
    try:
        ensure_folder(staging)
        with lock_folder(staging):
            for folder in ("checkpoints", "snapshots"):
                ensure_folder(staging / folder)
            for file, text in (files or {}).items():
                write_atomically(staging / file, text, root=staging)
            return Run(_move_to_next_number(staging, parent, name))
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _staging_folder(parent: Path, name: str) -> Path:
    """Return a hidden folder that no list of runs has."""
    return parent / f".{name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"


def _move_to_next_number(staging: Path, parent: Path, name: str) -> Path:
    numbers = [int(match.group(1)) for path in parent.iterdir() if (match := re.fullmatch(re.escape(name) + r"-(\d+)", path.name))]
    number = max(numbers, default=0)
    while True:
        number += 1
        path = parent / f"{name}-{number:03d}"
        try:
            with translate_disk_errors(path):
                return staging.rename(path)
        except ResourceError:
            if path.exists():  # another process took the number first
                continue
            raise


def _remove_abandoned(parent: Path) -> None:
    """Remove what killed processes left: folders of `create_run`, and temporary files of runs that nobody continues, as they have no checkpoint."""
    for run in map(Run, parent.glob("[!.]*-[0-9]*")):
        if run.recipe_file.is_file() and not any((run.path / "checkpoints").glob("[0-9]*")):
            with suppress(ResourceError), lock_folder(run.path):
                remove_temporaries(run)
    for folder in parent.iterdir():
        if not _STAGING_NAME.fullmatch(folder.name):
            continue
        with suppress(ResourceError, OSError):  # held: another process creates a run now
            if time.time() - folder.lstat().st_mtime > MIN_ABANDONED_S:
                with lock_folder(folder):
                    shutil.rmtree(folder)


def remove_temporaries(run: Run) -> None:
    """Remove the temporary files of a killed process from a run that this process holds."""
    folders = [run.path, *(folder for pattern in ("*", "kept/*") for folder in list_files(run.path, pattern, root=run.path))]
    for folder in folders:
        if folder.is_dir() and not folder.is_symlink():
            remove_temporary_files(folder, root=run.path)


def open_run(path: Path) -> Run:
    """Return the run in a directory.

    Raises:
        UsageError: The directory is not a run's.
    """
    if (path / PLAN_FILE).is_file():
        raise UsageError(
            f"{path}: a project of `mitlgan make`, which goes on when it is called again; its runs: "
            f"`{command_line(['runs', 'ls', '--out', path / 'runs'])}`"
        )
    if not (path / "recipe.toml").is_file():  # a link is refused later, when it is read
        way_out = "one step of a run; name the run without it" if is_step_reference(path) else "not a run directory (it has no recipe.toml)"
        raise UsageError(f"{path}: {way_out}; see `mitlgan runs ls`")
    return Run(path)


def list_runs(root: Path, command: str = "*") -> list[Run]:
    """Return all runs of a command under a root, the most recently written last."""
    paths = [path.parent for path in root.glob(f"{command}/*/recipe.toml") if not _STAGING_NAME.fullmatch(path.parent.name)]
    return [Run(path) for path in sorted(paths, key=run_order)]


def is_run_of(run: Run, recipe: Recipe, inputs: Mapping[str, str] | None) -> bool:
    """Return whether a run has exactly this recipe and was made from these artifacts; a run that cannot be read has not.

    A run of a project that was moved names other pictures, and has the recipe if they are the same; see `Run.load_recipe`. So may one whose pictures
    are named by a relative path, as earlier versions took them from `--set` and from recipes: it has the recipe of the pictures that this path means.
    One of `composer.placement.mattes`, whose content nothing records, means what it means here if the working folder is around the run, else nothing.

    Args:
        run: Any run.
        recipe: All settings.
        inputs: As `Run.read_inputs` returns them; None accepts any.
    """
    from mitlgan.recipe import with_full_mattes, with_overrides  # slow to import

    try:
        recipe, recorded = with_full_mattes(recipe), with_full_mattes(run.recorded_recipe(), inside=run.path)
        if with_overrides(recorded, data__source=recipe.data.source) != recipe or inputs not in (None, run.read_inputs()):
            return False
        if recorded == recipe:
            return True
        own = run.load_recipe(asked=recipe.data.source)  # compares pictures, whose names may mean others by now
        return with_full_mattes(own, inside=run.path) == recipe
    except (UsageError, UnknownPicturesError, ResourceError):
        return False


def open_any(path: Path) -> Run:
    """Return the run or comparison in a directory.

    Raises:
        UsageError: It is neither.
    """
    run = Run(path)
    return run if run.is_comparison else open_run(path)


def list_all(root: Path) -> list[Run]:
    """Return all runs and comparisons under a root, the most recently written last."""
    comparisons = [
        run for path in root.glob("compare/*/status.json") if not _STAGING_NAME.fullmatch(path.parent.name) and (run := Run(path.parent)).is_comparison
    ]
    return sorted({*list_runs(root), *comparisons}, key=lambda run: run_order(run.path))


def remove_run(run: Run) -> None:
    """Delete a run directory with all its files.

    It leaves all lists first, so that none shows the half of a removal that was interrupted; the next `create_run` deletes the rest.

    Raises:
        ResourceError: It cannot be deleted.
    """
    if run.path.is_symlink():
        raise ResourceError(f"{run.path}: is a link to {run.path.resolve()}; remove the link yourself, or name the run itself")
    with translate_disk_errors(run.path):
        path = run.path.resolve(strict=True)  # `runs rm .` has no name
        hidden = _staging_folder(path.parent, path.name)
        path.rename(hidden)
        try:
            shutil.rmtree(hidden)
        except OSError:
            hidden.rename(path)  # where it is found again
            raise
