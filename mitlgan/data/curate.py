"""Curation by hand: the list of names that a person, looking at a contact sheet, wants left out."""

from __future__ import annotations

from pathlib import Path

from mitlgan.errors import DataError

LARGEST_BYTES = 64_000_000


def read_names(*paths: Path) -> tuple[str, ...]:
    r"""Names of pictures, one a line, as contact sheets write them: a name's own line break or backslash is `\n` or `\\`.

    Raises:
        DataError: A file cannot be read.
    """
    return tuple(name for path in paths for name in _read(path))


def _read(path: Path) -> list[str]:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise DataError(f"--exclude {path}: {path.stat().st_size} bytes; a list of names is smaller")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--exclude {path}: cannot be read as a list of names ({error.__class__.__name__}); give one name a line, in UTF-8") from None
    return [_unescaped(line) for line in text.split("\n") if line.strip()]


def escaped(name: str) -> str:
    """A name on one line; `read_names` undoes it."""
    for sign, code in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r")):
        name = name.replace(sign, code)
    return name


def _unescaped(line: str) -> str:
    parts = line.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)
