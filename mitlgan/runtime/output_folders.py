"""Folders that work fills: it begins in empty ones, so that it is never mixed with other files, nor overwrites one."""

from __future__ import annotations

import os
from pathlib import Path

from mitlgan.errors import UsageError
from mitlgan.runtime.files import ensure_folder, translate_disk_errors, write_atomically

OTHER_PROGRAMS_FILES = ("Thumbs.db", "desktop.ini")
"""What file managers put into any folder, next to hidden files."""
OTHER_PROGRAMS_FOLDERS = (
    "__MACOSX", "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN", "System Volume Information", "lost+found",
)  # fmt: skip
"""In which systems and network drives keep thumbnails, deleted files and parts of files, next to hidden folders; in capitals or not."""
_LOWER_FILES = frozenset(map(str.lower, OTHER_PROGRAMS_FILES))
_LOWER_FOLDERS = frozenset(map(str.lower, OTHER_PROGRAMS_FOLDERS))
_OLD_BIN = "RECYCLER"
"""Of earlier versions of Windows, in capitals: in small letters it is a word that a folder of pictures may have as its name."""


def is_other_programs_folder(name: str) -> bool:
    """Whether a folder is one of `OTHER_PROGRAMS_FOLDERS` by its name, which Windows spells `$Recycle.Bin`, too."""
    return name == _OLD_BIN or name.lower() in _LOWER_FOLDERS


def find_visible_file(folder: Path) -> Path | None:
    """Return a file or link in a folder, or in a folder inside it, as a person sees it; None if there is none, or no such folder.

    Hidden files and those of other programs (`.DS_Store`, `.gitkeep`, `Thumbs.db`, `@eaDir/`) do not count, nor do empty folders.

    Raises:
        ResourceError: The folder cannot be read.
    """
    with translate_disk_errors(folder):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else []
    inner = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in _LOWER_FILES or is_other_programs_folder(entry.name):
            continue
        if not entry.is_dir(follow_symlinks=False):
            return folder / entry.name
        inner.append(folder / entry.name)
    return next((path for path in map(find_visible_file, inner) if path is not None), None)


def require_empty_folder(folder: Path, option: str) -> None:
    """Refuse to begin work in a folder of other things, which would be mixed with it or overwritten; see `find_visible_file`.

    Raises:
        UsageError: It holds a file; the message begins with the option.
        ResourceError: It cannot be read.
    """
    other = find_visible_file(folder)
    if other is not None:
        name = other.relative_to(folder)
        raise UsageError(f"{option} {folder}: holds other files, such as {name}, and no work of an earlier call; give a new or empty folder")


def write_unless_other(path: Path, content: bytes, option: str, *, root: Path | None = None) -> None:
    """Write a file that a stopped call may have written already; refuse one of another content in its place.

    An empty file is one that a killed call was going to fill, see `move_to_free_name`; it is written over.

    `root` is the folder of the work, which is not made again if it is gone; see `write_atomically`.

    Raises:
        UsageError: There is another file; the message begins with the option.
        ResourceError: As of `write_atomically`.
    """
    if os.path.lexists(path):
        written = path.read_bytes() if path.is_file() else None
        if written == content:
            return
        if written != b"" or path.is_symlink():
            raise UsageError(f"{option} {path}: is another file than the one that is to be written there; move it away, or give another folder")
        path.unlink()
    write_atomically(path, content, root=root, is_new=True)


def require_writable(path: Path) -> None:
    """Check, before the work that makes a file, that its folder, or the nearest one above it that exists, can be written; see `ensure_folder`."""
    with translate_disk_errors(path):
        ensure_folder(next(folder for folder in path.absolute().parents if folder.exists()))
