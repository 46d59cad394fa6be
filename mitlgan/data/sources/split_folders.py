"""Finds the folders of a set that are its splits: pictures for training, and those that are held out.

A folder is a split's if its name is one of `FOLDER_NAMES`, in any case, and every folder next to it that holds pictures is a split's, too; a `train/`
next to `airplane/` and `bus/` is a class. What all names share does not count (`seg_train/`, `seg_test/`). A single folder around all others
(`photos.zip/photos/train/`) is ignored, and classes may hold the splits (`airplane/train/`). If there are held-out folders but none for training, the
pictures next to them are for training; if there is one, those are in no split and are left out by name. Folders that look like splits and are not taken
for such are reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
_SEPARATORS = "-_. "
_WORD_END = re.compile(rf"[{_SEPARATORS}]+|(?<=[a-z])(?=[A-Z0-9])")
_SPLIT_OF_NAME = {name: split for split, names in FOLDER_NAMES.items() for name in names}


def split_of_name(name: str) -> str | None:
    """Return the split that a folder's name means; None if it means none.

    >>> split_of_name("Val"), split_of_name("test-set"), split_of_name("airplane")
    ('validation', 'test', None)
    """
    plain = _DECORATION.sub("", name.casefold())
    return _SPLIT_OF_NAME.get(plain.replace("-", "").replace("_", ""))


def splits_in_name(name: str) -> set[str]:
    """Return the splits that a folder's name, or a word in it, means, whatever is next to the folder.

    >>> splits_in_name("testA"), splits_in_name("latest")
    ({'test'}, set())
    """
    return {split for word in (name, *_WORD_END.split(name)) if (split := split_of_name(word))}


def splits_of_folders(names: Iterable[str]) -> dict[str, str]:
    """Return the split of each of the folders next to each other whose name means one; what all names share does not count.

    >>> splits_of_folders(["seg_train", "seg_test"])
    {'seg_train': 'train', 'seg_test': 'test'}
    """
    names = list(names)
    splits = {name: split for name in names if (split := split_of_name(name))}
    if splits or len(names) < 2:
        return splits
    for rests in _without_shared_words(names):
        splits = {name: split for name, rest in zip(names, rests, strict=True) if (split := split_of_name(rest))}
        if len(set(splits.values())) == len(names) and TRAIN in splits.values():
            return splits
    return {}


def _without_shared_words(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield what is left of names without words that all begin with, and without words that all end with."""
    first = names[0]
    for index in (index for index, letter in enumerate(first) if letter in _SEPARATORS):
        if all(name.startswith(first[: index + 1]) for name in names):
            yield [name[index + 1 :] for name in names]
        if all(name.endswith(first[index:]) for name in names):
            yield [name[: len(name) - len(first) + index] for name in names]


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

    def describe_omitted(self, names: Sequence[str]) -> str:
        """Return in one line which pictures are in no split, and what a user may not expect; empty if there is nothing.

        Args:
            names: Names of all pictures of the set.
        """
        beside = list_names([names[index] for index in self.unassigned])
        text = f"{len(self.unassigned):,} pictures next to the split folders are left out ({beside})" if self.unassigned else ""
        return to_one_line("; ".join(filter(None, (text, self.remark))))

    def require_training(self, label: str) -> None:
        """Refuse a set whose pictures are all in held-out folders.

        Args:
            label: The set with its option, which begins the message.

        Raises:
            DataError: There are split folders, and none with pictures for training.
        """
        if self.folders and TRAIN not in self.parts:
            way_out = "put these into train/, or name the folder inside itself (unpack an archive for that)"
            raise DataError(f"{label}: holds {self.describe_folders()} and no pictures for training; {way_out}")

    def describe_folders(self) -> str:
        """Return the names of all split folders."""
        return ", ".join(folder for folders in self.folders.values() for folder in folders)

    def to_manifest(self, split: str) -> dict[str, Any]:
        """Return which pictures a split takes and which it leaves out, for a manifest."""
        left = {self._where(other): len(positions) for other, positions in self.parts.items() if other != split}
        return {"name": split, "folders": list(self.folders.get(split, ())), "left": left, "beside": len(self.unassigned), "remark": self.remark}

    def _where(self, split: str) -> str:
        return ", ".join(self.folders[split]) if self.folders.get(split) else "what is beside them"


