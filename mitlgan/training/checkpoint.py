"""Checkpoints of a run: all that a resume needs, in safetensors files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from mitlgan.artifacts.safetensors_io import SCHEMA_VERSION, read_tensors, write_tensors
from mitlgan.errors import ArtifactError
from mitlgan.runtime.files import list_files, remove_temporary_files
from mitlgan.runtime.progress import Say

CHECKPOINTS_KEPT = 2


class Checkpoint(NamedTuple):
    """The content of a checkpoint.

    Attributes:
        tensors: Networks and optimisers by flat names, on the CPU.
        header: Counters, recipe, and what else is not a tensor.
    """

    tensors: dict[str, Tensor]
    header: dict[str, Any]

    @property
    def iteration(self) -> int:
        """Generator updates so far."""
        return int(self.header["counters"]["iteration"])


def save_checkpoint(run: Path, iteration: int, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, max_count: int = CHECKPOINTS_KEPT) -> Path:
    """Write a checkpoint, then remove all but the newest `max_count`.

    Raises:
        ArtifactError: A value is not finite.
        ResourceError: The disk is full or refuses to write; earlier checkpoints are intact.
    """
    path = run / "checkpoints" / f"{iteration:09d}.safetensors"
    write_tensors(path, tensors, {**header, "schema_version": SCHEMA_VERSION, "kind": "checkpoint", "iteration": iteration}, root=run)
    remove_old_checkpoints(run, iteration, max_count)
    return path


def remove_old_checkpoints(run: Path, iteration: int, max_count: int) -> None:
    """Remove all but the newest `max_count` checkpoints, if the newest is of an iteration, and thus can be read."""
    paths = list_checkpoints(run)
    if paths and int(paths[-1].stem) == iteration:
        for old in paths[:-max_count]:
            old.unlink(missing_ok=True)


def list_checkpoints(run: Path) -> list[Path]:
    """Return the files of a run's checkpoints, oldest first.

    Raises:
        ResourceError: Their folder is a link or lies outside the run; see `mitlgan.runtime.files.open_regular`.
    """
    return list_files(run / "checkpoints", "[0-9]*.safetensors", root=run)


def load_checkpoint(run: Path, say: Say | None = None) -> Checkpoint | None:
    """Return the newest readable checkpoint, or None if the run has none.

    Args:
        run: The run directory.
        say: Shows a warning if the newest one cannot be read and an older one is used.

    Raises:
        ArtifactError: There are checkpoints, but none can be read, or the newest has a newer schema.
    """
    remove_temporary_files(run / "checkpoints", root=run)
    first_error: ArtifactError | None = None
    for path in reversed(list_checkpoints(run)):
        try:
            tensors, header = read_tensors(path, root=run)
        except ArtifactError as error:
            first_error = first_error or error
            continue
        if header.get("kind") != "checkpoint":
            raise ArtifactError(f"{path}: is a {header.get('kind')}, not a checkpoint")
        if header["schema_version"] > SCHEMA_VERSION:
            raise ArtifactError(f"{path}: schema_version {header['schema_version']} is newer than {SCHEMA_VERSION}; upgrade mitlgan")
        if first_error is not None and say is not None:
            say(f"warning: the checkpoint of iteration {header['iteration']} takes the place of the newest, which cannot be read: {first_error}")
        return Checkpoint(tensors, header)
    if first_error is not None:
        raise first_error
    return None
