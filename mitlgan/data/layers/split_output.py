"""Finds the photograph of a file that `data split` wrote; all its files must be in the same split."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitlgan.data.decode.image_file import UnreadableImageError
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.data.sources.image_source import open_source
from mitlgan.data.sources.leftovers import MAX_NAMES
from mitlgan.data.sources.split_folders import SPLITS, TRAIN

SPLIT_MANIFEST = "split.json"
ALPHA = "alpha"
"""Method of a picture that is cut by its own transparency."""
TRAINED_FOLDERS = ("fg", "bg", "scene")


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


def hash_trained_files(out: Path) -> str:
    """Return a hash of all files of a split that are trained on or measured against: their places and contents, with what was added, and no words.

    Args:
        out: Folder of the split.

    Raises:
        DataError: A folder has files, but no pictures that can be told apart.
        ResourceError: A picture cannot be read for a fault of the machine.
    """
    digest = hashlib.sha256()
    for folder in TRAINED_FOLDERS:
        is_empty = not any(path.is_file() for path in (out / folder).rglob("*"))
        entries: Sequence[ImageEntry] = () if is_empty else open_source(out / folder).entries
        files = {file.name: file for entry in entries for file in (entry, entry.matte) if file is not None}
        for name, file in sorted(files.items()):
            content = b""
            with suppress(UnreadableImageError):
                content = file.read()
            digest.update(f"{folder}/{name!r} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def is_leak(one: str, other: str) -> bool:
    """Whether a photograph in both splits is a leak: one for training, the other held out."""
    return TRAIN in (one, other) and one != other and {one, other} <= set(SPLITS)
