"""The looks of a set that is there already: a folder, a pack, or what `data prepare` made."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mitlgan.data.build.parallel import in_order
from mitlgan.data.curate.perceptual_hash import PictureHash, hash_from_json, hash_picture
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.layers.holdout import HELD_OUT
from mitlgan.data.pack.image_pack import PREPARED_PACK, ImagePack
from mitlgan.data.sources.image_source import ImageEntry, ImageSource, open_source
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.data.sources.split_folders import TRAIN, SplitLayout, list_names, split_of_name
from mitlgan.data.splits import find_prepared_packs, find_splits, split_source


def read_reference_set(spec: str | Path) -> tuple[str, list[tuple[str, PictureHash]], list[str]]:
    """Name and look of every readable picture of a set.

    Returns:
        A hash that tells whether the set is still the same; the names with their looks; and in sentences what of the set is not known. What
        `data prepare` held out is part of its folder's set.

    Raises:
        DataError: There is no such set.
    """
    pack = find_pack(Path(spec))
    if pack is not None:
        packs = [pack] if Path(spec).is_file() else [pack, *find_held_out_packs(pack.path).values()]
        digest = pack.content_sha256 if len(packs) == 1 else hashlib.sha256("".join(one.content_sha256 for one in packs).encode()).hexdigest()
        return (
            digest,
            [(str(source["name"]), hash_packed_picture(one, index, source)) for one in packs for index, source in enumerate(one.sources())],
            [],
        )
    source = open_source(spec, "--against")

    def work(entry: ImageEntry) -> PictureHash | UnreadableImageError:
        try:
            decoded = decode_bytes(entry.read(), keep_alpha=True, size_px=64)
        except UnreadableImageError as error:
            return error
        return hash_picture(decoded.picture, decoded.sha256)

    seen = list(in_order(source.entries, work))
    unknown = [f"{entry.name!r}: {error}" for entry, error in seen if isinstance(error, UnreadableImageError)]
    remarks = source.leftovers.describe(quiet=False)
    if unknown:
        remarks.append(f"{len(unknown):,} of {len(seen):,} files cannot be read, and are not recognised among others; the first, {unknown[0]}")
    found = [(entry.name, known) for entry, known in seen if isinstance(known, PictureHash)]
    return source.listing_sha256(), found, [f"--against {spec}: {remark}" for remark in remarks]


@dataclass(frozen=True)
class NamedSet:
    """A set, or one split of it.

    Attributes:
        name: As a user knows it: the path of its folder, or its folder in an archive.
        split: What it is of; empty where the set has no splits.
        content: Its pictures; their names are relative to the split's folder.
    """

    name: str
    split: str
    content: ImageSource | ImagePack


def open_named_sets(spec: str, option: str) -> tuple[list[NamedSet], list[tuple[str, bool]]]:
    """The splits of a folder, archive, list or pack, each a set; and what is to be said of the whole, with whether it will hurt.

    Raises:
        DataError: There is no such set, or two folders mean one split.
    """
    path = Path(spec)
    packs = {} if path.is_file() and path.suffix != ".npy" else _packs(path)
    sets = [NamedSet(str(pack.path.parent) if len(packs) > 1 else spec, split, pack) for split, pack in packs.items()]
    if packs:
        return sets, []
    source = open_source(spec, option)
    sources, found = split_source(source, option)
    if not found.folders:
        only = next(iter(sources))
        one = NamedSet(spec, only if only != TRAIN or split_of_name(path.name) == TRAIN else "", source)
        return [one], [(f"{found.remark}.", False)] if found.remark else []
    names = [source.entries[place].name for place in found.unassigned]
    words = f"{len(names):,} pictures lie beside the split folders, in no split: {list_names(names)}"
    said = [(f"{words}; {_way_in(path, found)}", True)] if names else []
    for split, part in sources.items():
        folders = found.folders.get(split, ())
        prefix = folders[0] if len(folders) == 1 else ""
        entries = tuple(replace(entry, name=entry.name.removeprefix(prefix)) for entry in part.entries)
        own = replace(part, entries=entries, leftovers=part.leftovers if not sets else Leftovers())  # those of the whole are told once
        sets.append(NamedSet(f"{spec.rstrip('/')}/{prefix[:-1]}" if prefix else f"{spec} ({split})", split, own))
    return sets, said


def _way_in(path: Path, found: SplitLayout) -> str:
    """The command that takes pictures beside split folders for training, or else the one that names them all."""
    folders = found.folders.get(TRAIN, ())
    if not path.is_dir() or len(folders) != 1:
        return f"to see the names of all: mitlgan data stats {shlex.quote(str(path))} --json"
    train = path / folders[0]
    return f"to train on them, too: find {shlex.quote(str(train.parent))} -maxdepth 1 -type f -exec mv -n {{}} {shlex.quote(str(train))} \\;"


def _packs(path: Path) -> dict[str, ImagePack]:
    """Packs that a path names, by split; a single one that is of no known split is of none."""
    if path.is_dir():
        parts = find_prepared_packs(path)
        if len(parts) > 1 or not parts:
            return {split: ImagePack.open(part.path) for split, part in parts.items()}
        path = next(iter(parts.values())).path
    if not path.is_file():
        return {}
    split = next(iter(find_splits(str(path), "scene").parts))
    return {"" if split == TRAIN else split: ImagePack.open(path)}


def find_pack(path: Path) -> ImagePack | None:
    """The pack that a path names: a `.npy` file, or a folder that `data prepare` made."""
    if path.suffix == ".npy" and path.is_file():
        return ImagePack.open(path)
    inside = path / PREPARED_PACK
    return ImagePack.open(inside) if inside.is_file() else None


def find_held_out_packs(training: Path) -> dict[str, ImagePack]:
    """The held-out packs of what `data prepare` made, by split."""
    return {split: ImagePack.open(path) for split in HELD_OUT if (path := training.parent / split / PREPARED_PACK).is_file()}


def hash_packed_picture(pack: ImagePack, index: int, source: dict[str, Any]) -> PictureHash:
    """The look of a packed picture, as its manifest has it or from its pixels."""
    recorded = hash_from_json(source)
    if recorded is not None:
        return recorded
    digest = str(source.get("sha256") or hashlib.sha256(pack.pixels[index].tobytes()).hexdigest())
    return hash_picture(pack.picture(index), digest)
