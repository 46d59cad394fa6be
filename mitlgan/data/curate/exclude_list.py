"""Reads lists of picture names, such as those that a person excludes after looking at a contact sheet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mitlgan.errors import DataError
from mitlgan.runtime.text_files import read_text

MAX_LIST_BYTES = 64_000_000


def read_names(*paths: Path, option: str = "--exclude") -> tuple[str, ...]:
    r"""Return names of pictures, one a line, as contact sheets write them: a line break or backslash in a name is `\n` or `\\`.

    Raises:
        DataError: A file cannot be read.
    """
    texts = [read_text(path, f"{option} {path}", DataError, MAX_LIST_BYTES) for path in paths]
    return tuple(_unescape_name(line) for text in texts for line in text.split("\n") if line.strip())


def describe_unknown_names(names: Iterable[str], existing: Iterable[str], option: str) -> list[str]:
    """Return in a sentence, or none, which names in a list are no picture's: the list may belong to another folder."""
    unknown = sorted(set(names) - set(existing))
    more = " and more" if len(unknown) > 3 else ""
    return [f"{len(unknown):,} named in {option}, and not in SRC: {', '.join(map(repr, unknown[:3]))}{more}"] if unknown else []


def escape_name(name: str) -> str:
    """Write a name on one line; `read_names` reverses it."""
    for sign, code in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r")):
        name = name.replace(sign, code)
    return name


def _unescape_name(line: str) -> str:
    parts = line.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)
