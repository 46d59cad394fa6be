"""Sentences about the pictures of a pack: notes, in one line for each kind, and transparency that was not kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from PIL import ImageColor


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


def describe_lost_transparency(count: int, total: int, backdrop: tuple[int, int, int], command: str) -> list[str]:
    """Return in one line how many pictures have transparency that is not kept; none if there are none.

    Args:
        count: Pictures that were composited on the backdrop.
        total: All pictures.
        backdrop: Red, green, blue, 0 to 255.
        command: Which has `--keep-alpha`, the way out.
    """
    if not count:
        return []
    name = next((name for name in ("white", "black") if ImageColor.getrgb(name) == backdrop), "#{:02x}{:02x}{:02x}".format(*backdrop))
    how = f"is not kept but laid on {name}; `mitlgan data {command} --keep-alpha` keeps it as a fourth channel"
    return [f"the transparency of {count:,} of {total:,} pictures {how}"]
