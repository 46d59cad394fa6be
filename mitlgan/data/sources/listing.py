"""The names of a source's files, sorted: pictures, mattes beside them, and what is left."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from mitlgan.data.decode.image_file import UnreadableImageError
from mitlgan.data.sources.formats import IMAGE_SUFFIXES, detect_suffix, is_known_suffix, suffix_of, unsupported_reason
from mitlgan.data.sources.leftovers import LeftoverFile, Leftovers
from mitlgan.data.sources.mask_files import match_masks

MATTE_SUFFIX = ".matte.png"
"""NAME.matte.png is the matte of NAME.png (or .jpg, ...) beside it; any other picture's ending will do for one, too."""
MASK_REASON = f"no picture to train on; as NAME{MATTE_SUFFIX} beside its picture it is read as the picture's matte"
NO_ENDING = "without an ending"
_MATTE = ".matte"
Head = Callable[[], bytes]
"""Gives the first bytes of a file, or raises `UnreadableImageError` with the reason why not."""


class FileClassifier:
    """Sorts files by their names, and by their first bytes where a name tells nothing."""

    def __init__(self) -> None:
        self._pictures: list[str] = []
        self._mattes: dict[str, str] = {}
        self._named: list[LeftoverFile] = []
        self._others: Counter[str] = Counter()
        self._hidden = 0

    def add(self, name: str, head: Head) -> None:
        """Sort one file in.

        Args:
            name: Relative to the source, with slashes.
            head: Called where the name does not tell what the file is.
        """
        parts = PurePosixPath(name).parts
        if any(is_hidden_name(part) for part in parts):
            self._hidden += 1
            return
        suffix = suffix_of(parts[-1])
        if way := unsupported_reason(suffix):
            self._named.append(LeftoverFile(printable_name(name), way, suffix))
        elif stem := _pictured(name):
            self._add_matte(name, stem)
        elif suffix in IMAGE_SUFFIXES:
            self._pictures.append(name)
        elif is_known_suffix(suffix):
            self._others[suffix] += 1
        else:
            self._judge(name, suffix or NO_ENDING, head)

    def add_leftover(self, left: LeftoverFile) -> None:
        """Note what is left out for a reason of the source's own."""
        self._named.append(left)

    def add_hidden(self, count: int) -> None:
        """Count hidden files that were not looked at one by one."""
        self._hidden += count

    def pictures(self) -> list[str]:
        """Names of the pictures, in the order in which they came."""
        masks = match_masks(self._pictures)
        return [name for name in self._pictures if name not in masks] if masks else self._pictures

    def matte_of(self, name: str) -> str | None:
        """Name of the matte beside a picture."""
        return self._mattes.get(_stem(name))

    def leftovers(self) -> Leftovers:
        """What is neither a picture nor the matte of one."""
        stems = {_stem(name) for name in self._pictures}
        orphans = [LeftoverFile(printable_name(matte), "no picture beside it", "matte") for stem, matte in self._mattes.items() if stem not in stems]
        masks = [LeftoverFile(printable_name(mask), MASK_REASON, "mask of another picture") for mask in match_masks(self._pictures)]
        return Leftovers(tuple(sorted([*self._named, *orphans, *masks], key=lambda one: one.name)), dict(self._others), self._hidden)

    def _add_matte(self, name: str, stem: str) -> None:
        other = self._mattes.get(stem)
        best = name if other is None or name.endswith(MATTE_SUFFIX) else other
        self._mattes[stem] = best
        if other is not None and other != name:
            worse = other if best == name else name
            self._named.append(LeftoverFile(printable_name(worse), f"{printable_name(best)!r} is taken, of the same picture", "matte"))

    def _judge(self, name: str, kind: str, head: Head) -> None:
        try:
            suffix = detect_suffix(head())
        except UnreadableImageError as error:
            self._named.append(LeftoverFile(printable_name(name), str(error), kind))
            return
        if not suffix:
            self._others[kind] += 1
        elif way := unsupported_reason(suffix):
            self._named.append(LeftoverFile(printable_name(name), way, suffix))
        else:
            self._pictures.append(name)


def is_picture_name(name: str) -> bool:
    """Whether a file's name is that of a picture that can be read, not of a matte beside one or of something hidden."""
    suffix = suffix_of(name)
    return suffix in IMAGE_SUFFIXES and not unsupported_reason(suffix) and not is_matte_name(name) and not is_hidden_name(name)


def is_matte_name(name: str) -> bool:
    """Whether a file's name is that of a matte."""
    return bool(_pictured(name))


def is_hidden_name(name: str) -> bool:
    """Thumbnails' caches and what other systems leave beside pictures (`.thumbnails/`, `._picture.jpg`, `__MACOSX/`)."""
    return name.startswith(".") or name == "__MACOSX"


def index_mattes(names: Sequence[str]) -> dict[str, str]:
    """Of some names those of mattes, by the picture's name without its ending."""
    found = {stem: name for name in names if (stem := _pictured(name))}
    return found | {stem: name for name in names if name.endswith(MATTE_SUFFIX) and (stem := _pictured(name))}


def printable_name(path: str | Path) -> str:
    """A file's name as text that any file or terminal takes: what is not UTF-8 is escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122  (of many files)


def _pictured(name: str) -> str:
    """Of a matte's name that of its picture without its ending; empty of any other name."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    found = stem[: -len(_MATTE)] if suffix.lower() in IMAGE_SUFFIXES and stem.lower().endswith(_MATTE) else ""
    return "" if found.endswith("/") else found
