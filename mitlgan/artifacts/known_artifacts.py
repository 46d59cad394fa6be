"""Where artifacts are without a user saying more: in the runs of this folder, in the projects of `mitlgan make`, among the shipped ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mitlgan.errors import ArtifactError
from mitlgan.runtime.progress import print_message
from mitlgan.runtime.shipped_files import shipped_folder

RUNS = Path("runs")
PLAN_FILE = "make.json"
"""File in the folder of a project of `mitlgan make` that holds its options and stages."""
ARMS_FOLDER = "arms"
"""Folder among the runs that holds those of a comparison's arms."""
PRETRAINED = "pretrained"
NETWORKS = ("composer", "generator")
MAX_RUN_DEPTH = 4
"""Folders below `runs` in which artifacts are looked for."""


def run_folders() -> list[Path]:
    """Return the folders of runs of the working folder: `runs`, then those of its projects, the newest first."""
    plans = sorted(Path().glob(f"*/{PLAN_FILE}"), key=_modified, reverse=True)
    return [RUNS, *(plan.parent / RUNS for plan in plans)]


def known_artifacts() -> Iterator[Path]:
    """Yield the artifacts of this folder's runs and projects, then the shipped ones; compositions first."""
    for folder in run_folders():
        for pattern in [f"{'*/' * depth}{name}.safetensors" for depth in range(1, MAX_RUN_DEPTH + 1) for name in NETWORKS]:
            yield from sorted(folder.glob(pattern))
    for name in NETWORKS:
        yield from sorted(shipped_folder("pretrained").glob(f"*/{name}.safetensors"))


def composition_of_project(folder: Path) -> Path | None:
    """Return the composition of a project of `mitlgan make` that `choose_composition` chooses; None if the folder is none.

    A note on stderr says which, if newer ones were passed over because their layers cannot be moved.

    Raises:
        ArtifactError: It has no composition yet, or one that may be meant cannot be read.
    """
    if not (folder / PLAN_FILE).is_file():
        return None
    from mitlgan.artifacts.composition_choice import choose_composition  # slow to import

    files = folder.glob(f"{RUNS}/compose/[!.]*/composer.safetensors")
    choice = choose_composition(sorted(files, key=lambda file: run_order(file.parent), reverse=True))
    if choice is None:
        raise ArtifactError(f"{folder}: has no composition yet; call the `mitlgan make` that began it again, which goes on")
    for fault in choice.faults.values():
        raise ArtifactError(f"{fault}; {folder} may mean it: remove its run, or name another, such as {choice.path.parent}")
    if choice.baselines:
        count = len(choice.baselines)
        print_message(
            f"note: {folder}: {choice.path.parent} is taken; {count} newer composition{'s have' if count > 1 else ' has'} no layers that can be moved"
        )
    return choice.path


def run_order(folder: Path) -> tuple[int, str]:
    """Return what runs are ordered by, the oldest first: when a run last wrote its status, then its name."""
    for path in (folder / "status.json", folder):
        with suppress(OSError):
            return path.lstat().st_mtime_ns, folder.name
    return 0, folder.name


def with_shipped(path: Path) -> Path:
    """Return a path; for `pretrained/NAME` that does not exist here, that of the shipped artifact of this name, if there is one."""
    if os.path.lexists(path) or len(path.parts) < 2 or path.parts[0] != PRETRAINED or ".." in path.parts:
        return path
    shipped = shipped_folder("pretrained").joinpath(*path.parts[1:])
    return shipped if shipped.exists() else path


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns
