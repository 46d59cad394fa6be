"""Which folders of a set are its splits: pictures for training, and those that are held out; and what records call them.

A folder is a split's where its name is one of `FOLDER_NAMES`, in any case, and every folder beside it that holds pictures is a split's, too; a `train/`
beside `airplane/` and `bus/` is a class. A folder around all others (`photos.zip/photos/train/`) is passed through, and classes may hold the splits
(`airplane/train/`). Where there are held-out folders but none for training, the pictures beside them are the training pictures; where there is one,
those are in no split and are left out by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mitlgan.errors import DataError, to_one_line

TRAIN = "train"
SPLITS = (TRAIN, "validation", "test")
FOLDER_NAMES = {
    TRAIN: ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "holdout", "heldout"),
}
"""Names of a split's folder in lower case, without what `_DECORATION` takes off: `Train`, `test_set` and `val2017` are known, too."""
MAX_NAMES = 3
"""File names that a message lists."""
_DECORATION = re.compile(r"([-_ .]?(set|data|images|imgs|pictures|split|[0-9]{1,4}))+$")
_SPLIT_OF_NAME = {name: split for split, names in FOLDER_NAMES.items() for name in names}


def split_of_name(name: str) -> str | None:
    """The split that a folder's name means; None where it means none.

    >>> split_of_name("Val"), split_of_name("test-set"), split_of_name("airplane")
    ('validation', 'test', None)
    """
    plain = _DECORATION.sub("", name.casefold())
    return _SPLIT_OF_NAME.get(plain.replace("-", "").replace("_", ""))


@dataclass(frozen=True)
class SplitLayout:
    """Which of a set's pictures are of which split.

    Attributes:
        parts: Positions of each split's pictures, of those that are there; a set without splits is all `train`.
        folders: The folders of each split, with a slash at the end; empty where the set has no such folders.
        unassigned: Positions of the pictures beside the split folders, which are in no split.
        remark: What a user may not expect, in a sentence.
    """

    parts: Mapping[str, Sequence[int]]
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unassigned: Sequence[int] = ()
    remark: str = ""

    def describe(self, split: str, names: Sequence[str]) -> str:
        """What is taken for a split and what is left, in one line; empty where all is taken as anybody would expect."""
        if not self.folders:
            return to_one_line(self.remark)
        left = [f"{self._where(other)} ({len(self.parts[other]):,}, {other})" for other in self.parts if other != split]
        if self.unassigned:
            left.append(f"{len(self.unassigned):,} pictures beside the split folders ({list_names([names[place] for place in self.unassigned])})")
        if not left:
            return to_one_line(self.remark)
        said = f"{split} pictures are {self._where(split)} ({len(self.parts[split]):,})"
        return to_one_line("; ".join(filter(None, (f"{said}; left out: {', '.join(left)}", self.remark))))

    def to_manifest(self, split: str) -> dict[str, Any]:
        """The same for a manifest."""
        left = {self._where(other): len(places) for other, places in self.parts.items() if other != split}
        return {"name": split, "folders": list(self.folders.get(split, ())), "left": left, "beside": len(self.unassigned), "remark": self.remark}

    def _where(self, split: str) -> str:
        return ", ".join(self.folders[split]) if self.folders.get(split) else "what is beside them"


def find_split_folders(names: Sequence[str], named: str) -> SplitLayout:
    """Which of some pictures are of which split.

    Args:
        names: Of pictures, relative to the set, with slashes.
        named: The set with its option, which begins an error message.

    Raises:
        DataError: Two folders mean one split.
    """
    return _layout(names, range(len(names)), "", named)


