"""Finds the folders of a set that are its splits: pictures for training, and those that are held out.

A folder is a split's if its name is one of `FOLDER_NAMES`, in any case, and every folder next to it that holds pictures is a split's, too; a `train/`
next to `airplane/` and `bus/` is a class. A single folder around all others (`photos.zip/photos/train/`) is ignored, and classes may hold the splits
(`airplane/train/`). If there are held-out folders but none for training, the pictures next to them are for training; if there is one, those are in no
split and are left out by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mitlgan.data.sources.leftovers import MAX_NAMES
from mitlgan.errors import DataError, to_one_line

TRAIN = "train"
SPLITS = (TRAIN, "validation", "test")
FOLDER_NAMES = {
    TRAIN: ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "holdout", "heldout"),
}
"""Names of a split's folder in lower case, without what `_DECORATION` removes: `Train`, `test_set` and `val2017` work, too."""
_DECORATION = re.compile(r"([-_ .]?(set|data|images|imgs|pictures|split|[0-9]{1,4}))+$")
_SPLIT_OF_NAME = {name: split for split, names in FOLDER_NAMES.items() for name in names}


def split_of_name(name: str) -> str | None:
    """Return the split that a folder's name means; None if it means none.

    >>> split_of_name("Val"), split_of_name("test-set"), split_of_name("airplane")
    ('validation', 'test', None)
    """
    plain = _DECORATION.sub("", name.casefold())
    return _SPLIT_OF_NAME.get(plain.replace("-", "").replace("_", ""))


@dataclass(frozen=True)
class SplitLayout:
    """Which pictures of a set belong to which split.

    Attributes:
        parts: Positions of each split's pictures; a set without splits is all `train`.
        folders: Folders of each split, with a slash at the end; empty if the set has no such folders.
        unassigned: Positions of the pictures next to the split folders, which are in no split.
        remark: What a user may not expect, in a sentence.
    """

    parts: Mapping[str, Sequence[int]]
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unassigned: Sequence[int] = ()
    remark: str = ""

    def describe(self, split: str, names: Sequence[str]) -> str:
        """Return in one line which pictures a split takes and which it leaves out; empty if there is nothing unexpected.

        Args:
            split: The split.
            names: Names of all pictures of the set.
        """
        omitted = [f"{self._where(other)} ({len(self.parts[other]):,}, {other})" for other in self.parts if other != split]
        if self.unassigned:
            omitted.append(f"{len(self.unassigned):,} pictures next to the split folders ({list_names([names[index] for index in self.unassigned])})")
        if not self.folders or not omitted:
            return to_one_line(self.remark)
        text = f"{split} pictures are {self._where(split)} ({len(self.parts[split]):,}); left out: {', '.join(omitted)}"
        return to_one_line("; ".join(filter(None, (text, self.remark))))

    def describe_folders(self) -> str:
        """Return the names of all split folders."""
        return ", ".join(folder for folders in self.folders.values() for folder in folders)

    def to_manifest(self, split: str) -> dict[str, Any]:
        """Return which pictures a split takes and which it leaves out, for a manifest."""
        left = {self._where(other): len(positions) for other, positions in self.parts.items() if other != split}
        return {"name": split, "folders": list(self.folders.get(split, ())), "left": left, "beside": len(self.unassigned), "remark": self.remark}

    def _where(self, split: str) -> str:
        return ", ".join(self.folders[split]) if self.folders.get(split) else "what is beside them"


def find_split_folders(names: Sequence[str], label: str) -> SplitLayout:
    """Assign pictures to splits by their folders.

    Args:
        names: Names of the pictures, relative to the set, with slashes.
        label: The set with its option, which begins an error message.

    Raises:
        DataError: Two folders mean one split.
    """
    return _find_layout(names, range(len(names)), "", label)


