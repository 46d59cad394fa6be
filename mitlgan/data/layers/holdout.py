"""Which photographs are held out: by a hash of what they hold, look-alikes together, so that pictures which are added later move no others."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.data.curate.perceptual_hash import PictureHash, find_near_pairs, group_equal_files
from mitlgan.data.sources.split_folders import TRAIN, find_split_folders
from mitlgan.errors import UsageError

DEFAULT_HOLDOUT = "10%"
HELD_OUT = ("validation", "test")
MIN_PHOTOGRAPHS = 20  # of fewer a share holds out none: one or two pictures measure nothing, and are missed in training
MIN_HELD_OUT = 2  # fewer have no spread, which every distance needs
JOURNAL = ".journal.jsonl"
_COPY = re.compile(r"-\d{2,}\.png$")
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")


@dataclass(frozen=True)
class HoldoutSize:
    """How many photographs are held out; both 0 for none.

    Attributes:
        share: Of the photographs, in [0, 1).
        count: So many, instead.
    """

    share: float = 0.0
    count: int = 0

    @classmethod
    def parse(cls, text: str) -> HoldoutSize:
        """Read `10%`, `200` or `0`.

        Raises:
            UsageError: None of them.
        """
        match = _TEXT.fullmatch(text)
        number, percent = match.groups() if match else ("x", "")
        if percent and float(number) < 100:
            return cls(share=float(number) / 100)
        if not percent and number.isdigit():
            return cls(count=int(number))
        raise UsageError(f"--holdout {text}: give a share below 100% such as 10%, a number of photographs, or 0 for none")

    def __str__(self) -> str:
        return f"{self.share * 100:g}%" if self.share else str(self.count)


@dataclass(frozen=True)
class Photograph:
    """One of the pictures that splits are made of.

    Attributes:
        hash: For equal and look-alike files.
        split: The split that it has already, by its folder; empty where it has none.
        family: Photographs of one family stay together, such as the changed copies of one; empty for none.
    """

    hash: PictureHash
    split: str = ""
    family: str = ""


@dataclass(frozen=True)
class SplitAssignment:
    """What splits photographs are in.

    Attributes:
        splits: Per photograph, `train`, `validation` or `test`; all empty where nothing is held out.
        note: In words what was done otherwise than asked, or why; empty for nothing to say.
    """

    splits: tuple[str, ...]
    note: str = ""


def assign_splits(photographs: Sequence[Photograph], holdout: HoldoutSize) -> SplitAssignment:
    """Divide photographs into `train` and `test`.

    Splits that are there already are kept as they are. Otherwise a group of look-alikes is held out where a hash of its content is below the share,
    so it depends on nothing but the group itself; a count takes the groups with the lowest hashes.

    Raises:
        UsageError: Not enough photographs for the count.
    """
    if any(one.split for one in photographs):
        return SplitAssignment(tuple(one.split or "train" for one in photographs), "the splits that the source has already are kept")
    none = ("",) * len(photographs)
    if not holdout.share and not holdout.count:
        return SplitAssignment(none)
    total = len(photographs)
    if holdout.count >= total > 0:
        raise UsageError(f"--holdout {holdout}: there are {total:,} usable photographs; hold out fewer, or 0 for none")
    if holdout.share and total < MIN_PHOTOGRAPHS:
        return SplitAssignment(none, f"nothing is held out: {total} photographs are too few for {holdout}; --holdout 2 holds out two")
    groups = sorted(group_look_alikes(photographs), key=lambda group: _position(photographs, group))
    chosen = [group for group in groups if _position(photographs, group) < holdout.share]
    wanted = holdout.count or MIN_HELD_OUT
    for group in groups[len(chosen) :]:
        if sum(map(len, chosen)) >= wanted:
            break
        chosen.append(group)
    held_out = {position for group in chosen for position in group}
    if len(held_out) == total:
        return SplitAssignment(
            none, "nothing is held out: all photographs look alike, and look-alikes stay together; give other photographs for measuring"
        )
    return SplitAssignment(tuple("test" if position in held_out else "train" for position in range(total)))


def splits_by_folder(names: Sequence[str]) -> list[str]:
    """The split that each picture of a source is in by its folder; all empty where the source has no splits."""
    found = find_split_folders(names, "SRC")
    splits = [""] * len(names)
    if found.folders and TRAIN in found.parts and len(found.parts) > 1:
        for split, places in found.parts.items():
            for place in places:
                splits[place] = split
    return splits


def augmented_families(spec: str | Path, names: Sequence[str]) -> list[str]:
    """What each picture of a source is a changed copy of, where `data augment` made it; otherwise empty."""
    try:
        with (Path(spec) / JOURNAL).open(encoding="utf-8") as lines:
            augmented = json.loads(lines.readline())["work"] == "augment"
    except (OSError, ValueError, KeyError, TypeError):
        augmented = False
    return [_COPY.sub("", name) if augmented else "" for name in names]


def group_look_alikes(photographs: Sequence[Photograph]) -> list[list[int]]:
    """Positions of photographs that must stay together: equal files, look-alikes, and families."""
    parents = list(range(len(photographs)))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = parents[position]
        return position

    looks = [one.hash for one in photographs]
    for one, other in [*_chained(group_equal_files(looks)), *find_near_pairs(looks), *_chained(_families(photographs))]:
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    groups: dict[int, list[int]] = {}
    for position in range(len(photographs)):
        groups.setdefault(root(position), []).append(position)
    return list(groups.values())


def describe_splits(splits: Iterable[str]) -> str:
    """How many are in each split, in words; empty where nothing is held out."""
    counts = Counter(splits)
    held_out = [f"{counts[name]:,} for {name}" for name in ("validation", "test") if counts[name]]
    return f"{counts['train']:,} photographs for training, {' and '.join(held_out)}" if held_out else ""


def _families(photographs: Sequence[Photograph]) -> list[list[int]]:
    families: dict[str, list[int]] = {}
    for position, one in enumerate(photographs):
        if one.family:
            families.setdefault(one.family, []).append(position)
    return list(families.values())


def _chained(groups: Iterable[list[int]]) -> list[tuple[int, int]]:
    return [(group[0], other) for group in groups for other in group[1:]]


def _position(photographs: Sequence[Photograph], group: Sequence[int]) -> float:
    """A group's place in [0, 1), by its content: drawn once for the whole group, or large groups would be held out more often."""
    digest = hashlib.sha256(b"holdout " + min(photographs[position].hash.sha256 for position in group).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