def _layout(names: Sequence[str], places: Sequence[int], prefix: str, named: str) -> SplitLayout:
    tops: dict[str, list[int]] = {}
    loose: list[int] = []
    for place in places:
        top, slash, _ = names[place][len(prefix) :].partition("/")
        (tops.setdefault(top, []) if slash else loose).append(place)
    splits = {top: split for top in tops if (split := split_of_name(top))}
    if len(tops) == 1 and not loose and not splits:
        return _layout(names, places, f"{prefix}{next(iter(tops))}/", named)
    if not tops or len(splits) < len(tops):
        return _of_classes(names, places, prefix, tops, splits, loose, named)
    parts: dict[str, Sequence[int]] = {}
    folders: dict[str, Sequence[str]] = {}
    for split in SPLITS:
        found = sorted(top for top in tops if splits[top] == split)
        if len(found) > 1:
            raise DataError(f"{named}: {' and '.join(f'{top}/' for top in found)} both mean {split}; put them together, or name one of them itself")
        if found:
            parts[split], folders[split] = tops[found[0]], [f"{prefix}{found[0]}/"]
    if TRAIN not in parts and loose:
        return SplitLayout({TRAIN: loose, **parts}, folders)
    return SplitLayout(parts, folders, loose)


def _of_classes(
    names: Sequence[str], places: Sequence[int], prefix: str, tops: Mapping[str, list[int]], splits: Mapping[str, str], loose: Sequence[int], named: str
) -> SplitLayout:
    """Of a set whose folders are classes: all of it is one set, unless every class holds the splits."""
    if splits:
        others = list_names([f"{top}/" for top in tops if top not in splits])
        return SplitLayout(
            {TRAIN: places}, remark=f"{list_names([f'{top}/' for top in splits])} is taken for a class, as {others} beside it: all are one set"
        )
    if loose or not tops:
        return SplitLayout({TRAIN: places})
    inner = {top: _layout(names, members, f"{prefix}{top}/", named) for top, members in tops.items()}
    divided = [top for top, found in inner.items() if found.folders]
    if divided and len(divided) < len(tops):
        some = list_names([f"{top}/" for top in divided])
        return SplitLayout({TRAIN: places}, remark=f"{some} holds splits of its own, the folders beside it do not: all are one set")
    if not divided:
        return SplitLayout({TRAIN: places})
    there = [split for split in SPLITS if any(split in found.parts for found in inner.values())]
    return SplitLayout(
        {split: sorted(place for found in inner.values() for place in found.parts.get(split, ())) for split in there},
        {split: [folder for found in inner.values() for folder in found.folders.get(split, ())] for split in there},
        sorted(place for found in inner.values() for place in found.unassigned),
    )


def correct_split(split: str, data_sha256: str, training_sha256: str) -> str:
    """The split of a figure in a record: `train` where its pictures are those that the network was trained on, whatever the record calls them.

    Records of earlier versions call them by the split that was asked for, there or not.

    Args:
        split: As recorded.
        data_sha256: Of the pictures that were measured.
        training_sha256: Of those that the network was trained on.
    """
    return TRAIN if training_sha256 and data_sha256 == training_sha256 else split


def with_correct_splits(record: Any, training_sha256: str) -> Any:
    """A record of figures in which each names the split that it was measured on, see `recorded_split`; what it said before is `split_recorded`.

    Args:
        record: JSON, such as a card's metrics.
        training_sha256: Of the pictures that the network was trained on.
    """
    if not isinstance(record, Mapping):
        return record
    found = {key: with_correct_splits(value, training_sha256) for key, value in record.items()}
    first = found.get("frechet")
    measured = str(found.get("data_sha256") or (first.get("data_sha256") if isinstance(first, Mapping) else "") or "")
    for part in (found, found.get("protocol") if "frechet" in found else None):
        if isinstance(part, dict) and isinstance(part.get("split"), str) and measured:
            true = correct_split(part["split"], measured, training_sha256)
            part |= {"split": true, "split_recorded": part["split"]} if true != part["split"] else {}
    return found


def list_names(names: Sequence[str]) -> str:
    """Some names for a message: the first few, and how many more."""
    shown = ", ".join(names[:MAX_NAMES])
    return shown if len(names) <= MAX_NAMES else f"{shown} and {len(names) - MAX_NAMES:,} more"
