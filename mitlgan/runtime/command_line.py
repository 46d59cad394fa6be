"""Commands of this program in messages and reports, which a user copies into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path


def command_line(words: Sequence[str | Path]) -> str:
    """Return a command as a user would type it, each word quoted where a shell needs it; `words` begin after `mitlgan`."""
    return shlex.join(["mitlgan", *map(str, words)])


def option_words(options: Iterable[tuple[str, object]]) -> list[str]:
    """Return the words of options and their values; an option whose value is None is left out."""
    return [word for option, value in options if value is not None for word in (option, str(value))]
