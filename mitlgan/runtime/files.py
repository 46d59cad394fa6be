"""Files that are whole or absent, and a folder's own: atomic replacement, locks, no links or pipes, and disk errors in one line."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from mitlgan.errors import ResourceError

TEMPORARY_SUFFIX = ".tmp"
LOCK_FILE = ".lock"
LOCK_POLL_S = 0.05  # longer than `is_locked` holds what it looks at
Mode = Literal["rb", "r+b", "ab", "xb", "a+b"]
_FLAGS: dict[Mode, int] = {
    "rb": os.O_RDONLY, "r+b": os.O_RDWR, "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND, "xb": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "a+b": os.O_RDWR | os.O_CREAT | os.O_APPEND,
}  # fmt: skip
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ForeignFileError(ResourceError, OSError):
    """A symbolic link, pipe, device or folder where a folder's own file should be, or a link in place of a folder."""

    def __init__(self, path: Path, expected: str = "regular file") -> None:
        what = "is a symbolic link" if path.is_symlink() else f"is no {expected}"
        reason = f"{what}, and what lies in a run must be the run's own; put a copy in its place, or remove it"
        super().__init__(f"{path}: {reason}")
        self.strerror = reason  # as every other OSError has it


def open_regular(path: Path, mode: Mode = "rb", *, root: Path | None) -> IO[bytes]:
    """Open a file, if it is a regular one: a pipe or a device in its place is never waited for.

    A file that is changed in place gets its own content first where it shares that with other names (hard links).

    Args:
        path: The file.
        mode: As `open` has it.
        root: Folder whose own the file must be, such as a run: nothing below it may be a symbolic link. None follows links.

    Raises:
        ForeignFileError: It is something else.
        OSError: As `open`.
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
    """The content of a file; see `open_regular`."""
    with open_regular(path, root=root) as file:
        return file.read()


def is_regular(path: Path, *, root: Path) -> bool:
    """Whether a file is there, and the folder's own; see `open_regular`."""
    try:
        with open_regular(path, root=root):
            return True
    except OSError:
        return False


def create_file(path: Path, *, root: Path) -> IO[bytes]:
    """Open an empty file for writing. What had its name before goes on under none: whoever still writes into that does not write into this.

    Raises:
        OSError: As `open`.
    """
    with _own_folder(path.parent, root) as folder, suppress(FileNotFoundError):
        os.unlink(path.name, dir_fd=folder)
    return open_regular(path, "xb", root=root)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a disk can refuse into a `ResourceError` that names the file (exit code 5)."""
    try:
        yield
    except ForeignFileError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"{path}: no space left on the disk; free some and run `mitlgan resume`") from None
        raise ResourceError(f"{path}: cannot be written ({error.strerror or error}); choose another place with --out") from None


def write_atomically(path: Path, content: bytes | str, *, root: Path | None = None) -> None:
    """Replace a file as a whole: at any moment the old or the new one is there. A link or pipe of its name is replaced, too, not followed.

    Args:
        path: The file.
        content: Text is written as UTF-8.
        root: Folder whose own the file must be; see `open_regular`. None: that which it lies in.

    Raises:
        ResourceError: The disk is full or the folder not writable; the old file is intact and no temporary one stays.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with disk_errors(path):
        try:
            with create_file(temporary, root=root or path.parent) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


def write_json(path: Path, value: Any, *, root: Path | None = None) -> None:
    """Atomically write indented JSON (NaN is refused); see `write_atomically`."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n", root=root)


def remove_temporary_files(folder: Path, *, root: Path | None = None) -> None:
    """Remove what an interrupted `write_atomically` may have left in a folder.

    Raises:
        ResourceError: The folder is not the root's own; see `open_regular`.
    """
    for path in list_files(folder, f".*{TEMPORARY_SUFFIX}", root=root or folder):
        path.unlink(missing_ok=True)


def list_files(folder: Path, pattern: str, *, root: Path) -> list[Path]:
    """What lies in a folder, if that is there, under names of a pattern; sorted.

    Raises:
        ResourceError: The folder is not the root's own; see `open_regular`.
    """
    with disk_errors(folder):
        try:
            with _own_folder(folder, root):
                return sorted(folder.glob(pattern))
        except FileNotFoundError:
            return []


def sibling_path(path: Path, ending: str) -> Path:
    """What is called as a file or folder is, with an ending, and lies where it lies: an overview of pictures is not one of them."""
    named = path if path.name not in ("", "..") else path.resolve()
    return named.parent / f"{named.name}{ending}"


def ensure_folder(path: Path, *, root: Path | None = None) -> None:
    """Create a folder and its parents, and see that it can be written.

    Args:
        path: The folder.
        root: Folder, which is there already, whose own it must be; see `open_regular`. None follows links.

    Raises:
        ResourceError: It cannot, or is not the root's own.
    """
    with disk_errors(path):
        if root is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            with _own_folder(path, root, create=True):
                pass
        probe = path / f".probe.{os.getpid()}{TEMPORARY_SUFFIX}"
        probe.touch()
        probe.unlink()


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it however the process ends.

    Raises:
        ResourceError: Another process holds it.
    """
    with disk_errors(folder):
        file = open_regular(folder / LOCK_FILE, "a+b", root=folder)
    with file:
        if not _acquire_lock(file.fileno(), fcntl.LOCK_EX):
            time.sleep(LOCK_POLL_S)
            if not _acquire_lock(file.fileno(), fcntl.LOCK_EX):
                raise ResourceError(f"{folder}: another process is working on it; wait for it or choose another run")
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder now. What nobody has held yet, or may not be looked at, is not locked."""
    try:
        file = open_regular(folder / LOCK_FILE, root=folder)
    except OSError:
        return False
    with file:
        return not _acquire_lock(file.fileno(), fcntl.LOCK_SH)  # there is no other way to see it, and closing lets go at once


def _acquire_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _own_folder(folder: Path, root: Path, *, create: bool = False) -> Iterator[int]:
    """A descriptor of the root or of a folder below it, to which no symbolic link leads from there.

    Raises:
        ForeignFileError: One does.
        OSError: As `open`.
    """
    descriptor, reached = os.open(root, _FOLDER & ~os.O_NOFOLLOW), root
    try:
        for part in folder.relative_to(root).parts:
            reached /= part
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            try:
                inner = os.open(part, _FOLDER, dir_fd=descriptor)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise ForeignFileError(reached, "folder") from None
                raise
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
