"""Run directories: their files, their state, and lists of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitlgan.errors import ResourceError, UsageError
from mitlgan.runtime.files import disk_errors, ensure_folder, is_locked, is_regular, list_files, write_json
from mitlgan.runtime.json_files import read_json

if TYPE_CHECKING:
    from mitlgan.recipe import Recipe

STATES = ("running", "done", "stopped", "nan", "diverged", "failed")
KILLED = "stopped (killed)"


@dataclass(frozen=True)
class Run:
    """One run directory, `runs/<command>/<name>-NNN/`, never overwritten.

    It may come from anywhere: every file of it is opened as a regular file inside it
    (`mitlgan.runtime.files.open_regular`), and no link in it is followed.

    Attributes:
        path: The directory.
    """

    path: Path

    @property
    def stats(self) -> Path:
        """One JSON line per logged iteration; equal bytes for equal recipes, machine and threads."""
        return self.path / "stats.jsonl"

    @property
    def timing(self) -> Path:
        """Seconds, apart from the statistics, which must be equal to the bit."""
        return self.path / "timing.jsonl"

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    def load_recipe(self) -> Recipe:
        """The resolved recipe, read.

        Raises:
            UsageError: It is not valid, or not the run's own file.
        """
        from mitlgan.recipe import load_recipe  # which a list of runs can do without

        return load_recipe(self.recipe, root=self.path)

    @property
    def artifact(self) -> Path | None:
        """The frozen generator, composer or inpainter that the run ended with."""
        return self._own(self.path / f"{name}.safetensors" for name in ("composer", "generator", "inpainter"))

    @property
    def inputs_file(self) -> Path:
        """Hashes of the artifacts that the run was made from."""
        return self.path / "inputs.json"

    def inputs(self) -> dict[str, Any]:
        """Hashes of the artifacts that the run was made from, by layer, or of what it began with, as "start" and "critic"."""
        return read_json(self.inputs_file)

    @property
    def is_comparison(self) -> bool:
        """Whether it is a comparison's: a report on other runs, without a recipe of its own."""
        return self.status().get("command") == "compare"

    @property
    def report(self) -> Path | None:
        """The page about the run, if there is one."""
        return self._own([self.path / "report.html"])

    @property
    def evaluations(self) -> Path:
        """One JSON line per artifact that was measured during training."""
        return self.path / "evaluations.jsonl"

    def kept_artifacts(self) -> list[Path]:
        """Artifacts of the moving average that were kept on the way, the earliest first."""
        return [path for path in list_files(self.path / "kept", "*/*.safetensors", root=self.path) if is_regular(path, root=self.path)]

    def snapshots(self) -> list[Path]:
        """Grids of the fixed latents, by name."""
        return [path for path in list_files(self.path / "snapshots", "*.png", root=self.path) if is_regular(path, root=self.path)]

    def status(self) -> dict[str, Any]:
        """The last state that the run wrote; empty when it wrote none."""
        try:
            return read_json(self.path / "status.json")
        except ResourceError:  # a list of runs shows the others, too; who goes on with this one writes another
            return {}

    def state(self) -> str:
        """One of `STATES`, "empty" before the first was written, or `KILLED`: it says "running", but no process holds its directory any more."""
        if self._written_state() == "running" and not is_locked(self.path):
            state = self._written_state()  # again: a process that ends well writes its last state before it lets go
            return KILLED if state == "running" else state
        return self._written_state()

    def _own(self, paths: Iterable[Path]) -> Path | None:
        return next((path for path in paths if is_regular(path, root=self.path)), None)

    def _written_state(self) -> str:
        return str(self.status().get("state", "empty"))

    def write_status(self, values: Mapping[str, Any]) -> None:
        """Replace the state."""
        write_json(self.path / "status.json", dict(values))


def create(root: Path, command: str, name: str) -> Run:
    """Make the next free run directory under `root/command`.

    Raises:
        ResourceError: The place cannot be written.
    """
    parent = root / command
    ensure_folder(parent)
    taken = [int(found.group(1)) for path in parent.iterdir() if (found := re.fullmatch(re.escape(name) + r"-(\d+)", path.name))]
    number = max(taken, default=0)
    while True:
        number += 1
        path = parent / f"{name}-{number:03d}"
        try:
            with disk_errors(path.parent):
                path.mkdir()
        except ResourceError:
            if path.exists():  # another process took the number first
                continue
            raise
        for folder in ("checkpoints", "snapshots"):
            ensure_folder(path / folder)
        return Run(path)


def open_run(path: Path) -> Run:
    """The run in a directory.

    Raises:
        UsageError: It holds none.
    """
    if not (path / "recipe.toml").is_file():  # a link to one is refused where it is read, by its name
        raise UsageError(f"{path}: not a run directory (it has no recipe.toml); see `mitlgan runs ls`")
    return Run(path)


def list_runs(root: Path, command: str = "*") -> list[Run]:
    """All runs under a root, the most recently written last."""
    paths = [path.parent for path in root.glob(f"{command}/*/recipe.toml")]
    return [Run(path) for path in sorted(paths, key=lambda path: (_modified(path), path.name))]


def matches(run: Run, recipe: Recipe, inputs: Mapping[str, str] | None) -> bool:
    """Whether a run is of exactly this recipe, and made from these artifacts; one that cannot be read is not.

    Args:
        run: Any.
        recipe: All settings.
        inputs: As `Run.inputs` gives them; None takes any.
    """
    try:
        return run.load_recipe() == recipe and inputs in (None, run.inputs())
    except (UsageError, ResourceError):
        return False


def open_any(path: Path) -> Run:
    """The run or the comparison in a directory.

    Raises:
        UsageError: It holds neither.
    """
    run = Run(path)
    return run if run.is_comparison else open_run(path)


def list_all(root: Path) -> list[Run]:
    """All runs and comparisons under a root, the most recently written last."""
    compared = [run for path in root.glob("compare/*/status.json") if (run := Run(path.parent)).is_comparison]
    return sorted({*list_runs(root), *compared}, key=lambda run: (_modified(run.path), run.path.name))


def remove(run: Run) -> None:
    """Delete a run directory with all that is in it.

    Raises:
        ResourceError: It cannot be deleted.
    """
    with disk_errors(run.path):
        shutil.rmtree(run.path)


def _modified(path: Path) -> int:
    for place in (path / "status.json", path):
        with suppress(OSError):
            return place.lstat().st_mtime_ns
    return 0
