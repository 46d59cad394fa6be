"""Lists of pictures in a text file: one path a line, relative to the list's own folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mitlgan.data.sources.entry import ImageEntry, file_entries
from mitlgan.data.sources.file_classifier import is_matte_name, printable_name
from mitlgan.data.sources.leftovers import LeftoverFile
from mitlgan.errors import DataError
from mitlgan.runtime.text_files import read_text

LIST_SUFFIXES = (".txt", ".lst")
MAX_LIST_BYTES = 1_000_000_000


def read_path_list(path: Path, option: str) -> tuple[tuple[ImageEntry, ...], list[LeftoverFile]]:
    """Return the files that a list names, whatever their suffix, each once, and the lines that are left out.

    Mattes in the list belong to the pictures next to them.

    Raises:
        DataError: The list cannot be read.
    """
    text = read_text(path, f"{option} {path}", DataError, MAX_LIST_BYTES, has_file_names=True)
    lines, repeats = _drop_repeats([_native_path(line.strip(), path.parent) for line in text.split("\n") if line.strip()], path.parent)
    entries = file_entries(path.parent, [line for line in lines if not is_matte_name(line)])
    mattes = {entry.matte.file for entry in entries if entry.matte is not None}
    orphans = [line for line in lines if is_matte_name(line) and str(path.parent / line) not in mattes]
    return entries, repeats + [LeftoverFile(printable_name(line), "its picture is not in the list", "matte") for line in orphans]


def _drop_repeats(lines: Sequence[str], folder: Path) -> tuple[list[str], list[LeftoverFile]]:
    """Separate the lines that name a file again, in the same spelling or another (`./a.png`, an absolute path)."""
    real_parents: dict[str, str] = {}
    first: dict[str, str] = {}
    repeats: list[LeftoverFile] = []
    for line in lines:
        parent, base = os.path.split(folder / line)
        if parent not in real_parents:
            real_parents[parent] = os.path.realpath(parent)
        file = os.path.join(real_parents[parent], base)  # noqa: PTH118  (of many files)
        if file in first:
            repeats.append(LeftoverFile(printable_name(line), f"the list names it already, as {printable_name(first[file])!r}", "line of the list"))
        else:
            first[file] = line
    return list(first.values()), repeats


def _native_path(line: str, folder: Path) -> str:
    """Return a path as this system writes it: a list made on Windows has backslashes, unless a file has that very name."""
    if "\\" not in line or os.sep == "\\" or os.path.lexists(folder / line):
        return line
    return line.replace("\\", "/")
