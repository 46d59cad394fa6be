"""What the cache holds, by kind, and how it is cleared: only files that this package writes are counted and removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mitlgan.runtime.files import translate_disk_errors

KINDS = {
    "packs": ("*.npy", "*.json", "*.sources", ".*.part"),
    "features": ("features/*",),
    "measurements": ("measured/*",),
    "layers": ("layers/*/*",),
}
"""Kinds of content, and the files of each."""


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
    for name, patterns in KINDS.items():
        files = tuple(sorted(_regular_files(folder, patterns)))
        if files:
            kinds.append(CacheKind(name, files, sum(path.lstat().st_size for path in files)))
    return kinds


def clear_cache(folder: Path) -> list[CacheKind]:
    """Remove what a cache holds; other files in its folder stay. What is needed again is made again.

    Returns:
        What was removed.

    Raises:
        ResourceError: A file cannot be removed.
    """
    kinds = list_cache(folder)
    for kind in kinds:
        for path in kind.files:
            with translate_disk_errors(path):
                path.unlink(missing_ok=True)
    return kinds


def _regular_files(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from (path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink())