def _find_layout(names: Sequence[str], positions: Sequence[int], prefix: str, label: str) -> SplitLayout:
    """Assign the pictures in the folder `prefix`, at the given positions among the names."""
    folders: dict[str, list[int]] = {}
    loose: list[int] = []
    for position in positions:
        folder, slash, _ = names[position][len(prefix) :].partition("/")
        (folders.setdefault(folder, []) if slash else loose).append(position)
    splits = {folder: split for folder in folders if (split := split_of_name(folder))}
    if len(folders) == 1 and not loose and not splits:
        return _find_layout(names, positions, f"{prefix}{next(iter(folders))}/", label)
    if splits and len(splits) < len(folders):
        classes = list_names([f"{folder}/" for folder in splits])
        others = list_names([f"{folder}/" for folder in folders if folder not in splits])
        return SplitLayout({TRAIN: positions}, remark=f"{classes} is taken for a class, as {others} next to it: all are one set")
    if not splits:
        return SplitLayout({TRAIN: positions}) if loose or not folders else _find_in_classes(names, positions, prefix, folders, label)
    parts: dict[str, Sequence[int]] = {}
    split_folders: dict[str, Sequence[str]] = {}
    for split in SPLITS:
        same = sorted(folder for folder in folders if splits[folder] == split)
        if len(same) > 1:
            raise DataError(
                f"{label}: {' and '.join(f'{folder}/' for folder in same)} both mean {split}; put them together, or name one of them itself"
            )
        if same:
            parts[split], split_folders[split] = folders[same[0]], [f"{prefix}{same[0]}/"]
    if TRAIN not in parts and loose:
        return SplitLayout({TRAIN: loose, **parts}, split_folders)
    return SplitLayout(parts, split_folders, loose)


def _find_in_classes(names: Sequence[str], positions: Sequence[int], prefix: str, classes: Mapping[str, list[int]], label: str) -> SplitLayout:
    """Assign pictures in folders that are classes: all are one set, unless every class holds the splits."""
    layouts = {folder: _find_layout(names, members, f"{prefix}{folder}/", label) for folder, members in classes.items()}
    divided = [folder for folder, layout in layouts.items() if layout.folders]
    if len(divided) < len(classes):
        some = list_names([f"{folder}/" for folder in divided])
        remark = f"{some} holds splits of its own, the folders next to it do not: all are one set" if divided else ""
        return SplitLayout({TRAIN: positions}, remark=remark)
    present = [split for split in SPLITS if any(split in layout.parts for layout in layouts.values())]
    return SplitLayout(
        {split: sorted(position for layout in layouts.values() for position in layout.parts.get(split, ())) for split in present},
        {split: [folder for layout in layouts.values() for folder in layout.folders.get(split, ())] for split in present},
        sorted(position for layout in layouts.values() for position in layout.unassigned),
    )


def correct_split(split: str, data_sha256: str, training_sha256: str) -> str:
    """Return the true split of a recorded figure: `train` if it was measured on the network's training pictures.

    Earlier versions recorded the split that was requested, whether it existed or not.

    Args:
        split: As recorded.
        data_sha256: Hash of the pictures of the measurement.
        training_sha256: Hash of the network's training pictures.
    """
    return TRAIN if training_sha256 and data_sha256 == training_sha256 else split


def with_correct_splits(record: Any, training_sha256: str) -> Any:
    """Return a record of figures with the true split of each, see `correct_split`; the old value is kept as `split_recorded`.

    Args:
        record: JSON, such as a card's metrics.
        training_sha256: Hash of the network's training pictures.
    """
    if not isinstance(record, Mapping):
        return record
    corrected = {key: with_correct_splits(value, training_sha256) for key, value in record.items()}
    first = corrected.get("frechet")
    data_sha256 = str(corrected.get("data_sha256") or (first.get("data_sha256") if isinstance(first, Mapping) else "") or "")
    for part in (corrected, corrected.get("protocol") if "frechet" in corrected else None):
        if isinstance(part, dict) and isinstance(part.get("split"), str) and data_sha256:
            split = correct_split(part["split"], data_sha256, training_sha256)
            part |= {"split": split, "split_recorded": part["split"]} if split != part["split"] else {}
    return corrected


def list_names(names: Sequence[str]) -> str:
    """Return the first few names for a message, and how many more there are."""
    text = ", ".join(names[:MAX_NAMES])
    return text if len(names) <= MAX_NAMES else f"{text} and {len(names) - MAX_NAMES:,} more"
