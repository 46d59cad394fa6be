"""Locks on open files, which the system releases however their process ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from mitlgan.errors import ResourceError


def acquire_exclusive_lock(file: IO[bytes], folder: Path) -> bool:
    """Lock an open file in a folder for this process, until it is closed; return whether no other one has locked it.

    Raises:
        ResourceError: The folder's file system has no locks.
    """
    return _acquire_lock(file, fcntl.LOCK_EX, folder)


def acquire_shared_lock(file: IO[bytes], folder: Path) -> bool:
    """Lock an open file as others may at the same time; as `acquire_exclusive_lock`."""
    return _acquire_lock(file, fcntl.LOCK_SH, folder)


def acquire_new_lock(file: IO[bytes], path: Path) -> bool:
    """Lock an open temporary file at a path, as `acquire_exclusive_lock`; one that cannot be locked is closed and removed."""
    try:
        return acquire_exclusive_lock(file, path.parent)
    except ResourceError:
        with file:
            path.unlink(missing_ok=True)
        raise


def is_at(file: IO[bytes], path: Path) -> bool:
    """Return whether an open file is the one that has a path now; another process may have moved or removed it, or put its own there."""
    with suppress(FileNotFoundError):
        return path.lstat().st_ino == os.fstat(file.fileno()).st_ino
    return False


def remove_abandoned(path: Path) -> bool:
    """Remove a file unless a process holds it locked, as whoever writes it does; return whether it is gone.

    Raises:
        ResourceError: Its folder's file system has no locks, so that nothing says whether somebody writes it.
        OSError: It cannot be removed.
    """
    with suppress(FileNotFoundError), path.open("rb") as file:
        if not acquire_exclusive_lock(file, path.parent):
            return False
        path.unlink()
    return True


def _acquire_lock(file: IO[bytes], kind: int, folder: Path) -> bool:
    try:
        fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        reason = f"cannot be locked ({error.strerror}), and without locks two commands at once would write over each other's files"
        raise ResourceError(f"{folder}: {reason}; choose a folder on another disk") from None
    return True
