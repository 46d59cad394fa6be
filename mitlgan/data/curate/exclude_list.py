"""Reads lists of picture names, such as those that a person excludes after looking at a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitlgan.errors import DataError
from mitlgan.runtime.text_files import read_text

MAX_LIST_BYTES = 64_000_000
MAX_RECORD_BYTES = 500_000_000
RECORD_SUFFIX = ".json"


def read_names(*paths: Path, option: str = "--exclude") -> tuple[str, ...]:
    r"""Return names of pictures, one a line, as contact sheets write them: a line break or backslash in a name is `\n` or `\\`.

    Of what `data split` or `prepare` recorded (`.json`), the names that were given to the same option are taken.

    Raises:
        DataError: A file cannot be read, or is another record.
    """
    names: list[str] = []
    for path in paths:
        is_record = path.suffix == RECORD_SUFFIX
        text = read_text(path, f"{option} {path}", DataError, MAX_RECORD_BYTES if is_record else MAX_LIST_BYTES)
        record = _parse_record(text) if is_record else None
        names += map(_unescape_name, filter(str.strip, text.split("\n"))) if record is None else _recorded_names(record, path, option)
    return tuple(names)


def _parse_record(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a file holds; None if it is a list of names."""
    with suppress(ValueError, RecursionError):
        record = json.loads(text)
        return record if isinstance(record, dict) else None
    return None


def _recorded_names(record: dict[str, Any], path: Path, option: str) -> list[str]:
    try:
        choices = record["choices"] if record["made_by"]["work"] == "split" else record["made_by"]["settings"]
        return [str(name) for name in choices[option.removeprefix("--")]]
    except (KeyError, TypeError):
        raise DataError(f"{option} {path}: neither a list of names, one a line, nor a split.json or prepared.json that has them") from None


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
