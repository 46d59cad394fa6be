"""Safe files: atomic replacement, locks, regular files inside a folder only, and disk errors in one line."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from mitlgan.errors import ResourceError, ShortageError, UnwritableError, raise_resource_fault
from mitlgan.runtime.file_locks import acquire_exclusive_lock, acquire_new_lock, acquire_shared_lock, is_at
from mitlgan.runtime.file_moves import move_to_free_name, sync_folder
from mitlgan.runtime.signals import HeldSignals
from mitlgan.runtime.unfinished_outputs import make_folders, note_file, note_folder

TEMPORARY_SUFFIX = ".tmp"
MAX_NAME_BYTES = 255
LOCK_FILE = ".lock"
LOCK_POLL_S = 0.05
"""Longer than `is_locked` holds the lock that it tests."""
Mode = Literal["rb", "r+b", "ab", "xb", "a+b"]
_FLAGS: dict[Mode, int] = {
    "rb": os.O_RDONLY, "r+b": os.O_RDWR, "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND, "xb": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "a+b": os.O_RDWR | os.O_CREAT | os.O_APPEND,
}  # fmt: skip
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ForeignFileError(ResourceError, OSError):
    """A symbolic link, pipe, device or folder in place of a regular file, or a link in place of a folder."""

    def __init__(self, path: Path, expected: str = "regular file") -> None:
        kind = "is a symbolic link" if path.is_symlink() else f"is not a {expected}"
        reason = f"{kind}, but a run's files must be its own; replace it by a copy, or remove it"
        super().__init__(f"{path}: {reason}")
        self.strerror = reason  # an attribute of every OSError


def open_regular(path: Path, mode: Mode = "rb", *, root: Path | None) -> IO[bytes]:
    """Open a file if it is a regular one, without waiting for a pipe or device in its place.

    A file that is changed in place and has hard links is first replaced by a copy of its own.

    Args:
        path: The file.
        mode: As for `open`.
        root: Folder, such as a run, that the file must be in: nothing below it may be a symbolic link. None follows links.

    Raises:
        ForeignFileError: It is not a regular file, or a link leads to it.
        OSError: As for `open`.
    """
    flags = _FLAGS[mode] | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        if root is None:
            descriptor = os.open(path, flags, 0o666)
        else:
            with _own_folder(path.parent, root) as folder:
                descriptor = os.open(path.name, flags | os.O_NOFOLLOW, 0o666, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR) and not isinstance(error, ForeignFileError):
            raise ForeignFileError(path) from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ForeignFileError(path)
    file = os.fdopen(descriptor, mode)
    if status.st_nlink > 1 and mode in ("r+b", "ab"):
        with file, open_regular(path, root=root) as shared:
            write_atomically(path, shared.read(), root=root)
        return open_regular(path, mode, root=root)
    return file


def read_bytes(path: Path, *, root: Path | None) -> bytes:
    """Return the content of a file; see `open_regular`."""
    with open_regular(path, root=root) as file:
        return file.read()


def is_regular(path: Path, *, root: Path) -> bool:
    """Return whether a regular file exists inside the root; see `open_regular`."""
    try:
        with open_regular(path, root=root):
            return True
    except ForeignFileError:
        return False
    except OSError as error:
        raise_resource_fault(error, str(path))  # a run is not unfinished because too many files are open
        return False


def create_file(path: Path, *, root: Path) -> IO[bytes]:
    """Create an empty file and open it for writing; a process that still writes to an older file of that name does not write to this one.

    Raises:
        OSError: As for `open`.
    """
    with _own_folder(path.parent, root) as folder, suppress(FileNotFoundError):
        os.unlink(path.name, dir_fd=folder)
    return open_regular(path, "xb", root=root)


@contextmanager
def translate_disk_errors(path: Path) -> Iterator[None]:
    """Translate an `OSError` into a `ResourceError` that names the file."""
    try:
        yield
    except ForeignFileError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ShortageError(f"{path}: no space left on the disk", "free some, and run the same command again", is_memory=False) from None
        if error.errno == errno.ENAMETOOLONG:
            raise ResourceError(f"{path}: the name is too long for the disk; give a shorter one") from None
        if error.errno == errno.ENOENT and not path.parent.is_dir():
            raise ResourceError(f"{path.parent}: the folder is gone; another program has removed or moved it") from None
        if error.errno not in (errno.EIO, errno.EINTR):
            raise_resource_fault(error, str(path))
        raise UnwritableError(f"{path}: cannot be written ({error.strerror or error})") from None


def write_atomically(path: Path, content: bytes | str, *, root: Path | None = None, is_new: bool = False) -> None:
    """Replace a file atomically, so that either the old or the new one exists at any moment; a link or pipe is replaced, not followed.

    Args:
        path: The file.
        content: Text is written as UTF-8.
        root: Folder that the file must be in; see `open_regular`. Its own folder by default, which is created if it is missing.
        is_new: The name was free when the command began, and a file that another program has written there since is not replaced.

    Raises:
        ResourceError: The disk is full, the folder is gone or cannot be written, or the file is not new; the old file is intact and no temporary file
            stays.
    """
    data = content.encode() if isinstance(content, str) else content
    with translate_disk_errors(path):
        if root is None:
            make_folders(path.parent)
        temporary, file = open_temporary(path, root=root or path.parent)
        try:
            with file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                note_file(path, file)
                if is_new:  # moved while the file is locked
                    move_to_free_name(temporary, path)
                else:
                    temporary.replace(path)
        except BaseException:
            with HeldSignals():
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def open_temporary(path: Path, *, root: Path) -> tuple[Path, IO[bytes]]:
    """Open an empty hidden file next to a path, whose place it may take.

    The file is locked while it is open, so that other processes choose another name. One that a killed process left is used again: no temporary file
    outlives the next write of the same file.

    Args:
        path: The file that is going to be written.
        root: Folder that it must be in; see `open_regular`.

    Returns:
        Its path, and the file open for writing.

    Raises:
        OSError: As for `open`.
    """
    for number in itertools.count():
        temporary = path.with_name(hidden_name(path.name, f".{number}{TEMPORARY_SUFFIX}" if number else TEMPORARY_SUFFIX))
        try:
            file = open_regular(temporary, "ab", root=root)
        except ForeignFileError:
            file = create_file(temporary, root=root)
        if acquire_new_lock(file, temporary) and is_at(file, temporary):  # else its writer has just moved it into place
            file.truncate(0)
            return temporary, file
        file.close()
    raise AssertionError


def hidden_name(name: str, suffix: str) -> str:
    """Return the name of a hidden file next to one with a name; the middle of a name that would be too long becomes its hash."""
    hidden = f".{name}{suffix}"
    if len(os.fsencode(hidden)) <= MAX_NAME_BYTES:
        return hidden
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}{suffix}"


def write_json(path: Path, value: Any, *, root: Path | None = None, is_new: bool = False) -> None:
    """Write indented JSON atomically; NaN raises `ValueError`. See `write_atomically`."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n", root=root, is_new=is_new)


