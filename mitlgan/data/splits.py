"""The splits of what `--data` names: which are there, where they lie, and which of them a number is measured on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mitlgan.data.demo import LAYER_SPLITS
from mitlgan.data.demo.scenes import SCENE_COUNTS
from mitlgan.data.pack.image_pack import PREPARED_PACK, read_manifest
from mitlgan.data.readers.cifar import TEST, is_cifar
from mitlgan.data.readers.idx import is_idx
from mitlgan.data.sources.image_source import LISTS, ImageSource, open_source
from mitlgan.data.sources.leftovers import BESIDE, LeftoverFile
from mitlgan.data.sources.listing import is_picture_name
from mitlgan.data.sources.split_folders import SPLITS, TRAIN, SplitLayout, find_split_folders, split_of_name
from mitlgan.errors import DataError, UsageError, to_one_line

DEMO = "demo"


def split_source(source: ImageSource, option: str = "SRC") -> tuple[dict[str, ImageSource], SplitLayout]:
    """A source's splits, each a source with the names that its pictures have in the whole; a list of paths is taken as it is.

    Args:
        source: A folder, an archive or a list.
        option: How error messages name it.

    Raises:
        DataError: Two folders mean one split.
    """
    whole = Path(source.spec)
    if whole.is_file() and whole.suffix.lower() in LISTS:
        return {TRAIN: source}, SplitLayout({TRAIN: range(len(source.entries))})
    found = find_split_folders([entry.name for entry in source.entries], f"{option} {source.spec}")
    if not found.folders and whole.is_dir() and (own := _own_split(whole)):
        found = replace(found, parts={own: found.parts[TRAIN]})
    left = [LeftoverFile(source.entries[place].name, "beside the split folders, in none of them", BESIDE) for place in found.unassigned]
    return {split: source.subset((source.entries[place] for place in places), left) for split, places in found.parts.items()}, found


def training_source(source: ImageSource) -> tuple[ImageSource, str]:
    """The training pictures of a source, and in one line which part they are; of an archive that holds one split only, that one.

    Raises:
        DataError: Two folders mean one split, or a folder holds held-out pictures alone.
    """
    sources, found = split_source(source)
    if TRAIN in sources:
        said = found.describe(TRAIN, [entry.name for entry in source.entries])
        return sources[TRAIN], f"{source.spec}: {said}" if said else ""
    if found.folders and Path(source.spec).is_dir():
        there = ", ".join(folder for folders in found.folders.values() for folder in folders)
        raise DataError(f"SRC {source.spec}: holds {there} and no pictures for training; name the folder inside itself")
    return source, ""


@dataclass(frozen=True)
class Part:
    """One split of a set, where it lies.

    Attributes:
        path: The folder of the set, or the file: a pack, or a format of its own.
        source: Its pictures; None where `path` is no folder of pictures.
        count: How many pictures, where that is known without reading them.
    """

    path: Path
    source: ImageSource | None = None
    count: int | None = None

    @property
    def names(self) -> tuple[str, ...] | None:
        """Its pictures, relative to the folder."""
        return None if self.source is None else tuple(entry.name for entry in self.source.entries)


@dataclass(frozen=True)
class DataSplits:
    """What a `--data` value has.

    Attributes:
        spec: The value.
        parts: The splits that are there.
        layout: Of a folder of pictures.
        names: Of all its pictures.
    """

    spec: str
    parts: Mapping[str, Part]
    layout: SplitLayout | None = None
    names: Sequence[str] = ()

    def resolve(self, wanted: str) -> str:
        """The split that is opened where one is wanted: itself, else `train`, else the only one."""
        return next((split for split in (wanted, TRAIN) if split in self.parts), next(iter(self.parts)))

    def require(self, wanted: str) -> str:
        """The same, where pictures are opened; held-out folders alone are no pictures for training.

        Raises:
            DataError: They are wanted, and there are none.
        """
        split = self.resolve(wanted)
        if wanted == TRAIN != split and self.layout is not None and self.layout.folders:
            there = ", ".join(folder for folders in self.layout.folders.values() for folder in folders)
            raise DataError(f"--data {self.spec}: holds {there} and no pictures for training; put these into train/, or name the folder inside itself")
        return split

    def source(self, split: str) -> ImageSource:
        """Of a folder's split, in the order of names.

        Raises:
            DataError: It is no folder of pictures.
        """
        found = self.parts[split].source
        if found is None:
            raise DataError(f"--data {self.spec}: its {split} pictures are no folder of pictures")
        return found

    def manifest_record(self, split: str) -> dict[str, Any] | None:
        """What a pack of a split is of, for its manifest; None where nothing says so, as of a folder without splits."""
        known = self.layout is not None and (self.layout.folders or self.layout.remark or split != TRAIN)
        return self.layout.to_manifest(split) if known and self.layout is not None else None

    def describe(self, split: str) -> str:
        """What is taken and what is left; empty where there is nothing to say."""
        said = "" if self.layout is None else self.layout.describe(split, self.names)
        return to_one_line(f"{self.spec}: {said}") if said else ""

    def describe_available(self) -> str:
        """The splits for a message: `train (24 pictures), test (12 pictures)`."""
        return ", ".join(split if part.count is None else f"{split} ({part.count:,} pictures)" for split, part in self.parts.items())


def find_splits(spec: str, role: str) -> DataSplits:
    """The splits of a `--data` value: `demo`, a folder, a pack, or a format of its own.

    Raises:
        DataError: Nothing there, or two folders that mean one split.
    """
    path = Path(spec)
    if spec == DEMO:
        here = SPLITS if role == "scene" else LAYER_SPLITS.get(role, [TRAIN])
        return DataSplits(spec, {split: Part(path, count=SCENE_COUNTS[split] if role == "scene" else None) for split in here})
    if path.is_file():
        return DataSplits(spec, {_split_of_file(path): Part(path, count=_pack_count(path))})
    if is_cifar(path):
        return DataSplits(spec, {split: Part(path) for split in (TRAIN, "test") if split == TRAIN or (path / TEST[0]).is_file()})
    return _picture_set_of_folder(path)


def find_folder_splits(source: str | Path) -> DataSplits:
    """The splits of a folder of pictures, whatever else it holds; of an archive or a list likewise.

    Raises:
        DataError: As `picture_set`.
    """
    return _divided(open_source(source, "--data"), {})


def _picture_set_of_folder(path: Path) -> DataSplits:
    packs = find_prepared_packs(path)
    try:
        source = open_source(path, "--data")
    except DataError:
        if not packs:
            raise
        source = ImageSource(str(path), ())
    if TRAIN in packs:  # pictures of training that lie in the same folder are what the pack was made of
        source = source.subset(one for one in source.entries if "/" in one.name and split_of_name(one.name.partition("/")[0]) not in (None, TRAIN))
    if not source.entries:
        own = {} if packs.keys() - {TRAIN} else {_own_split(path) or TRAIN: part for part in packs.values()}
        return DataSplits(str(path), _ordered(own or packs))
    return _divided(source, packs)


def _divided(source: ImageSource, packs: Mapping[str, Part]) -> DataSplits:
    sources, found = split_source(source, "--data")
    parts = {split: Part(Path(source.spec), one, len(one.entries)) for split, one in sources.items()}
    return DataSplits(source.spec, _ordered({**parts, **packs}), found, [entry.name for entry in source.entries])


def resolve_split(spec: str, role: str, wanted: str) -> str:
    """The split of a `--data` value that is opened where one is wanted; see `PictureSet.resolved`.

    Raises:
        UsageError: No split is called so.
        DataError: As `picture_set`.
    """
    return find_splits(spec, role).resolve(parse_split(wanted))


def choose_evaluation_split(spec: str, role: str, wanted: str | None, default: str, say: Callable[[str], None]) -> str:
    """The split that a number is measured on.

    Args:
        spec: Value of `--data`, or of `data.source` in the recipe.
        role: Of the pictures.
        wanted: The split that the user asked for; it must be there.
        default: Taken where the user asked for none; where that is not there, the other held-out one stands in, or else the training pictures.
        say: Told in one line what stands in.

    Raises:
        UsageError: No split is called so.
        DataError: The split that was asked for is not there; says which are.
    """
    found = find_splits(spec, role)
    if wanted is not None:
        wanted = parse_split(wanted)
        if wanted not in found.parts:
            raise DataError(f"--split {wanted}: {spec} has no {wanted} pictures; it has {found.describe_available()}")
        return wanted
    held_out = [split for split in ("test", "validation") if split in found.parts]
    split = next((split for split in (default, *held_out, TRAIN) if split in found.parts), next(iter(found.parts)))
    if split != default:
        flattered = "; a network that was trained on them is flattered" if split == TRAIN else ""
        say(f"warning: {spec} has no {default} pictures: its {split} pictures stand in{flattered}")
    return split


def held_out_training_warning(spec: str, role: str, data: Mapping[str, Any]) -> str:
    """In a sentence, that a network was trained on more pictures than a set has for training: earlier versions took some split folders for training.

    Args:
        spec: Value of `--data`, or of `data.source` in the recipe.
        role: Of the pictures.
        data: What the network's card says of its pictures.
    """
    parts = find_splits(spec, role).parts
    there, count = None if TRAIN not in parts else parts[TRAIN].count, data.get("count")
    if data.get("source") != spec or there is None or not isinstance(count, int) or count <= there or len(parts) < 2:
        return ""
    return f"warning: it was trained on {count:,} pictures, where {spec} has {there:,} for training: on held-out ones, too, which then flatter it"


def parse_split(name: str) -> str:
    """The split that a name on the command line means; those of folders are taken, too.

    Raises:
        UsageError: It means none.
    """
    found = split_of_name(name)
    if found is None:
        raise UsageError(f"--split {name}: not one of {', '.join(SPLITS)}")
    return found


def _ordered(parts: Mapping[str, Part]) -> dict[str, Part]:
    return {split: parts[split] for split in SPLITS if split in parts}


def find_prepared_packs(folder: Path) -> dict[str, Part]:
    """What `data prepare` left: a pack at the top for training, those of held-out pictures in the folders of their splits."""
    found: dict[str, Part] = {}
    for inner in [folder, *_visible_folders(folder)] if folder.is_dir() else ():
        split = TRAIN if inner is folder else split_of_name(inner.name)
        pack = inner / PREPARED_PACK
        if split and split not in found and pack.is_file():
            found[split] = Part(pack, count=_pack_count(pack))
    return found


def _visible_folders(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith("."))
    return []


def _own_split(folder: Path) -> str | None:
    """The split that a folder is by its own name: only where its siblings are splits, too, and one of them is for training."""
    folder = folder.absolute()
    own = split_of_name(folder.name)
    if own is None:
        return None
    siblings = [inner.name for inner in _visible_folders(folder.parent) if inner.name != folder.name and _holds_pictures(inner)]
    splits = [split_of_name(name) for name in siblings]
    for_training = own == TRAIN or TRAIN in splits or (folder.parent / PREPARED_PACK).is_file()
    return own if None not in splits and for_training else None


def _holds_pictures(folder: Path) -> bool:
    return any(is_picture_name(name) or name == PREPARED_PACK for name in _names_under(folder))


def _names_under(folder: Path) -> Iterator[str]:
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        yield from names


def _split_of_file(path: Path) -> str:
    """The split of a pack or a file of a known format: as it records it, else by its name beside others of such names, else `train`."""
    if is_cifar(path):
        return "test" if path.name in TEST else TRAIN
    if is_idx(path):
        return "test" if path.name.startswith("t10k-") else TRAIN
    if path.name == PREPARED_PACK and (own := _own_split(path.parent)):
        return own
    with suppress(DataError):
        manifest = read_manifest(path.with_suffix(".json"))
        for record in (manifest.get("split"), manifest["made_by"].get("split")):
            name = record.get("name") if isinstance(record, dict) else record
            if isinstance(name, str) and name in SPLITS:
                return name
    own = split_of_name(path.stem)
    others: Iterable[str | None] = (split_of_name(other.stem) for other in path.absolute().parent.glob("*.npy"))
    return own if own is not None and TRAIN in others else TRAIN


def _pack_count(path: Path) -> int | None:
    with suppress(DataError):
        return int(read_manifest(path.with_suffix(".json"))["count"])
    return None
