"""Finds the splits of a `--data` value, and chooses the one to train or measure on."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mitlgan.data.demo import LAYER_SPLITS
from mitlgan.data.demo.scenes import SCENE_COUNTS
from mitlgan.data.pack.image_pack import PREPARED_PACK
from mitlgan.data.pack.manifest import read_manifest
from mitlgan.data.readers.cifar import TEST, is_cifar
from mitlgan.data.readers.idx import is_idx
from mitlgan.data.sources.file_classifier import is_hidden_name, is_picture_name
from mitlgan.data.sources.image_source import ImageSource, open_source
from mitlgan.data.sources.leftovers import UNASSIGNED, LeftoverFile
from mitlgan.data.sources.split_folders import SPLITS, TRAIN, SplitLayout, find_split_folders, split_of_name, splits_in_name, splits_of_folders
from mitlgan.errors import DataError, UsageError, to_one_line

DEMO = "demo"
PACK_SUFFIX = ".npy"
UNASSIGNED_REASON = "beside the split folders, in none of them"


def split_source(source: ImageSource, option: str = "SRC") -> tuple[dict[str, ImageSource], SplitLayout]:
    """Divide a source into its splits; pictures keep their names.

    Where the user chose each picture, the folder around all of them is no split: a list of test pictures is one set.

    Args:
        source: A folder, an archive or a list.
        option: How error messages name it.

    Raises:
        DataError: Two folders mean one split.
    """
    path, entries = Path(source.spec), source.entries
    names = [posixpath.normpath(entry.name) for entry in entries] if source.is_chosen else [entry.name for entry in entries]
    layout = find_split_folders(names, f"{option} {source.spec}", _folder_around(names) if source.is_chosen else "")
    if not layout.folders and path.is_dir() and (own := _split_of_folder(path)):
        layout = replace(layout, parts={own: layout.parts[TRAIN]})
    if source.is_chosen and layout.folders and len(layout.parts) == 1:
        remark = f"{layout.describe_folders()} hold all the pictures that were chosen: they are one set"
        layout = SplitLayout({TRAIN: range(len(entries))}, remark=remark)
    leftovers = [LeftoverFile(entries[position].name, UNASSIGNED_REASON, UNASSIGNED) for position in layout.unassigned]
    return {split: source.subset((entries[position] for position in positions), leftovers) for split, positions in layout.parts.items()}, layout


def _folder_around(names: Sequence[str]) -> str:
    """Return the folder that holds all files, with a slash at the end; empty if there is none."""
    with suppress(ValueError):  # of absolute and relative names
        folder = posixpath.commonpath([posixpath.dirname(name) for name in names])
        return folder if folder in ("", "/") else f"{folder}/"
    return ""


def training_source(source: ImageSource) -> tuple[ImageSource, str]:
    """Return the training pictures of a source, and in one line which part they are.

    Raises:
        DataError: Two folders mean one split, or there are held-out pictures alone.
    """
    sources, layout = split_source(source)
    layout.require_training(f"SRC {source.spec}")
    if TRAIN not in sources:  # a folder that is named itself
        return source, ""
    text = layout.describe(TRAIN, [entry.name for entry in source.entries])
    return sources[TRAIN], f"{source.spec}: {text}" if text else ""


@dataclass(frozen=True)
class SplitPart:
    """One split of a `--data` value.

    Attributes:
        path: The folder of the set, or the file: a pack, or a format of its own.
        source: Its pictures; None unless `path` is a folder of pictures.
        count: Number of pictures, if that is known without reading them.
    """

    path: Path
    source: ImageSource | None = None
    count: int | None = None


@dataclass(frozen=True)
class DataSplits:
    """The splits of a `--data` value.

    Attributes:
        spec: The value.
        parts: The splits that exist.
        layout: Split folders of a folder of pictures.
        names: Names of all its pictures.
    """

    spec: str
    parts: Mapping[str, SplitPart]
    layout: SplitLayout | None = None
    names: Sequence[str] = ()

    def resolve(self, requested: str) -> str:
        """Return the split to use: the requested one if it exists, else `train`, else the only one."""
        return self.first(requested, TRAIN)

    def require(self, requested: str) -> str:
        """Return the split to open, see `resolve`; held-out folders alone hold no pictures for training.

        Raises:
            DataError: Training pictures are requested, and there are only held-out ones.
        """
        split = self.resolve(requested)
        if requested == TRAIN != split and self.layout is not None:
            self.layout.require_training(f"--data {self.spec}")
        return split

    def source(self, split: str) -> ImageSource:
        """Return the pictures of a folder's split, in the order of their names.

        Raises:
            DataError: The split is no folder of pictures.
        """
        source = self.parts[split].source
        if source is None:
            raise DataError(f"--data {self.spec}: its {split} pictures are no folder of pictures")
        return source

    def manifest_record(self, split: str) -> dict[str, Any] | None:
        """Return which part of the set a pack of a split holds, for its manifest; None if the set has no splits."""
        if self.layout is None or not (self.layout.folders or self.layout.remark or split != TRAIN):
            return None
        return self.layout.to_manifest(split)

    def describe(self, split: str) -> str:
        """Return in one line which pictures a split takes and which it leaves out; empty if there is nothing unexpected."""
        text = "" if self.layout is None else self.layout.describe(split, self.names)
        return to_one_line(f"{self.spec}: {text}") if text else ""

    def describe_available(self) -> str:
        """Return the splits for a message: `train (24 pictures), test (12 pictures)`."""
        return ", ".join(split if part.count is None else f"{split} ({part.count:,} pictures)" for split, part in self.parts.items())

    def first(self, *splits: str) -> str:
        """Return the first of some splits that exists; any split if none does."""
        return next((split for split in splits if split in self.parts), next(iter(self.parts)))


def find_splits(spec: str, role: str) -> DataSplits:
    """Return the splits of a `--data` value: `demo`, a folder, an archive, a list, a pack, or a format of its own.

    Raises:
        DataError: There is no such data, or two folders mean one split.
    """
    if not spec:
        raise DataError("--data: is empty; name a folder of pictures, an archive, a pack, or demo")
    path = Path(spec)
    if spec == DEMO:
        splits = SPLITS if role == "scene" else LAYER_SPLITS.get(role, [TRAIN])
        return DataSplits(spec, {split: SplitPart(path, count=SCENE_COUNTS[split] if role == "scene" else None) for split in splits})
    if path.is_file() and path.suffix != PACK_SUFFIX and not is_idx(path) and not is_cifar(path):
        return _combine(open_source(path, "--data"), {})
    if path.is_file():
        return DataSplits(spec, {_split_of_file(path): SplitPart(path, count=_pack_count(path))})
    if is_cifar(path):
        return DataSplits(spec, {split: SplitPart(path) for split in (TRAIN, "test") if split == TRAIN or (path / TEST[0]).is_file()})
    return _find_splits_of_folder(path)


def find_folder_splits(source: str | Path) -> DataSplits:
    """Return the splits of a folder of pictures, an archive or a list; packs in a folder are ignored.

    Raises:
        DataError: There are no pictures, or two folders mean one split.
    """
    return _combine(open_source(source, "--data"), {})


def _find_splits_of_folder(path: Path) -> DataSplits:
    packs = find_prepared_packs(path)
    try:
        source = open_source(path, "--data")
    except DataError:
        if not packs:
            raise
        source = ImageSource(str(path), ())
    if TRAIN in packs:  # the pack was made of the training pictures in the same folder
        source = source.subset(one for one in source.entries if "/" in one.name and split_of_name(one.name.partition("/")[0]) not in (None, TRAIN))
    if not source.entries:
        own = {} if packs.keys() - {TRAIN} else {_split_of_folder(path) or TRAIN: part for part in packs.values()}
        return DataSplits(str(path), _ordered(own or packs))
    return _combine(source, packs)


def _combine(source: ImageSource, packs: Mapping[str, SplitPart]) -> DataSplits:
    """Return the splits of a source; a pack takes the place of a split's pictures."""
    sources, layout = split_source(source, "--data")
    parts = {split: SplitPart(Path(source.spec), part, len(part.entries)) for split, part in sources.items()}
    return DataSplits(source.spec, _ordered({**parts, **packs}), layout, [entry.name for entry in source.entries])


