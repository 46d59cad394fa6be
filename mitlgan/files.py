"""Files that are whole or absent: atomic replacement, locks, and disk errors in one line."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mitlgan.errors import ResourceError

TEMPORARY = ".tmp"
LOCK = ".lock"
GLANCE_S = 0.05  # longer than `is_locked` holds what it looks at


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a disk can refuse into a `ResourceError` that names the file (exit code 5)."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"{path}: no space left on the disk; free some and run `mitlgan resume`") from None
        raise ResourceError(f"{path}: cannot be written ({error.strerror or error}); choose another place with --out") from None


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace a file as a whole: at any moment the old or the new one is there.

    Raises:
        ResourceError: The disk is full or the folder not writable; the old file is intact and no temporary one stays.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Atomically write indented JSON (NaN is refused)."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def remove_temporaries(folder: Path) -> None:
    """Remove what an interrupted `write_atomically` may have left in a folder."""
    for path in folder.glob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, and see that it can be written.

    Raises:
        ResourceError: It cannot.
    """
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe.{os.getpid()}{TEMPORARY}"
        probe.touch()
        probe.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it however the process ends.

    Raises:
        ResourceError: Another process holds it.
    """
    with disk_errors(folder):
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _taken(descriptor, fcntl.LOCK_EX):
            time.sleep(GLANCE_S)
            if not _taken(descriptor, fcntl.LOCK_EX):
                raise ResourceError(f"{folder}: another process is working on it; wait for it or choose another run")
        yield
    finally:
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder now. What nobody has held yet, or may not be looked at, is not locked."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _taken(descriptor, fcntl.LOCK_SH)  # there is no other way to see it, and closing lets go at once
    finally:
        os.close(descriptor)


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