def remove_temporary_files(folder: Path, *, root: Path | None = None) -> None:
    """Remove the temporary files that an interrupted `write_atomically` left in a folder.

    Raises:
        ResourceError: A link leads to the folder; see `open_regular`.
    """
    for path in list_files(folder, f".*{TEMPORARY_SUFFIX}", root=root or folder):
        path.unlink(missing_ok=True)


def list_files(folder: Path, pattern: str, *, root: Path) -> list[Path]:
    """Return the files in a folder whose names match a pattern, sorted; none if there is no such folder.

    Raises:
        ResourceError: A link leads to the folder; see `open_regular`.
    """
    with translate_disk_errors(folder):
        try:
            with _own_folder(folder, root):
                return sorted(folder.glob(pattern))
        except FileNotFoundError:
            return []


def sibling_path(path: Path, suffix: str) -> Path:
    """Return a path next to a file or folder, with its name and a suffix."""
    path = path if path.name not in ("", "..") else path.resolve()
    return path.parent / f"{path.name}{suffix}"


def ensure_folder(path: Path, *, root: Path | None = None) -> None:
    """Create a folder and its parents, and check that it can be written.

    Args:
        path: The folder.
        root: Existing folder that it must be in; see `open_regular`. None follows links.

    Raises:
        ResourceError: It cannot be created or written, or a link leads to it.
    """
    with translate_disk_errors(path):
        if root is None:
            make_folders(path)
        else:
            with _own_folder(path, root, create=True):
                pass
        probe, file = open_temporary(path / "probe", root=root or path)
        with file:
            probe.unlink(missing_ok=True)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for this process during the context; the system releases the lock however the process ends.

    Raises:
        ResourceError: Another process holds the lock.
    """
    with translate_disk_errors(folder):
        file = open_regular(folder / LOCK_FILE, "a+b", root=folder)
    with file:
        if not acquire_new_lock(file, folder / LOCK_FILE):
            time.sleep(LOCK_POLL_S)
            if not acquire_exclusive_lock(file, folder):
                raise ResourceError(f"{folder}: another process is working on it; wait for it, or choose another run")
        yield


def is_locked(folder: Path) -> bool:
    """Return whether a process holds a folder's lock now; a folder that was never locked, or cannot be read or locked, is not locked."""
    try:
        file = open_regular(folder / LOCK_FILE, root=folder)
    except OSError:
        return False
    with file, suppress(ResourceError):
        return not acquire_shared_lock(file, folder)  # the only test there is; closing the file releases the lock at once
    return False


@contextmanager
def _own_folder(folder: Path, root: Path, *, create: bool = False) -> Iterator[int]:
    """Open the root or a folder below it, following no symbolic link below the root.

    Yields:
        The folder's file descriptor.

    Raises:
        ForeignFileError: A symbolic link leads to the folder.
        OSError: As for `os.open`.
    """
    descriptor, current = os.open(root, _FOLDER_FLAGS & ~os.O_NOFOLLOW), root
    try:
        for part in folder.relative_to(root).parts:
            current /= part
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
                    note_folder(current)
            try:
                inner = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise ForeignFileError(current, "folder") from None
                raise
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)
