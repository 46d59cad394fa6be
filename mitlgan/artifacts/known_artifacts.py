"""Where artifacts are without a user saying more: in the runs of this folder, in the projects of `mitlgan make`, among the shipped ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mitlgan.errors import ArtifactError
from mitlgan.runtime.shipped_files import shipped_folder

RUNS = Path("runs")
PLAN_FILE = "make.json"
"""File in the folder of a project of `mitlgan make` that holds its options and stages."""
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

    Raises:
        ArtifactError: It has no composition yet.
    """
    if not (folder / PLAN_FILE).is_file():
        return None
    from mitlgan.artifacts.composition_choice import choose_composition  # slow to import

    composition = choose_composition(sorted(folder.glob(f"{RUNS}/compose/*/composer.safetensors"), key=_modified, reverse=True))
    if composition is None:
        raise ArtifactError(f"{folder}: has no composition yet; call the `mitlgan make` that began it again, which goes on")
    return composition


def with_shipped(path: Path) -> Path:
    """Return a path; for `pretrained/NAME` that does not exist here, that of the shipped artifact of this name, if there is one."""
    if os.path.lexists(path) or len(path.parts) < 2 or path.parts[0] != PRETRAINED or ".." in path.parts:
        return path
    shipped = shipped_folder("pretrained").joinpath(*path.parts[1:])
    return shipped if shipped.exists() else path


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns
