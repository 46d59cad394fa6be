"""Removes what a failed or interrupted command has written of several files, so that the same command can run again; files of others stay."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, NamedTuple

from mitlgan.runtime.signals import HeldSignals


class _NewOutput(NamedTuple):
    """A file or folder that this process has made where there was none: its place, and what tells it from another one there."""

    path: Path
    identity: tuple[int, ...]


_NEW_OUTPUTS: ContextVar[list[_NewOutput] | None] = ContextVar("new_outputs", default=None)


@contextmanager
def remove_if_failed(*outputs: Path) -> Iterator[None]:
    """Remove what this process has written of the outputs if the context ends by an exception, an interrupt included.

    What existed before it stays, and so does what another program has put into a folder in the meantime, with the folder. A second interrupt, as by
    Ctrl-C pressed twice, comes after the removal.

    Args:
        outputs: Files or folders, written through `mitlgan.runtime.files`.
    """
    paths = [path.resolve() for path in outputs]  # `new/..` is a folder that exists
    new = list[_NewOutput]()
    outer = _NEW_OUTPUTS.get()
    token = _NEW_OUTPUTS.set(new)
    try:
        yield
    except BaseException:
        with HeldSignals():
            for output in reversed(new):
                if any(output.path == path or path in output.path.parents or output.path in path.parents for path in paths):
                    _remove(output)
        raise
    finally:
        _NEW_OUTPUTS.reset(token)
        if outer is not None:
            outer += new


def make_folders(path: Path) -> list[Path]:
    """Create a folder and its parents where they are missing; return those that this process has made, the outermost first.

    Raises:
        OSError: One cannot be created, or a file has its name.
    """
    missing, made = list[Path](), list[Path]()
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            folder.mkdir()
        except FileExistsError as error:
            if not folder.is_dir():
                raise FileExistsError(error.errno, f"{folder} is a file, not a folder", str(folder)) from None
        else:
            note_folder(folder)
            made.append(folder)
    return made


def note_folder(path: Path) -> None:
    """Note a folder that this process has just created."""
    _note(path, path.stat())


def note_file(path: Path, file: IO[bytes]) -> None:
    """Note an open file that is about to be moved to a path, unless it takes the place of another one."""
    if _NEW_OUTPUTS.get() is not None and not os.path.lexists(path):
        _note(path, os.fstat(file.fileno()))


def _note(path: Path, status: os.stat_result) -> None:
    new = _NEW_OUTPUTS.get()
    if new is not None:
        place = path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name
        new.append(_NewOutput(place, _identity(status)))


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Return what tells a file from a later one in its place, which may have its number; folders change with what is in them."""
    return status.st_dev, status.st_ino, stat.S_IFMT(status.st_mode), 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns


def _remove(output: _NewOutput) -> None:
    with suppress(OSError):  # the first error is the one to report; a folder with files of others stays
        if _identity(output.path.lstat()) != output.identity:
            return
        if output.path.is_dir():
            output.path.rmdir()
        else:
            output.path.unlink()
