"""Summarizes notes about pictures, in one line for each kind of note."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


def summarize_notes(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Return how many pictures each note is about, and which is the first.

    Args:
        notes: Name of a picture, and a note about it, which may be empty.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for name, note in notes:
        if note:
            names[note].append(name)
    return [f"{len(group):,} picture{'s' if len(group) > 1 else ''}, the first {group[0]!r}: {note}" for note, group in names.items()]
