"""Curation by hand: the list of names that a person, looking at a contact sheet, wants left out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mitlgan.errors import DataError
from mitlgan.runtime.text_files import read_text

MAX_LIST_BYTES = 64_000_000


def read_names(*paths: Path, option: str = "--exclude") -> tuple[str, ...]:
    r"""Names of pictures, one a line, as contact sheets write them: a name's own line break or backslash is `\n` or `\\`.

    Raises:
        DataError: A file cannot be read.
    """
    return tuple(name for path in paths for name in _read(path, option))


def describe_unknown_names(names: Iterable[str], known: Iterable[str], option: str) -> list[str]:
    """In a sentence, or none, which names of a list by hand are no picture's: a list may be of another folder, or written otherwise."""
    unknown = sorted(set(names) - set(known))
    more = " and more" if len(unknown) > 3 else ""
    return [f"{len(unknown):,} named in {option}, and not in SRC: {', '.join(map(repr, unknown[:3]))}{more}"] if unknown else []


def _read(path: Path, option: str) -> list[str]:
    text = read_text(path, f"{option} {path}", DataError, MAX_LIST_BYTES)
    return [_unescaped(line) for line in text.split("\n") if line.strip()]


def escape_name(name: str) -> str:
    """A name on one line; `read_names` undoes it."""
    for sign, code in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r")):
        name = name.replace(sign, code)
    return name


def _unescaped(line: str) -> str:
    parts = line.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)
