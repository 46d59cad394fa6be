"""What a user should know of pictures that were taken: in one line for each kind, however many they are."""

from __future__ import annotations

from collections.abc import Iterable


def summarize_notes(notes: Iterable[tuple[str, str]]) -> list[str]:
    """How many pictures each note is of, and which is the first.

    Args:
        notes: Name of a picture, and what is to be said of it; empty for nothing.
    """
    first: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, text in notes:
        if text:
            first.setdefault(text, name)
            counts[text] = counts.get(text, 0) + 1
    return [f"{count:,} picture{'s' if count > 1 else ''}, the first {first[text]!r}: {text}" for text, count in counts.items()]
