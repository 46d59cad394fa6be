"""Lists the files under a folder; linked folders are followed inside it, each once."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from mitlgan.data.sources.file_classifier import is_hidden_name, printable_name
from mitlgan.data.sources.leftovers import LeftoverFile
from mitlgan.data.sources.split_folders import split_of_name
from mitlgan.errors import DataError

LINK = "linked folder"
OUTSIDE = "leads out of the folder; put a copy there, or name the folder that it leads to"


class FolderTree:
    """The files under a folder, with those of linked folders inside it.

    Hidden folders are skipped, unless a link leads there.

    Args:
        folder: The folder.
        option: How an error names it.

    Attributes:
        names: Names of the files, relative to the folder, with slashes, sorted.
        leftovers: Linked folders that are not followed.
        hidden_count: Number of files in hidden folders.

    Raises:
        DataError: A folder cannot be listed.
    """

    def __init__(self, folder: Path, option: str) -> None:
        self._top, self._option = str(folder), option
        self._roots = [os.path.realpath(folder)]
        self._files: dict[str, list[str]] = {}  # by the real path of their folder
        self._hidden: list[tuple[str, str]] = []  # path and real path
        self._links: list[str] = []
        self.leftovers: list[LeftoverFile] = []
        self.hidden_count = 0
        self._add("", self._roots[0])
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                if is_hidden_name(os.path.basename(link)):  # noqa: PTH119
                    self.hidden_count += 1
                else:
                    self._follow(link)
        self.names = sorted(name for names in self._files.values() for name in names)
        self.hidden_count += sum(self._count_hidden(path, real) for path, real in self._hidden)

    def link_reason(self, name: str) -> str:
        """Return where a file that is a link leads, and what to do: links to files are not followed; empty for any other file."""
        path = os.path.join(self._top, name)  # noqa: PTH118  (of many files)
        if not os.path.islink(path):  # noqa: PTH114
            return ""
        target = os.path.realpath(path)
        if not os.path.lexists(target) or os.path.islink(target):  # noqa: PTH114
            return "leads nowhere; put the file itself there, or remove the link"
        if target in self._real_paths:
            return f"leads to {printable_name(os.path.relpath(target, self._roots[0]))!r}, which is in the folder already"
        return "leads to a file elsewhere; put a copy there"

    @cached_property
    def _real_paths(self) -> frozenset[str]:
        """The real paths of all files but hidden ones."""
        named = ((folder, os.path.basename(name)) for folder, names in self._files.items() for name in names)  # noqa: PTH119
        return frozenset(os.path.join(folder, name) for folder, name in named if not is_hidden_name(name))  # noqa: PTH118

    def _refuse(self, error: OSError) -> None:
        raise DataError(
            f"{self._option} {error.filename}: cannot be listed ({error.strerror}); give the rights to read it, or move it out of the folder"
        )

    def _add(self, inside: str, real: str) -> None:
        """Add the files under a folder; its links are kept for later.

        Args:
            inside: The folder, relative to the top.
            real: Its real path.
        """
        start = os.path.join(self._top, inside) if inside else self._top  # noqa: PTH118  (of many files)
        for parent, folders, files in os.walk(start, onerror=self._refuse):
            below = parent[len(start) :].strip(os.sep)
            here = os.path.join(real, below) if below else real  # noqa: PTH118
            if here in self._files:
                folders.clear()
                continue
            relative = parent[len(self._top) :].lstrip(os.sep)
            self._files[here] = [os.path.join(relative, name) for name in files]  # noqa: PTH118
            links = [name for name in folders if os.path.islink(os.path.join(parent, name))]  # noqa: PTH114, PTH118
            self._links += [os.path.join(relative, name) for name in links]  # noqa: PTH118
            own = [name for name in folders if name not in links]
            self._hidden += [(os.path.join(parent, name), os.path.join(here, name)) for name in own if is_hidden_name(name)]  # noqa: PTH118
            folders[:] = [name for name in own if not is_hidden_name(name)]

    def _follow(self, link: str) -> None:
        """Add the files of a linked folder, or leave it out; a split's folder, at the top, may be elsewhere."""
        target = os.path.realpath(os.path.join(self._top, link))  # noqa: PTH118
        root = self._roots[0]
        if os.sep not in link and split_of_name(link) and not _is_within(root, target) and not _is_within(target, root):
            self._roots.append(target)
        if not any(_is_within(root, target) for root in self._roots):
            self.leftovers.append(LeftoverFile(printable_name(link), OUTSIDE, LINK))
        elif target in self._files:
            is_inside = target != root and _is_within(root, target)
            where = repr(printable_name(os.path.relpath(target, root))) if is_inside else "a folder around it"
            self.leftovers.append(LeftoverFile(printable_name(link), f"leads to {where}, which is taken already", LINK))
        else:
            self._add(link, target)

    def _count_hidden(self, path: str, real: str) -> int:
        """Count the files in a hidden folder that no link brought in; folders that cannot be listed count as empty."""
        count = 0
        for parent, folders, files in os.walk(path):
            links = sum(os.path.islink(os.path.join(parent, name)) for name in folders)  # noqa: PTH114, PTH118
            below = parent[len(path) :].strip(os.sep)
            is_listed = (os.path.join(real, below) if below else real) in self._files  # noqa: PTH118
            count += 0 if is_listed else len(files) + links
        return count


def _is_within(root: str, path: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
