"""What a process does until it is killed: functions for children of the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import torch

from mitlgan.runtime import files
from mitlgan.runtime.files import lock_folder
from mitlgan.training.checkpoint import save_checkpoint


def _die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


class _DiesHalfway:
    """A file whose process dies in the middle of its first write."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __enter__(self) -> _DiesHalfway:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        _die()


def _before_write() -> None:
    files.open_temporary = _die


def _in_the_middle_of_the_write() -> None:
    opened = files.open_temporary

    def open_temporary(path: Path, *, root: Path) -> Any:
        temporary, file = opened(path, root=root)
        return temporary, _DiesHalfway(file)

    files.open_temporary = open_temporary


def _before_fsync() -> None:
    files.os.fsync = _die  # type: ignore[attr-defined]


def _before_replace() -> None:
    Path.replace = _die  # type: ignore[method-assign]


def _after_replace() -> None:
    replace = Path.replace
    Path.replace = lambda path, target: _die(replace(path, target))  # type: ignore[method-assign,assignment]


def _before_old_ones_go() -> None:
    files.sync_folder = _die


PHASES: dict[str, Callable[[], None]] = {
    "before the write": _before_write,
    "in the middle of the write": _in_the_middle_of_the_write,
    "before fsync": _before_fsync,
    "before the rename": _before_replace,
    "after the rename": _after_replace,
    "before old checkpoints go": _before_old_ones_go,
}
LEAVES_A_TEMPORARY = ("in the middle of the write", "before fsync", "before the rename")
HAS_REPLACED = ("after the rename", "before old checkpoints go")


def state(iteration: int) -> dict[str, torch.Tensor]:
    """A small state that tells its iteration."""
    return {"generator.weight": torch.full((100, 100), float(iteration)), "critic.weight": torch.arange(3) + iteration}


def die_while_saving(run: Path, iteration: int, phase: str) -> None:
    """Write a checkpoint, and be killed in a phase of it."""
    PHASES[phase]()
    save_checkpoint(run, iteration, state(iteration), {"recipe": {}})


def hold(folder: Path, told: Connection) -> None:
    """Lock a folder, say so, and hold it until killed."""
    with lock_folder(folder):
        told.send("locked")
        signal.pause()
