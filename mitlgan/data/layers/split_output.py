"""Finds the photograph of a file that `data split` wrote; all its files must be in the same split."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.data.sources.image_source import open_source
from mitlgan.data.sources.leftovers import MAX_NAMES
from mitlgan.data.sources.split_folders import SPLITS, TRAIN
from mitlgan.data.splits import find_folder_splits

SPLIT_MANIFEST = "split.json"
ALPHA = "alpha"
"""Method of a picture that is cut by its own transparency."""
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
        out: Its folder, absolute.
        shown_out: Its folder, as the user named it.
        manifest: What the call recorded; an earlier version may have recorded less.

    Attributes:
        source: What was split, as the user named it; empty if the manifest does not say so.
        settings: How pictures were cut.
        choices: Lists of what was excluded (`exclude`) and kept (`keep`), and the minimum confidences (`cut`, `fill`).
        holdout: What was to be held out; empty if the manifest does not say so.
        unreadable_fraction: Share of the pictures that were no usable ones.
    """

    def __init__(self, out: Path, shown_out: Path, manifest: Mapping[str, Any]) -> None:
        self.out, self.shown_out, self.source = out, shown_out, str(manifest.get("source", ""))
        self.settings: dict[str, Any] = dict(manifest["made_by"].get("settings") or {})
        self.choices: dict[str, Any] = dict(manifest.get("choices") or {})
        self.holdout = str((manifest.get("holdout") or {}).get("asked", ""))
        records: list[dict[str, object]] = manifest["records"]
        self.unreadable_fraction = sum(record.get("decision") == "unreadable" for record in records) / max(1, len(records))
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
                return SplitOutput(out, _as_named(out, folder), manifest)
    return None


def _as_named(out: Path, folder: Path) -> Path:
    """Return a folder around another one, relative if that one is."""
    return out if folder.is_absolute() else Path(os.path.relpath(out))


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


def describe_missing_scenes(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return in sentences why pictures that are used have no scene; their numbers add up to that of these pictures.

    Args:
        records: Of the manifest.
    """
    bare = [record for record in records if record["decision"] == "used" and not any(map(_is_of_scene, record["files"]))]
    cutouts = sum(record["method"] == ALPHA for record in bare)
    long = sum(record["method"] != ALPHA and not any(map(_is_of_scene, record["pieces"])) for record in bare)
    rest = len(bare) - cutouts - long
    sentences = (
        (cutouts, f"{'has its' if cutouts == 1 else 'have their'} own transparency: a foreground, and neither scene nor background"),
        (long, f"{'object is' if long == 1 else 'objects are'} longer than a square of the picture: a foreground, and no scene"),
        (rest, f"{'scene is' if rest == 1 else 'scenes are'} left out by --exclude, or gone from --out"),
    )
    return [f"{count:,} {words}" for count, words in sentences if count]


def _is_of_scene(file: str) -> bool:
    return file.startswith("scene/") and not file.endswith(MATTE_SUFFIX)


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
