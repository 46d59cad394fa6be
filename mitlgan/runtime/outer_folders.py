"""The folders around a path, both as it is named and where links lead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

MAX_HEIGHT = 8
"""Folders around runs in which a relative path is looked for, at most: runs may be as deep as `--out` says."""


def both_names(path: Path) -> tuple[Path, Path]:
    """Return a path in full as it is named, and where links lead."""
    return Path(os.path.normpath(path.absolute())), path.resolve()


def by_height(chains: Iterable[Sequence[Path]]) -> tuple[Path, ...]:
    """Return the folders of several chains, each from the inside out, in one order, each once and with its links followed."""
    heights = dict[Path, int]()
    for chain in chains:
        for height, folder in enumerate(chain):
            resolved = folder.resolve()
            heights[resolved] = min(height, heights.get(resolved, height))
    return tuple(sorted(heights, key=lambda folder: heights[folder]))


def folders_around_runs(root: Path) -> tuple[Path, ...]:
    """Return the folder of runs and those around it, the nearest first."""
    return by_height((name, *name.parents) for name in both_names(root))


def searched_folders(around: Sequence[Path]) -> list[Path]:
    """Return those of the folders around runs, nearest first, in which a relative path is looked for."""
    return [folder for folder in around[:MAX_HEIGHT] if folder != folder.parent]  # not "/": what is there is seldom meant, and may be large