def resolve_split(spec: str, role: str, requested: str) -> str:
    """Return the split of a `--data` value to use if one is requested; see `DataSplits.resolve`.

    Raises:
        UsageError: There is no split of that name.
        DataError: There is no such data.
    """
    return find_splits(spec, role).resolve(parse_split(requested))


def choose_evaluation_split(spec: str, role: str, requested: str | None, default: str, say: Callable[[str], None]) -> str:
    """Choose the split to measure on.

    Args:
        spec: Value of `--data`, or of `data.source` in the recipe.
        role: Role of the pictures.
        requested: The split that the user asked for, which must exist.
        default: Used if the user asked for none; if it does not exist, the other held-out split is used, or else the training pictures.
        say: Receives one line if another split is used.

    Raises:
        UsageError: There is no split of that name.
        DataError: The requested split does not exist; the message lists those that do.
    """
    available = find_splits(spec, role)
    if requested is not None:
        split = parse_split(requested)
        if split not in available.parts:
            raise DataError(f"--split {split}: {spec} has no {split} pictures; it has {available.describe_available()}")
        return split
    split = available.first(default, "test", "validation", TRAIN)
    if split != default:
        flattered = "; a network that was trained on them is flattered" if split == TRAIN else ""
        say(f"warning: {spec} has no {default} pictures: its {split} pictures stand in{flattered}")
    return split


