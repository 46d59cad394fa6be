"""The files under a folder. Linked folders are followed within it, each once; no loop and no way out is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mitlgan.data.sources.leftovers import LeftoverFile
from mitlgan.data.sources.listing import is_hidden_name, printable_name
from mitlgan.data.sources.split_folders import split_of_name
from mitlgan.errors import DataError

LINK = "linked folder"
OUTSIDE = "leads out of the folder; put a copy there, or name the folder that it leads to"


@dataclass
class Tree:
    """What lies under a folder.

    Attributes:
        names: Of its files, relative to it, with slashes, sorted.
        left: Linked folders that are not followed.
        hidden: Number of files in hidden folders.
    """

    names: list[str] = field(default_factory=list)
    left: list[LeftoverFile] = field(default_factory=list)
    hidden: int = 0


class _Walk:
    """A walk under a folder.

    Args:
        top: The folder.
        refuse: Called with what cannot be listed.
    """

    def __init__(self, top: str, refuse: Callable[[OSError], None]) -> None:
        self.top, self.refuse = top, refuse
        self.roots = [os.path.realpath(top)]
        self.names: dict[str, list[str]] = {}  # of the files of a folder, by its real path
        self.hidden: list[tuple[str, str]] = []  # path and real path
        self.links: list[str] = []

    def visit(self, inside: str, real: str) -> None:
        """Take all files of a folder that no link stands before; links wait.

        Args:
            inside: The folder, relative to the top.
            real: Its real path.
        """
        start = os.path.join(self.top, inside) if inside else self.top  # noqa: PTH118  (of many files)
        for parent, folders, files in os.walk(start, onerror=self.refuse):
            below = parent[len(start) :].strip(os.sep)
            here = os.path.join(real, below) if below else real  # noqa: PTH118
            if here in self.names:
                folders.clear()
                continue
            relative = parent[len(self.top) :].lstrip(os.sep)
            self.names[here] = [os.path.join(relative, name) for name in files]  # noqa: PTH118
            linked = [name for name in folders if os.path.islink(os.path.join(parent, name))]  # noqa: PTH114, PTH118
            self.links += [os.path.join(relative, name) for name in linked]  # noqa: PTH118
            self.hidden += [(os.path.join(parent, name), os.path.join(here, name)) for name in folders if is_hidden_name(name) and name not in linked]  # noqa: PTH118
            folders[:] = [name for name in folders if name not in linked and not is_hidden_name(name)]

    def follow(self, link: str) -> LeftoverFile | None:
        """Follow a linked folder, or say why not. A split's folder at the top may lie elsewhere, as sets are divided by links."""
        target = os.path.realpath(os.path.join(self.top, link))  # noqa: PTH118
        if os.sep not in link and split_of_name(link) and not _within(self.roots[0], target) and not _within(target, self.roots[0]):
            self.roots.append(target)
        if not any(_within(root, target) for root in self.roots):
            return LeftoverFile(printable_name(link), OUTSIDE, LINK)
        if target in self.names:
            return LeftoverFile(printable_name(link), f"leads to {_shown(target, self.roots[0])}, which is taken already", LINK)
        self.visit(link, target)
        return None


def walk(folder: Path, option: str) -> Tree:
    """All files under a folder, with those of linked folders that nothing else leads to.

    Args:
        folder: Its hidden folders are not looked into, unless a link leads there.
        option: How an error names it.

    Raises:
        DataError: A folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{option} {error.filename}: cannot be listed ({error.strerror}); give the rights to read it, or move it out of the folder")

    walked, tree = _Walk(str(folder), refuse), Tree()
    walked.visit("", walked.roots[0])
    while walked.links:
        waiting, walked.links = sorted(walked.links), []
        for link in waiting:
            if is_hidden_name(os.path.basename(link)):  # noqa: PTH119
                tree.hidden += 1
            elif left := walked.follow(link):
                tree.left.append(left)
    tree.names = sorted(name for names in walked.names.values() for name in names)
    tree.hidden += sum(_count(path, real, walked.names) for path, real in walked.hidden)
    return tree


def _count(path: str, real: str, taken: dict[str, list[str]]) -> int:
    """Files in a hidden folder, but for those that a link brought in; what cannot be listed is not missed."""
    count = 0
    for parent, folders, files in os.walk(path):
        linked = sum(os.path.islink(os.path.join(parent, name)) for name in folders)  # noqa: PTH114, PTH118
        below = parent[len(path) :].strip(os.sep)
        count += 0 if (os.path.join(real, below) if below else real) in taken else len(files) + linked  # noqa: PTH118
    return count


def _within(root: str, path: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _shown(target: str, root: str) -> str:
    return repr(printable_name(os.path.relpath(target, root))) if target != root and _within(root, target) else "a folder around it"
