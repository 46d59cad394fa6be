"""Finds the photograph of a file that `data split` wrote; all its files must be in the same split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.image_source import open_source
from mitlgan.data.sources.leftovers import MAX_NAMES
from mitlgan.data.sources.split_folders import SPLITS, TRAIN
from mitlgan.data.splits import find_folder_splits

SPLIT_MANIFEST = "split.json"
CUT_FOLDERS = ("fg", "bg", "scene")


class CutHashes(NamedTuple):
    """Hashes of the files of a split.

    Attributes:
        trained: Of those that are trained on.
        held_out: Of those that are only measured against.
    """

    trained: str
    held_out: str


class SplitOutput:
    """The files that a call of `data split` wrote.

    Args:
        out: Its folder.
        source: What was split, as the user named it; empty if the manifest does not say so.
        records: Records of its manifest.
    """

    def __init__(self, out: Path, source: str, records: list[dict[str, object]]) -> None:
        self.out, self.source = out, source
        self._photographs = {
            f"{str(file).split('/')[0]}/{str(file).split('/')[-1]}": str(record["name"])
            for record in records
            for file in [*_as_list(record.get("files")), *_as_list(record.get("pieces"))]
        }

    def photograph(self, folder: Path, name: str) -> str | None:
        """Return the name of a file's photograph; None for a file that `data split` did not write."""
        with suppress(ValueError):
            parts = (folder / name).absolute().relative_to(self.out.absolute()).parts
            return self._photographs.get(f"{parts[0]}/{parts[-1]}")
        return None

    def added(self, folder: Path, names: Iterable[str]) -> list[str]:
        """Return those of a folder's pictures that `data split` did not write; none for a folder that is not one of its sets."""
        with suppress(ValueError):
            parts = folder.absolute().relative_to(self.out.absolute()).parts
            if parts and any(piece.startswith(f"{parts[0]}/") for piece in self._photographs):
                return [name for name in names if self.photograph(folder, name) is None]
        return []


def find_split_output(folder: Path) -> SplitOutput | None:
    """Return the output of `data split` that contains a folder (`layers/fg/train`, `layers`); None if there is none."""
    absolute = folder.absolute()
    for out in (absolute, *absolute.parents[:2]):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            manifest = json.loads((out / SPLIT_MANIFEST).read_text(encoding="utf-8"))
            if manifest["made_by"]["work"] == "split":
                return SplitOutput(out, str(manifest.get("source", "")), manifest["records"])
    return None


def describe_added_pictures(folder: Path, names: Sequence[str]) -> str:
    """Return in a sentence which pictures were put into a set after `data split` had made it; empty if there are none.

    Args:
        folder: Any folder.
        names: Its pictures, relative to it.
    """
    output = find_split_output(folder)
    added = [] if output is None else output.added(folder, names)
    if not added:
        return ""
    listed = ", ".join([*added[:MAX_NAMES], *(["..."] if len(added) > MAX_NAMES else [])])
    return f"added since `data split`, and used as well: {len(added):,} of {len(names):,} pictures ({listed})"


def hash_cuts(out: Path) -> CutHashes:
    """Return hashes of the files of a split: of their places and contents, with what was added, and of no words.

    A picture in no split counts nowhere, nor does an added file that cannot be decoded: a training leaves both out.

    Args:
        out: Folder of the split.

    Raises:
        DataError: A folder has files, but no pictures that can be told apart.
        ResourceError: A picture cannot be read for a fault of the machine.
    """
    trained, held_out = hashlib.sha256(), hashlib.sha256()
    for folder in _folders_with_files(out):
        splits, output = find_folder_splits(folder), find_split_output(folder)
        added = set() if output is None else set(output.added(folder, splits.names))
        for split, part in splits.parts.items():
            entries = [] if part.source is None else [one for one in part.source.entries if one.name not in added or _is_decodable(one)]
            (trained if split == TRAIN else held_out).update(_describe_files(folder.name, entries))
    return CutHashes(trained.hexdigest(), held_out.hexdigest())


def hash_all_cuts(out: Path) -> str:
    """Return one hash of all files of a split, as plans of earlier versions have it; arguments and errors as of `hash_cuts`."""
    digest = hashlib.sha256()
    for folder in _folders_with_files(out):
        digest.update(_describe_files(folder.name, open_source(folder).entries))
    return digest.hexdigest()


def _folders_with_files(out: Path) -> list[Path]:
    return [out / name for name in CUT_FOLDERS if any(path.is_file() for path in (out / name).rglob("*"))]


def _describe_files(folder: str, entries: Iterable[ImageEntry]) -> bytes:
    """Return a line for each picture and each matte: its place and the hash of its content."""
    files = {file.name: file for entry in entries for file in (entry, entry.matte) if file is not None}
    lines = []
    for name, file in sorted(files.items()):
        content = b""
        with suppress(UnreadableImageError):
            content = file.read()
        lines.append(f"{folder}/{name!r} {hashlib.sha256(content).hexdigest()}\n")
    return "".join(lines).encode()


def _is_decodable(entry: ImageEntry) -> bool:
    try:
        decode_bytes(entry.read(), keep_alpha=True)
    except UnreadableImageError:
        return False
    return True


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def is_leak(one: str, other: str) -> bool:
    """Whether a photograph in both splits is a leak: one for training, the other held out."""
    return TRAIN in (one, other) and one != other and {one, other} <= set(SPLITS)