def held_out_training_warning(spec: str, role: str, data: Mapping[str, Any]) -> str:
    """Return a warning if a network was trained on more pictures than a set has for training.

    Earlier versions trained on some held-out folders, too.

    Args:
        spec: Value of `--data`, or of `data.source` in the recipe.
        role: Role of the pictures.
        data: What the network's card says of its pictures.
    """
    parts = find_splits(spec, role).parts
    available, count = None if TRAIN not in parts else parts[TRAIN].count, data.get("count")
    if data.get("source") != spec or available is None or not isinstance(count, int) or count <= available or len(parts) < 2:
        return ""
    return f"warning: it was trained on {count:,} pictures, where {spec} has {available:,} for training: on held-out ones, too, which then flatter it"


def parse_split(name: str) -> str:
    """Return the split that a name on the command line means; names of split folders work, too.

    Raises:
        UsageError: The name means no split.
    """
    split = split_of_name(name)
    if split is None:
        raise UsageError(f"--split {name}: not one of {', '.join(SPLITS)}")
    return split


def find_prepared_packs(folder: Path) -> dict[str, SplitPart]:
    """Return the packs that `data prepare` wrote: for training at the top, for other splits in their folders."""
    packs: dict[str, SplitPart] = {}
    for inner in [folder, *_visible_folders(folder)] if folder.is_dir() else ():
        split = TRAIN if inner is folder else split_of_name(inner.name)
        pack = inner / PREPARED_PACK
        if split and split not in packs and pack.is_file():
            packs[split] = SplitPart(pack, count=_pack_count(pack))
    return packs


def _ordered(parts: Mapping[str, SplitPart]) -> dict[str, SplitPart]:
    return {split: parts[split] for split in SPLITS if split in parts}


def _visible_folders(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(inner for inner in folder.iterdir() if inner.is_dir() and not is_hidden_name(inner.name))
    return []


def _split_of_folder(folder: Path) -> str | None:
    """Return the split that a folder's name means, if the folders next to it are splits, one for training."""
    folder = folder.absolute()
    if not splits_in_name(folder.name):
        return None
    folders = [inner for inner in _visible_folders(folder.parent) if inner.name != folder.name]
    if split_of_name(folder.name) is None and not any(splits_in_name(inner.name) for inner in folders):
        return None  # before the folders next to it, which may be large, are looked into
    siblings = [inner.name for inner in folders if _holds_pictures(inner)]
    splits = splits_of_folders([folder.name, *siblings])
    own = splits.pop(folder.name, None)
    if own is None:
        return None
    has_training = own == TRAIN or TRAIN in splits.values() or (folder.parent / PREPARED_PACK).is_file()
    return own if len(splits) == len(siblings) and has_training else None


def _holds_pictures(folder: Path) -> bool:
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden_name(name)]
        if any(is_picture_name(name) or name == PREPARED_PACK for name in names):
            return True
    return False


def _split_of_file(path: Path) -> str:
    """Return the split of a file: as recorded in it, else by its name if packs next to it have such names."""
    if is_cifar(path):
        return "test" if path.name in TEST else TRAIN
    if is_idx(path):
        return "test" if path.name.startswith("t10k-") else TRAIN
    if path.name == PREPARED_PACK and (own := _split_of_folder(path.parent)):
        return own
    with suppress(DataError):
        manifest = read_manifest(path.with_suffix(".json"))
        for record in (manifest.get("split"), manifest["made_by"].get("split")):
            name = record.get("name") if isinstance(record, dict) else record
            if isinstance(name, str) and name in SPLITS:
                return name
    own = split_of_name(path.stem)
    others = [split_of_name(other.stem) for other in path.absolute().parent.glob("*.npy")]
    return own if own is not None and TRAIN in others else TRAIN


def _pack_count(path: Path) -> int | None:
    with suppress(DataError):
        return int(read_manifest(path.with_suffix(".json"))["count"])
    return None
