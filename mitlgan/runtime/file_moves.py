"""Moves a complete file to its place: to a name that is free, and never over a file of another program; and writes folders to the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mitlgan.errors import ResourceError
from mitlgan.runtime.signals import HeldSignals

_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})
"""What file systems say that write files to the disk, but cannot be asked to write a folder, such as drives on a network."""
_NO_REPLACE = 1
"""Flag of the system call `renameat2`: fail where the name exists."""
_WORKING_FOLDER = -100
"""In place of a folder's descriptor: relative paths begin where the process is."""


def move_to_free_name(temporary: Path, path: Path) -> None:
    """Move a complete file to a name in the same folder that was free when the command began.

    Raises:
        ResourceError: There is a file or folder by now; both files stay as they are.
        OSError: The folder is gone, or cannot be written.
    """
    try:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if not _rename_to_free_name(temporary, path):
                _move_over_own_file(temporary, path)
        else:
            temporary.unlink()
    except FileExistsError:
        raise appeared_meanwhile(path) from None


def appeared_meanwhile(path: Path) -> ResourceError:
    """Return the error of a file that another program has written since a command began that was going to write it."""
    reason = "was free when the command began, and another program has written it in the meantime"
    return ResourceError(f"{path}: {reason}; that one stays as it is; choose another name, or remove it")


def _rename_to_free_name(temporary: Path, path: Path) -> bool:
    """Rename a file in one step unless the name exists, which is a `FileExistsError`; return whether the system could be asked for that."""
    import ctypes  # needed for few file systems

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # another system than Linux
        return False
    if rename(_WORKING_FOLDER, os.fsencode(temporary), _WORKING_FOLDER, os.fsencode(path), _NO_REPLACE) == 0:
        return True
    if ctypes.get_errno() == errno.EEXIST:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    return False  # also after other faults, which the next attempt reports


def _move_over_own_file(temporary: Path, path: Path) -> None:
    """Hold the name by an empty file, and move a file over it; only a process that is killed in between leaves the empty one."""
    with HeldSignals():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def sync_folder(folder: Path) -> None:
    """Write a folder's names to the disk, where its file system can be asked to.

    Raises:
        OSError: The folder is gone, or the disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
