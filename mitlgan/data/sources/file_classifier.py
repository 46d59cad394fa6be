"""Sorts the files of a source by their names: pictures, mattes next to them, and leftovers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from mitlgan.data.decode.image_file import ImageHeader, UnreadableImageError
from mitlgan.data.sources.formats import IMAGE_SUFFIXES, detect_suffix, is_known_suffix, suffix_of, unsupported_reason
from mitlgan.data.sources.leftovers import LeftoverFile, Leftovers
from mitlgan.data.sources.mask_pairs import MaskSearch, search_masks
from mitlgan.data.sources.mask_twins import describe_twins
from mitlgan.runtime.output_folders import is_other_programs_folder

MATTE_SUFFIX = ".matte.png"
"""NAME.matte.png is the matte of NAME.png (or .jpg, ...) in the same folder; other endings of pictures work for mattes, too."""
MASK_REASON = (
    f"no picture to train on; as NAME{MATTE_SUFFIX} next to its picture, the object white (255), it is read as the picture's matte; "
    "if it is a picture, give it or its folder another name, or name the pictures in a .txt list"
)
NO_SUFFIX = "without an ending"
LINKED_FILE = "linked file"
"""Kind of the links in place of pictures and mattes, which are not followed."""
_MATTE = ".matte"
ReadHead = Callable[[], bytes]
"""Returns the first bytes of a file, or raises `UnreadableImageError`."""


class FileClassifier:
    """Sorts files by their names, and by their first bytes where the name does not tell what a file is.

    Args:
        files: Name, relative to the source and with slashes, and reader of the first bytes of each file.
        read: Returns the content of a file, or raises `UnreadableImageError`.
        read_header: Returns what the first bytes of a picture tell, or raises `UnreadableImageError`.
        link_reason: Returns why a file that is a link is left out; empty for any other. Links that are no pictures by name count as other files.
        take_mattes: Count mattes without a picture next to them as pictures.
    """

    def __init__(
        self,
        files: Iterable[tuple[str, ReadHead]],
        read: Callable[[str], bytes],
        read_header: Callable[[str], ImageHeader],
        link_reason: Callable[[str], str] = lambda _: "",
        take_mattes: bool = False,
    ) -> None:
        self._read, self._read_header, self._link_reason = read, read_header, link_reason
        self._pictures: list[str] = []
        self._mattes: dict[str, str] = {}  # by the picture's name without its suffix
        self._leftovers: list[LeftoverFile] = []
        self._others: Counter[str] = Counter()
        self._hidden_count = 0
        for name, read_head in files:
            self._add(name, read_head)
        stems = {_stem(name) for name in self._pictures} if self._mattes else set()
        self._orphans = [matte for stem, matte in self._mattes.items() if stem not in stems]
        if take_mattes:
            self._pictures, self._orphans = [*self._pictures, *self._orphans], []

    def _add(self, name: str, read_head: ReadHead) -> None:
        parts = PurePosixPath(name).parts
        if any(is_hidden_name(part) for part in parts):
            self._hidden_count += 1
            return
        suffix = suffix_of(parts[-1])
        stem = _stem_of_matte(name)
        if reason := unsupported_reason(suffix):
            self._leave(name, reason, suffix)
        elif is_known_suffix(suffix) and not (stem or suffix in IMAGE_SUFFIXES):
            self._others[suffix] += 1
        elif reason := self._link_reason(name):
            self._leave(name, reason, LINKED_FILE)
        elif stem:
            self._add_matte(name, stem)
        elif suffix in IMAGE_SUFFIXES:
            self._pictures.append(name)
        else:
            self._add_by_content(name, suffix or NO_SUFFIX, read_head)

    def _add_by_content(self, name: str, kind: str, read_head: ReadHead) -> None:
        try:
            suffix = detect_suffix(read_head())
        except UnreadableImageError as error:
            self._leave(name, str(error), kind)
            return
        if not suffix:
            self._others[kind] += 1
        elif reason := unsupported_reason(suffix):
            self._leave(name, reason, suffix)
        else:
            self._pictures.append(name)

    def _add_matte(self, name: str, stem: str) -> None:
        other = self._mattes.get(stem)
        best = name if other is None or name.endswith(MATTE_SUFFIX) else other
        self._mattes[stem] = best
        if other is not None and other != name:
            self._leave(other if best == name else name, f"{printable_name(best)!r} is taken, of the same picture", "matte")

    def _leave(self, name: str, reason: str, kind: str) -> None:
        self._leftovers.append(LeftoverFile(printable_name(name), reason, kind))

    def picture_names(self) -> list[str]:
        """Return the names of the pictures, in the order of the files."""
        masks = self._search.masks
        return [name for name in self._pictures if name not in masks] if masks else self._pictures

    @cached_property
    def _search(self) -> MaskSearch:
        return search_masks(self._pictures, self._read, self._read_header)

    def matte_of(self, name: str) -> str | None:
        """Return the name of the matte next to a picture."""
        return self._mattes.get(_stem(name))

    def leftovers(self, more: Sequence[LeftoverFile] = (), hidden_count: int = 0) -> Leftovers:
        """Return the files that are neither pictures nor their mattes.

        Args:
            more: Left out by the source itself.
            hidden_count: Hidden files that the source did not list.
        """
        orphans = [LeftoverFile(printable_name(matte), "no picture next to it", "matte") for matte in self._orphans]
        masks = [LeftoverFile(printable_name(mask), MASK_REASON, "mask of another picture") for mask in self._search.masks]
        named = sorted([*more, *self._leftovers, *orphans, *masks], key=lambda one: one.name)
        remarks = (*self._search.describe_doubtful(), *describe_twins(self._search.twins, self._search.masks))
        return Leftovers(tuple(named), dict(self._others), self._hidden_count + hidden_count, remarks)


def is_picture_name(name: str) -> bool:
    """Whether a file's name is that of a readable picture, neither a matte nor hidden."""
    suffix = suffix_of(name)
    return suffix in IMAGE_SUFFIXES and not unsupported_reason(suffix) and not is_matte_name(name) and not is_hidden_name(name)


def is_matte_name(name: str) -> bool:
    """Whether a file's name is that of a matte."""
    return bool(_stem_of_matte(name))


def is_hidden_name(name: str) -> bool:
    """Whether a file or folder is hidden, or added by another system (`.thumbnails/`, `._picture.jpg`, `__MACOSX/`, `@eaDir/`)."""
    return name.startswith(".") or is_other_programs_folder(name)


def strip_matte_suffix(name: str) -> str:
    """Return a matte's name without its ending, `.matte` included; that of another picture without its suffix."""
    return _stem_of_matte(name) or _stem(name)


def index_mattes(names: Sequence[str]) -> dict[str, str]:
    """Return the mattes among some names, by the picture's name without its suffix."""
    mattes = {stem: name for name in names if (stem := _stem_of_matte(name))}
    return mattes | {stem: name for name in names if name.endswith(MATTE_SUFFIX) and (stem := _stem_of_matte(name))}


def printable_name(path: str | Path) -> str:
    """Return a file's name as text for any file or terminal: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122  (of many files)


def _stem_of_matte(name: str) -> str:
    """Return the picture's name without suffix for a matte's name; empty for any other name."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    picture_stem = stem[: -len(_MATTE)] if suffix.lower() in IMAGE_SUFFIXES and stem.lower().endswith(_MATTE) else ""
    return "" if picture_stem.endswith("/") else picture_stem
