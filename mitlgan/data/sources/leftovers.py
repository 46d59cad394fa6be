"""Files of a source that are not used: left out by name with a reason, or counted by kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from mitlgan.errors import to_one_line

MAX_NAMES = 3
"""File names that a message lists."""
UNASSIGNED = "picture beside the split folders"
"""Kind of the pictures that are in no split."""
_PLURALS = {
    UNASSIGNED: "pictures beside the split folders", "mask of another picture": "masks of other pictures", "matte": "mattes", "member": "members",
    "line of the list": "lines of the list", "linked folder": "linked folders", "linked file": "linked files",
}  # fmt: skip


@dataclass(frozen=True)
class LeftoverFile:
    """A file, or a linked folder, that is not used.

    Attributes:
        name: Path relative to the source, printable.
        reason: Why, and how to include it.
        kind: What it is counted as: its suffix, `matte`, `linked folder`, `linked file`, ...
    """

    name: str
    reason: str
    kind: str


@dataclass(frozen=True)
class Leftovers:
    """All files of a source that are not used.

    Attributes:
        named: Files that a user may miss.
        others: Number of files that are no pictures, by suffix.
        hidden: Number of hidden files and files in hidden folders.
        remarks: Other decisions about the whole source, in sentences.
    """

    named: tuple[LeftoverFile, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    hidden: int = 0
    remarks: tuple[str, ...] = ()

    def extended(self, named: Sequence[LeftoverFile] = (), remarks: Sequence[str] = ()) -> Self:
        """Return a copy with more files and remarks."""
        return replace(self, named=(*self.named, *named), remarks=(*self.remarks, *remarks))

    def skipped(self) -> list[dict[str, str]]:
        """Return name and reason of each file, as a manifest's `skipped` lists them."""
        return [{"name": one.name, "reason": one.reason} for one in self.named]

    def to_json(self) -> dict[str, Any]:
        """Return counts by kind and reason, other and hidden files, and remarks, for a manifest."""
        names: dict[tuple[str, str], list[str]] = defaultdict(list)
        for one in self.named:
            names[one.kind, one.reason].append(one.name)
        left_out = [
            {"kind": kind, "reason": reason, "count": len(group), "names": group[:MAX_NAMES]} for (kind, reason), group in sorted(names.items())
        ]
        return {"left_out": left_out, "others": dict(sorted(self.others.items())), "hidden": self.hidden, "remarks": list(self.remarks)}

    def describe(self, *, include_counts: bool = True) -> list[str]:
        """Return the leftovers in words; see `describe_leftovers`."""
        return describe_leftovers(self.to_json(), include_counts=include_counts)


def describe_leftovers(record: Mapping[str, Any], *, include_counts: bool = True) -> list[str]:
    """Return a line for people about each group of leftovers.

    Args:
        record: `Leftovers.to_json` as a manifest holds it; that of an earlier version may be empty.
        include_counts: Also list pictures in no split, and count other and hidden files, which nobody misses.
    """
    lines = []
    for group in record.get("left_out", ()):
        if group["kind"] == UNASSIGNED and not include_counts:
            continue  # reported with the splits
        names = [*group["names"], *(["..."] if group["count"] > len(group["names"]) else [])]
        kind = group["kind"] if group["count"] == 1 else _PLURALS.get(group["kind"], group["kind"])
        lines.append(f"{group['count']:,} {kind} left out: {group['reason']} ({', '.join(names)})")
    lines += record.get("remarks", ())
    others, hidden = record.get("others", {}), record.get("hidden", 0)
    other_count, kinds = sum(others.values()), ", ".join(f"{count:,} {kind}" for kind, count in others.items())
    counts = [f"{other_count:,} other {'file' if other_count == 1 else 'files'} ({kinds})"] if others else []
    counts += [f"{hidden:,} hidden"] if hidden else []
    return [to_one_line(line) for line in [*lines, *([", ".join(counts)] if counts and include_counts else [])]]


def divide_skipped(manifest: Mapping[str, Any]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the pictures of a pack's source that it does not hold, and the source's leftovers, each with `name` and `reason`.

    Args:
        manifest: That of the pack, whose `skipped` ends with its leftovers.
    """
    skipped = list(manifest["skipped"])
    count = len(skipped) - sum(group["count"] for group in manifest.get("leftovers", {}).get("left_out", ()))
    return skipped[:count], skipped[count:]


def describe_unreadable(manifest: Mapping[str, Any]) -> list[str]:
    """Return a line for people about the pictures of a pack's source that could not be read; none if all could.

    Args:
        manifest: See `divide_skipped`.
    """
    unreadable, _ = divide_skipped(manifest)
    if not unreadable:
        return []
    names = [f"{entry['name']!r} ({entry['reason']})" for entry in unreadable[:MAX_NAMES]] + ["..."] * (len(unreadable) > MAX_NAMES)
    total = manifest["count"] + len(unreadable)
    return [to_one_line(f"{len(unreadable):,} of {total:,} pictures cannot be read and are left out: {', '.join(names)}")]