def find_split_folders(names: Sequence[str], label: str, inside: str = "") -> SplitLayout:
    """Assign pictures to splits by their folders.

    Args:
        names: Names of the pictures, relative to the set, with slashes.
        label: The set with its option, which begins an error message.
        inside: A folder around all of them, with a slash at the end, whose own name does not count.

    Raises:
        DataError: Two folders mean one split.
    """
    return _find_layout(names, range(len(names)), inside, label)


def _find_layout(names: Sequence[str], positions: Sequence[int], prefix: str, label: str) -> SplitLayout:
    """Assign the pictures in the folder `prefix`, at the given positions among the names."""
    folders: dict[str, list[int]] = {}
    loose: list[int] = []
    for position in positions:
        folder, slash, _ = names[position][len(prefix) :].partition("/")
        (folders.setdefault(folder, []) if slash else loose).append(position)
    splits = splits_of_folders(folders)
    if splits and len(splits) < len(folders):
        classes = list_names([f"{prefix}{folder}/" for folder in splits])
        others = list_names([f"{prefix}{folder}/" for folder in folders if folder not in splits])
        return SplitLayout({TRAIN: positions}, remark=f"{classes} is taken for a class, as {others} next to it: all are one set")
    if not splits:
        layouts = [_find_layout(names, members, f"{prefix}{folder}/", label) for folder, members in folders.items()]
        joined = _join_layouts(positions, prefix, dict(zip(folders, layouts, strict=True)), bool(loose))
        if loose and joined.parts.keys() == {TRAIN}:
            return SplitLayout({TRAIN: positions}, remark=joined.remark)
        return _with_loose(joined, positions, loose)
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
    return _with_loose(SplitLayout(parts, split_folders), positions, loose)


def _with_loose(layout: SplitLayout, positions: Sequence[int], loose: Sequence[int]) -> SplitLayout:
    """Return the layout of a folder, of which some pictures are in no folder inside it.

    Args:
        layout: Of the folders inside it.
        positions: Of all its pictures.
        loose: Of the pictures in no folder.
    """
    if not layout.folders:
        return replace(layout, parts={TRAIN: positions})
    if loose and TRAIN not in layout.parts:
        return replace(layout, parts={TRAIN: loose, **layout.parts})
    return replace(layout, unassigned=sorted([*loose, *layout.unassigned]))


def _join_layouts(positions: Sequence[int], prefix: str, layouts: Mapping[str, SplitLayout], has_loose: bool) -> SplitLayout:
    """Return the layout of folders that are no splits: all are one set, unless every one holds the splits.

    Args:
        positions: Of all pictures.
        prefix: The folder around them.
        layouts: That of each folder.
        has_loose: Whether there are pictures next to them.
    """
    divided = [folder for folder, layout in layouts.items() if layout.folders]
    if len(divided) < len(layouts) or not layouts:
        remarks = [layout.remark for layout in layouts.values() if layout.remark]
        if divided:
            some = list_names([f"{prefix}{folder}/" for folder in divided])
            remarks = [f"{some} holds splits of its own, the folders next to it do not: all are one set"]
        elif not remarks and len(layouts) + has_loose > 1:
            remarks = [_describe_look_alikes(prefix, layouts)]
        more = f"; so is it in {len(remarks) - 1:,} more folders" if len(remarks) > 1 else ""
        return SplitLayout({TRAIN: positions}, remark=f"{remarks[0]}{more}" if remarks else "")
    present = [split for split in SPLITS if any(split in layout.parts for layout in layouts.values())]
    return SplitLayout(
        {split: sorted(position for layout in layouts.values() for position in layout.parts.get(split, ())) for split in present},
        {split: [folder for layout in layouts.values() for folder in layout.folders.get(split, ())] for split in present},
        sorted(position for layout in layouts.values() for position in layout.unassigned),
    )


def _describe_look_alikes(prefix: str, folders: Iterable[str]) -> str:
    """Return in a sentence which folders look like splits, if any looks held out; training takes them all.

    One such name among many, as of a class `crash test`, is none: most of them must look so, or two like different splits.
    """
    alike = {folder: splits_in_name(folder) for folder in folders}
    kinds = set[str]().union(*alike.values())
    if not kinds - {TRAIN} or (len(kinds) < 2 and 2 * sum(map(bool, alike.values())) <= len(alike)):
        return ""
    names = [f"{prefix}{folder}/" for folder, splits in sorted(alike.items()) if splits]
    words = "look like splits" if len(names) > 1 else "looks like a split"
    return f"{list_names(names)} {words}, but all are one set; call the folders train/, validation/ and test/, or name one of them itself"


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
