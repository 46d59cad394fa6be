"""Finds pictures that were added to a folder after `data prepare` had packed it there: only the pack is read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mitlgan.data.pack.manifest import read_manifest, read_sources
from mitlgan.data.sources.image_source import open_source
from mitlgan.data.sources.leftovers import LeftoverFile, Leftovers
from mitlgan.data.sources.split_folders import TRAIN, split_of_name
from mitlgan.data.splits import find_prepared_packs
from mitlgan.errors import DataError

NEWER = "added later"
REASON = "not in the pack; for a pack of all, run `mitlgan data prepare` again, into another folder"


def find_newer_pictures(folder: Path) -> Leftovers:
    """Return the pictures in a folder that its packs were not made of.

    Args:
        folder: Holds packs that `data prepare` made, or none.

    Returns:
        The pictures that are not read, by name. None if the packs were made of another folder, or of some of its pictures by a table.
    """
    packs = {split: part.path.with_suffix(".json") for split, part in find_prepared_packs(folder).items()}
    names: set[str] = set()
    if TRAIN not in packs:
        return Leftovers()
    with suppress(DataError):  # a damaged pack is refused where it is opened; a folder without pictures has no newer ones
        for path in packs.values():
            manifest = read_manifest(path)
            if manifest["made_by"].get("selection"):
                return Leftovers()
            names |= {str(one["name"]) for one in (*manifest["skipped"], *read_sources(path, manifest["count"]))}
        ignored = [entry.name for entry in open_source(folder).entries if _split_of_picture(entry.name) in packs]
        newer = [name for name in ignored if name not in names]
        if len(newer) < len(ignored):
            return Leftovers(tuple(LeftoverFile(name, REASON, NEWER) for name in newer))
    return Leftovers()


def _split_of_picture(name: str) -> str:
    folder, slash, _ = name.partition("/")
    return (split_of_name(folder) if slash else None) or TRAIN
