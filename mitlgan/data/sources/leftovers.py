"""What of a source is not taken: every file is a picture, a picture's matte, left out by name with a reason, or counted as another file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from mitlgan.errors import to_one_line

MAX_NAMES = 3  # that a message lists
BESIDE = "picture beside the split folders"
"""The kind of pictures that are in no split."""


@dataclass(frozen=True)
class LeftoverFile:
    """A file, or a linked folder, that is not taken.

    Attributes:
        name: Relative to the source, printable.
        reason: Why, and how to get it in.
        kind: What it is counted as: the ending of its name, `link`, `matte`.
    """

    name: str
    reason: str
    kind: str


@dataclass(frozen=True)
class Leftovers:
    """All that is not taken.

    Attributes:
        named: What may be missed.
        others: Files that are no pictures, by the endings of their names.
        hidden: Files whose names, or whose folders' names, begin with a dot; thumbnails' caches of other systems.
        remarks: What else was decided of the whole source, in sentences.
    """

    named: tuple[LeftoverFile, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    hidden: int = 0
    remarks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.named or self.others or self.hidden or self.remarks)

    def extended(self, named: Sequence[LeftoverFile] = (), remarks: Sequence[str] = ()) -> Self:
        """The same, and more."""
        return replace(self, named=(*self.named, *named), remarks=(*self.remarks, *remarks))

    def skipped(self) -> list[dict[str, str]]:
        """Name and reason of each, as a manifest lists what it skipped."""
        return [{"name": one.name, "reason": one.reason} for one in self.named]

    def to_json(self) -> dict[str, Any]:
        """For a manifest and for JSON: counts by kind and reason, other and hidden files, remarks."""
        counts = Counter((one.kind, one.reason) for one in self.named)
        names: dict[tuple[str, str], list[str]] = {}
        for one in self.named:
            some = names.setdefault((one.kind, one.reason), [])
            if len(some) < MAX_NAMES:
                some.append(one.name)
        left_out = [{"kind": kind, "reason": reason, "count": count, "names": names[kind, reason]} for (kind, reason), count in sorted(counts.items())]
        return {"left_out": left_out, "others": dict(sorted(self.others.items())), "hidden": self.hidden, "remarks": list(self.remarks)}

    def describe(self, *, quiet: bool = True) -> list[str]:
        """The same in words; see `leftover_lines`."""
        return describe_leftovers(self.to_json(), quiet=quiet)


def describe_leftovers(plain: Mapping[str, Any], *, quiet: bool = True) -> list[str]:
    """What `Leftovers.plain` holds, in lines for people.

    Args:
        plain: As a manifest has it; empty, or of an earlier version, it gives no line.
        quiet: Also count other and hidden files, which nobody misses.
    """
    lines = []
    for group in plain.get("left_out", ()):
        if group["kind"] == BESIDE and not quiet:
            continue  # is told with the splits
        names = [*group["names"], *(["..."] if group["count"] > len(group["names"]) else [])]
        lines.append(f"{group['count']:,} {group['kind']} left out: {group['reason']} ({', '.join(names)})")
    lines += plain.get("remarks", ())
    others, hidden = plain.get("others", {}), plain.get("hidden", 0)
    counted = [f"{sum(others.values()):,} other files ({', '.join(f'{count:,} {kind}' for kind, count in others.items())})"] if others else []
    counted += [f"{hidden:,} hidden"] if hidden else []
    return [to_one_line(line) for line in [*lines, *([", ".join(counted)] if counted and quiet else [])]]
