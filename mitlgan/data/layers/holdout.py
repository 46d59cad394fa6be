"""Chooses held-out photographs by a hash of their content, so that pictures added later move no others."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitlgan.data.build.journal import read_work
from mitlgan.data.curate.perceptual_hash import PictureHash, find_near_pictures, group_equal_files
from mitlgan.data.sources.mask_twins import twin_stem
from mitlgan.errors import UsageError

DEFAULT_HOLDOUT = "10%"
HELD_OUT = ("validation", "test")
MIN_PHOTOGRAPHS = 20  # a share of fewer holds out none: one or two pictures measure nothing, and training misses them
MIN_HELD_OUT = 2  # fewer have no variance, which every distance needs
_COPY_SUFFIX = re.compile(r"-\d{2,}\.png$")
_SIZE_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")


@dataclass(frozen=True)
class HoldoutSize:
    """How many photographs are held out; both 0 for none.

    Attributes:
        share: Share of the photographs, in [0, 1).
        count: Number of photographs, instead of a share.
    """

    share: float = 0.0
    count: int = 0

    @classmethod
    def parse(cls, text: str) -> HoldoutSize:
        """Read `10%`, `200` or `0`.

        Raises:
            UsageError: The text is none of these.
        """
        match = _SIZE_PATTERN.fullmatch(text)
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
    """A picture to assign to a split.

    Attributes:
        hashes: Of all its looks, which find equal files and look-alikes.
        split: The split that it has already, by its folder; empty if none of them has one.
        family: Photographs of one family stay together, such as augmented copies of one; empty if none. See `find_families`.
    """

    hashes: Sequence[PictureHash]
    split: str = ""
    family: str = ""


@dataclass(frozen=True)
class SplitAssignment:
    """The splits of photographs.

    Attributes:
        splits: `train`, `validation` or `test` for each photograph; all empty if nothing is held out.
        note: What differs from the request, and why; empty if nothing does.
    """

    splits: tuple[str, ...]
    note: str = ""


def assign_splits(photographs: Sequence[Photograph], holdout: HoldoutSize) -> SplitAssignment:
    """Divide photographs into `train` and `test`.

    Existing splits are kept. Otherwise a group of look-alikes is held out if a hash of its content is below the share, so that it depends on the group
    alone; a count takes the groups with the lowest hashes.

    Raises:
        UsageError: There are too few photographs for the count.
    """
    if any(one.split for one in photographs):
        return SplitAssignment(tuple(one.split for one in photographs), "the splits that the source has already are kept")
    none = ("",) * len(photographs)
    if not holdout.share and not holdout.count:
        return SplitAssignment(none)
    total = len(photographs)
    if holdout.count >= total > 0:
        raise UsageError(f"--holdout {holdout}: there are {total:,} usable photographs; hold out fewer, or 0 for none")
    if holdout.share and total < MIN_PHOTOGRAPHS:
        return SplitAssignment(none, f"nothing is held out: {total} photographs are too few for {holdout}; --holdout 2 holds out two")
    groups = sorted(group_look_alikes(photographs), key=lambda group: _hash_position(photographs, group))
    chosen = [group for group in groups if _hash_position(photographs, group) < holdout.share]
    min_count = holdout.count or MIN_HELD_OUT
    for group in groups[len(chosen) :]:
        if sum(map(len, chosen)) >= min_count:
            break
        chosen.append(group)
    held_out = {position for group in chosen for position in group}
    if len(held_out) == total:
        return SplitAssignment(
            none, "nothing is held out: all photographs look alike, and look-alikes stay together; give other photographs for measuring"
        )
    return SplitAssignment(tuple("test" if position in held_out else "train" for position in range(total)))


def find_families(spec: str | Path, names: Sequence[str]) -> list[str]:
    """Return what each picture of a source has in common with those of its family: copies by `data augment`, or twins such as `0.jpg` and `0.png`."""
    is_augmented = read_work(Path(spec)).get("work") == "augment"
    return [copy_family(name) if is_augmented else twin_stem(name) for name in names]


def copy_family(name: str) -> str:
    """Return the name of a copy that `data augment` made without the copy's number: the same for all of one picture."""
    return _COPY_SUFFIX.sub("", name)


def group_look_alikes(photographs: Sequence[Photograph]) -> list[list[int]]:
    """Return groups of positions of photographs that must stay together: equal files, look-alikes, and families."""
    equal = group_equal_files([one.hashes[0] for one in photographs])
    pairs = [*_pairs_of(equal), *find_near_pictures([one.hashes for one in photographs]), *_pairs_of(_families(photographs))]
    parents = list(range(len(photographs)))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = parents[position]
        return position

    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    groups: dict[int, list[int]] = defaultdict(list)
    for position in range(len(photographs)):
        groups[root(position)].append(position)
    return list(groups.values())


def describe_splits(splits: Iterable[str]) -> str:
    """Return in words how many photographs are in each split; empty if nothing is held out."""
    counts = Counter(splits)
    held_out = [f"{counts[name]:,} for {name}" for name in ("validation", "test") if counts[name]]
    return f"{counts['train']:,} photographs for training, {' and '.join(held_out)}" if held_out else ""


def _families(photographs: Sequence[Photograph]) -> list[list[int]]:
    families: dict[str, list[int]] = defaultdict(list)
    for position, one in enumerate(photographs):
        if one.family:
            families[one.family].append(position)
    return list(families.values())


def _pairs_of(groups: Iterable[list[int]]) -> list[tuple[int, int]]:
    return [(group[0], other) for group in groups for other in group[1:]]


def _hash_position(photographs: Sequence[Photograph], group: Sequence[int]) -> float:
    """Return one position in [0, 1) for a whole group, or large groups would be held out more often."""
    digest = hashlib.sha256(b"holdout " + min(photographs[position].hashes[0].sha256 for position in group).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
