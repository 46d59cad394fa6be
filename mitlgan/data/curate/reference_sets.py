"""Reads sets of pictures that exist already: folders, archives, packs, and what `data prepare` made."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mitlgan.data.build.parallel import in_order
from mitlgan.data.build.prepare_image import BACKDROP_VERSION, CUTOUT_VERSION, MIDDLE_VERSION, ON_BACKDROP
from mitlgan.data.curate.cutout_agreement import reduce_cutout
from mitlgan.data.curate.perceptual_hash import PictureHash, hash_from_json, hash_picture, hashes_from_json
from mitlgan.data.decode.image_file import UnreadableImageError
from mitlgan.data.layers.holdout import HELD_OUT
from mitlgan.data.newer_pictures import find_newer_pictures
from mitlgan.data.pack.image_pack import PREPARED_PACK, ImagePack
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.image_source import ImageSource, open_source
from mitlgan.data.sources.leftovers import Leftovers
from mitlgan.data.sources.split_folders import TRAIN, SplitLayout, list_names, split_of_name
from mitlgan.data.splits import find_prepared_packs, find_splits, split_source


@dataclass(frozen=True)
class ReferenceSet:
    """A set whose pictures must not be used again.

    Attributes:
        spec: The set as the user named it.
        sha256: Tells whether the set is still the same.
        pictures: Name and hashes of every readable picture, of all its looks.
        remarks: What of the set is not compared, in sentences.
    """

    spec: str
    sha256: str
    pictures: list[tuple[str, list[PictureHash]]]
    remarks: list[str] = field(default_factory=list)


def read_reference_set(spec: str | Path, hash_entry: Callable[[ImageEntry], list[PictureHash]]) -> ReferenceSet:
    """Hash every picture of a set; the set of a folder that `data prepare` made includes what was held out.

    Args:
        spec: See `open_source`, or a pack.
        hash_entry: Returns the hashes of a picture that is in no pack, or raises `UnreadableImageError`.

    Raises:
        DataError: There is no such set.
    """
    path, spec = Path(spec), str(spec)
    pack = find_pack(path)
    if pack is not None:
        packs = [pack] if path.is_file() else [pack, *find_held_out_packs(pack.path).values()]
        digest = pack.content_sha256 if len(packs) == 1 else hashlib.sha256("".join(one.content_sha256 for one in packs).encode()).hexdigest()
        pictures = [(str(line["name"]), hash_packed_looks(one, index, line)) for one in packs for index, line in enumerate(one.sources())]
        remarks = [*find_newer_pictures(path).describe(), *describe_unknown_copies(packs)]
        return ReferenceSet(spec, digest, pictures, [f"--against {spec}: {remark}" for remark in remarks])
    source = open_source(spec, "--against")
    hashes = list(in_order(source.entries, partial(_hash_or_error, hash_entry)))
    unreadable = [f"{entry.name!r}: {error}" for entry, error in hashes if isinstance(error, UnreadableImageError)]
    remarks = source.leftovers.describe(include_counts=False)
    if unreadable:
        remarks.append(f"{len(unreadable):,} of {len(hashes):,} files cannot be read, and are not recognised among others; the first, {unreadable[0]}")
    readable = [(entry.name, values) for entry, values in hashes if isinstance(values, list)]
    return ReferenceSet(spec, source.listing_sha256(), readable, [f"--against {spec}: {remark}" for remark in remarks])


def _hash_or_error(hash_entry: Callable[[ImageEntry], list[PictureHash]], entry: ImageEntry) -> list[PictureHash] | UnreadableImageError:
    try:
        return hash_entry(entry)
    except UnreadableImageError as error:
        return error


@dataclass(frozen=True)
class NamedSet:
    """A set, or one split of it.

    Attributes:
        name: The path of its folder, or its folder in an archive.
        split: Its split; empty if the set has no splits.
        content: Its pictures; their names are relative to the split's folder.
        remark: What a user may not expect of the folders, in a sentence without its full stop; empty if there is nothing.
    """

    name: str
    split: str
    content: ImageSource | ImagePack
    remark: str = ""


def open_named_sets(spec: str, option: str) -> tuple[list[NamedSet], list[tuple[str, bool]]]:
    """Return the splits of a source or pack, each as a set, and sentences about the whole, with whether it hurts training.

    Raises:
        DataError: There is no such set, or two folders mean one split.
    """
    path = Path(spec)
    packs = {} if path.is_file() and path.suffix != ".npy" else _open_packs(path)
    sets = [NamedSet(str(pack.path.parent) if len(packs) > 1 else spec, split, pack) for split, pack in packs.items()]
    if packs:
        return sets, [(f"{line}.", False) for line in describe_unknown_copies(packs.values())]
    source = open_source(spec, option)
    sources, layout = split_source(source, option)
    if not layout.folders:
        only = next(iter(sources))
        one = NamedSet(spec, only if only != TRAIN or split_of_name(path.name) == TRAIN else "", source, layout.remark)
        return [one], [(f"{layout.remark}.", False)] if layout.remark else []
    for split, part in sources.items():
        folders = layout.folders.get(split, ())
        prefix = folders[0] if len(folders) == 1 else ""
        entries = tuple(replace(entry, name=entry.name.removeprefix(prefix)) for entry in part.entries)
        content = replace(part, entries=entries, leftovers=part.leftovers if not sets else Leftovers())  # those of the whole set are reported once
        sets.append(NamedSet(f"{spec.rstrip('/')}/{prefix[:-1]}" if prefix else f"{spec} ({split})", split, content))
    names = [source.entries[position].name for position in layout.unassigned]
    sentence = f"{len(names):,} pictures are next to the split folders, in no split: {list_names(names)}; {_unassigned_advice(path, layout, names)}"
    return sets, [(sentence, True)] if names else []


def _unassigned_advice(path: Path, layout: SplitLayout, names: Sequence[str]) -> str:
    """Return the command that moves the named pictures next to split folders into training, or else the one that lists them."""
    folders, places = layout.folders.get(TRAIN, ()), {Path(name).parent for name in names}
    if not path.is_dir() or len(folders) != 1 or len(places) != 1:
        return f"to see the names of all: mitlgan data stats {shlex.quote(str(path))} --json"
    place, train = (shlex.quote(str(path / inner)) for inner in (places.pop(), folders[0]))
    return f"to train on them, too: find {place} -maxdepth 1 -type f -exec mv -n {{}} {train} \\;"


def _open_packs(path: Path) -> dict[str, ImagePack]:
    """Open the packs of a path, by split; a single pack of no known split has the empty one."""
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
    """Open the pack of a path: a `.npy` file, or a folder that `data prepare` made; None if there is none."""
    if path.suffix == ".npy" and path.is_file():
        return ImagePack.open(path)
    inside = path / PREPARED_PACK
    return ImagePack.open(inside) if inside.is_file() else None


def find_held_out_packs(training: Path) -> dict[str, ImagePack]:
    """Open the held-out packs that `data prepare` made with a training pack, by split."""
    return {split: ImagePack.open(path) for split in HELD_OUT if (path := training.parent / split / PREPARED_PACK).is_file()}


def describe_unknown_copies(packs: Iterable[ImagePack]) -> list[str]:
    """Return in a line each which copies of pictures in packs are not recognised, because earlier versions did not record what tells them.

    They are those of cut-outs on a backdrop: `data prepare` recorded the hash of what they look like on it, and `data pack` records none; earlier
    versions of both did not record whether there was any transparency either. And they are those of pictures of which only the middle is alike, if
    `data prepare` cropped another square than that.
    """
    packs, way_out = list(packs), "`mitlgan data prepare`, into a new folder, makes a pack that tells them"
    lines = []
    if any(map(_has_lost_transparency, packs)):
        lines.append(f"copies of its cut-outs that were laid on a backdrop are not recognised; {way_out}")
    elif any(map(_may_have_lost_transparency, packs)):
        words = "copies of cut-outs may not be recognised, if any were laid on a backdrop, which the version that made it did not record"
        lines.append(f"{words}; {way_out}")
    if any(map(_has_no_middles, packs)):
        lines.append(f"copies of which only the middle is alike are not recognised; {way_out}")
    return lines


def _version(pack: ImagePack) -> int:
    """Return the version of the work that made a pack; 0 if it names none."""
    version = pack.manifest["made_by"].get("version")
    return version if isinstance(version, int) else 0


def _has_lost_transparency(pack: ImagePack) -> bool:
    is_earlier = pack.manifest["made_by"].get("work") == "prepare" and _version(pack) < CUTOUT_VERSION
    return (is_earlier and any(ON_BACKDROP in line for line in pack.sources())) or bool(pack.manifest.get("composited_on"))


def _may_have_lost_transparency(pack: ImagePack) -> bool:
    made_by = pack.manifest["made_by"]
    is_of_pictures = made_by.get("work") == "prepare" or made_by.get("command") == "pack"
    return is_of_pictures and _version(pack) < BACKDROP_VERSION and pack.fourth_channel != "alpha"


def _has_no_middles(pack: ImagePack) -> bool:
    made_by = pack.manifest["made_by"]
    is_earlier = made_by.get("work") == "prepare" and _version(pack) < MIDDLE_VERSION
    return (
        is_earlier
        and made_by.get("settings", {}).get("crop", "center") != "center"
        and any(line.get("width") != line.get("height") for line in pack.sources())
    )


def hash_packed_looks(pack: ImagePack, index: int, line: dict[str, Any]) -> list[PictureHash]:
    """Return the hashes of a packed picture, first that of what was kept of it, from its line in the manifest or from its pixels.

    Earlier versions recorded no cut-outs, and of what is no square only the square that was kept.
    """
    if hash_from_json(line) is None:
        digest = str(line.get("sha256") or hashlib.sha256(pack.pixels[index].tobytes()).hexdigest())
        return [hash_picture(pack.picture(index), digest)]
    first, *others = hashes_from_json(line)
    is_complete = bool(first.cutout) or pack.fourth_channel != "alpha"
    return [first if is_complete else replace(first, cutout=reduce_cutout(pack.picture(index))), *others]
