"""What the cache holds, by kind, and how it is cleared: only files that this package writes are counted and removed."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mitlgan.data.pack.verification import VERIFIED_FOLDER
from mitlgan.runtime.file_locks import remove_abandoned
from mitlgan.runtime.files import translate_disk_errors

MAX_DEPTH = 3
"""Levels of files below the cache's folder."""
_KEY = r"(?:[0-9a-f]{24}|[0-9a-f]{12})"
KINDS = {
    "packs": rf"[^/]+-{_KEY}\.(?:npy|json|sources)|\.[^/]+-{_KEY}\.(?:npy|json|sources)\.[0-9a-z]+\.part",
    "verified packs": rf"{VERIFIED_FOLDER}/\.?[0-9a-f]{{64}}[^/]*",
    "features": r"features/\.?[0-9a-f]{32}\.npy[^/]*",
    "measurements": r"measured/\.?[0-9a-f]{32}\.json[^/]*",
    "layers": r"layers/[0-9a-f]{32}-[0-9a-f]{16}/[^/]+",
}
"""Kinds of content, and the names of its files, which end in hashes: a user's own packs and layers may be in the folder as well."""


@dataclass(frozen=True)
class CacheKind:
    """Content of one kind.

    Attributes:
        name: A key of `KINDS`.
        files: Its files.
        size_bytes: Of all.
    """

    name: str
    files: tuple[Path, ...]
    size_bytes: int


def list_cache(folder: Path) -> list[CacheKind]:
    """Return what a cache holds, each kind that there is."""
    kinds = []
    names = [path.relative_to(folder).as_posix() for depth in range(MAX_DEPTH) for path in folder.glob("*/" * depth + "*")]
    for kind, pattern in KINDS.items():
        files = tuple(path for name in sorted(names) if re.fullmatch(pattern, name, re.DOTALL) and _is_own_file(path := folder / name))
        if files:
            kinds.append(CacheKind(kind, files, sum(path.lstat().st_size for path in files)))
    return kinds


def clear_cache(folder: Path) -> list[CacheKind]:
    """Remove what a cache holds; other files in its folder stay, and those that another process writes now. What is needed again is made again.

    Returns:
        What was removed.

    Raises:
        ResourceError: A file cannot be removed.
    """
    cleared = []
    for kind in list_cache(folder):
        sizes = dict[Path, int]()
        for path in kind.files:
            with translate_disk_errors(path), suppress(FileNotFoundError):
                size = path.lstat().st_size
                if _is_temporary(path) and not remove_abandoned(path):
                    continue
                path.unlink(missing_ok=True)
                sizes[path] = size
        if sizes:
            cleared.append(CacheKind(kind.name, tuple(sizes), sum(sizes.values())))
    return cleared


def _is_temporary(path: Path) -> bool:
    """Return whether a file may be one that a process writes now, and holds locked meanwhile."""
    return path.name.startswith(".")


def _is_own_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
