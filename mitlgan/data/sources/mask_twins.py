"""Finds masks that have the very name of their picture in the same folder: `0.png` beside `0.jpg`, as MSRA10K ships.

No name says which of such twins is the mask, so some of each folder are decoded. A mask is flat, and of the size of its picture, which is neither
flat nor like it; masks of one set share their levels: black and white, or one palette. A folder that has too few for that is judged together with the
others of its split. The other files of that folder and suffix are masks, too, if the first bytes say so: they have the form of the masks, are about as
light for their pixels, and are as large as their picture. One that differs is decoded and judged by itself, as all are where such a file is a picture.
Of too many some are, and the others are masks only if nearly all of those are. What is in doubt is a picture.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import PurePosixPath

from mitlgan.data.decode.image_file import ImageHeader, UnreadableImageError
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.formats import IMAGE_SUFFIXES, suffix_of
from mitlgan.data.sources.mask_look import MIN_MASKS, Look, levels_of_set, look_at
from mitlgan.data.sources.split_folders import splits_in_name

MAX_LOOKED_AT, MAX_LOOKED_AT_IN_ALL = 8, 128
"""Names of which the files are decoded first: in a folder, and in a split; each listing of the source does so."""
MAX_JUDGED, MAX_JUDGED_IN_ALL = 256, 1024
"""Further names, each to be judged by itself: of a folder, and of a split, in which each folder may have `MAX_LOOKED_AT`."""
MIN_SURE_SHARE = 0.95
"""Share of those judged that are masks from which on the others, too many to be judged, are masks."""
MAX_WEIGHT_RATIO = 2.0
"""A file of more bytes per pixel than so many times that of each judged mask is not taken for a mask unseen."""
MAX_FLAT_WEIGHT = 1.0
"""Bytes per pixel up to which a PNG may be flat; needs no decoding if other masks of its set are light."""
_LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif"})


def twin_stem(name: str) -> str:
    """Return the name of a picture without its suffix, which twins have in common; that of a file without a picture's suffix is whole."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  (of many files)
    return stem if suffix.lower() in IMAGE_SUFFIXES else name


def find_twins(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of pictures in one folder that differ in their suffix alone."""
    stems = Counter(map(twin_stem, names := list(names)))
    if len(stems) == len(names):
        return []  # fast, for millions of names
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if stems[stem := twin_stem(name)] > 1:
            groups[stem].append(name)
    return list(groups.values())


def match_twin_masks(
    twins: Sequence[Sequence[str]], names: Iterable[str], read: Callable[[str], bytes], read_header: Callable[[str], ImageHeader]
) -> dict[str, str]:
    """Return the masks among twins, each with the name of its picture.

    Args:
        twins: See `find_twins`.
        names: All pictures of the source, in the order in which they are read fastest.
        read: Returns the content of a file, or raises `UnreadableImageError`.
        read_header: Returns what its first bytes tell, or raises `UnreadableImageError`.
    """
    by_split: dict[str, list[Sequence[str]]] = defaultdict(list)  # so that each is judged as if it were named itself
    for group in twins:
        by_split[_split_of(_folder(group[0]))].append(group)
    is_twin = {name for group in twins for name in group}
    files = _Files({name: position for position, name in enumerate(name for name in names if name in is_twin)}, read, read_header)
    masks = {name for groups in by_split.values() for name in _Split(groups, files).find_masks()}
    return {name: picture for group in twins if (picture := next((one for one in group if one not in masks), "")) for name in group if name in masks}


def describe_twins(twins: Sequence[Sequence[str]], masks: Mapping[str, str]) -> list[str]:
    """Return in one line how many names are still those of several pictures, once masks are left out; none if there are none."""
    doubled = [rest for group in twins if len(rest := [name for name in group if name not in masks]) > 1]
    if not doubled:
        return []
    count = "1 name is that" if len(doubled) == 1 else f"{len(doubled):,} names are those"
    example = " and ".join(repr(PurePosixPath(name).name) for name in doubled[0][:2])
    return [f"{count} of several pictures in one folder, such as {example}: all are taken; move masks or copies among them to another folder"]


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


@cache
def _split_of(folder: str) -> str:
    """Return the split that the first folder of a path means whose name means one; empty if none does."""
    return next((" ".join(sorted(splits)) for part in folder.split("/") if (splits := splits_in_name(part))), "")


class _Files:
    """What is known of the files; each is decoded once at most, and of many large ones only what it looks like is kept.

    Args:
        positions: Of the names, in the order in which they are read fastest.
        read: See `match_twin_masks`.
        read_header: See `match_twin_masks`.
    """

    def __init__(self, positions: Mapping[str, int], read: Callable[[str], bytes], read_header: Callable[[str], ImageHeader]) -> None:
        self._positions, self._read, self._read_header = positions, read, read_header
        self.looks: dict[str, Look | None] = {}
        self.headers: dict[str, ImageHeader | None] = {}

    def decode(self, names: Iterable[str]) -> None:
        """Look at files; an unreadable one looks like nothing."""
        for name in sorted(set(names) - self.looks.keys(), key=self._positions.__getitem__):
            self.looks[name] = None
            with suppress(UnreadableImageError):
                self.looks[name] = look_at(self._read(name), suffix_of(name) in _LOSSY_SUFFIXES)

    def peek(self, names: Iterable[str]) -> None:
        """Read the first bytes of files."""
        for name in sorted(set(names) - self.headers.keys(), key=self._positions.__getitem__):
            self.headers[name] = None
            with suppress(UnreadableImageError):
                self.headers[name] = self._read_header(name)


@dataclass(frozen=True)
class _MaskSet:
    """Masks that share their levels.

    Attributes:
        names: Those that were judged.
        levels: Their levels.
        headers: What the first bytes of the readable ones tell.
        is_own: Whether they are all of the folder that they are to judge.
    """

    names: frozenset[str]
    levels: frozenset[int]
    headers: Sequence[ImageHeader]
    is_own: bool

    @cached_property
    def _forms(self) -> set[str]:
        return {header.form for header in self.headers}

    @cached_property
    def _max_weight(self) -> float:
        return MAX_WEIGHT_RATIO * max((header.bytes_per_pixel for header in self.headers), default=0.0)

    def is_like(self, header: ImageHeader | None) -> bool:
        """Whether the first bytes of a file are such as those of the masks; of a damaged one nothing else is known."""
        return header is None or not self.headers or (header.form in self._forms and header.bytes_per_pixel <= self._max_weight)

    def is_too_heavy(self, header: ImageHeader) -> bool:
        """Whether a file is no mask, as it takes more bytes than flat pixels do, and the masks are compressed."""
        return header.form.startswith("PNG") and header.bytes_per_pixel > max(MAX_FLAT_WEIGHT, self._max_weight)


class _Split:
    """The twins of one split of a source, or of all of one without splits."""

    def __init__(self, groups: Sequence[Sequence[str]], files: _Files) -> None:
        self._groups, self._files = groups, files
        self._group_of = {name: group for group in groups for name in group}

    def find_masks(self) -> set[str]:
        """Return the names of the masks."""
        by_folder: dict[str, list[Sequence[str]]] = defaultdict(list)
        for group in self._groups:
            by_folder[_folder(group[0])].append(group)
        folders = evenly_spaced(list(by_folder.values()), MAX_LOOKED_AT_IN_ALL)
        count = min(MAX_LOOKED_AT, MAX_LOOKED_AT_IN_ALL // max(1, len(folders)))
        self._files.decode(name for groups in folders for group in evenly_spaced(groups, count) for name in group)
        kinds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for name in self._group_of:
            kinds[suffix_of(name)][_folder(name)].append(name)
        return {name for names_of in kinds.values() for name in self._find_of_suffix(names_of)}

    def _find_of_suffix(self, names_of: Mapping[str, Sequence[str]]) -> set[str]:
        """Return the masks among the names of one suffix, by their folder."""
        sets = self._find_sets(names_of)
        has_masks = any(self._is_mark(name) for names in names_of.values() for name in names)
        unsure = [folder for folder, names in names_of.items() if folder not in sets and self._is_unsure(names, has_masks)]
        if unsure:
            self._look_further([names_of[folder] for folder in evenly_spaced(unsure, MAX_JUDGED_IN_ALL)])
            sets = self._find_sets(names_of)
        pooled = [folder for folder in sets if not sets[folder].is_own]
        is_doubted = any(self._is_doubted(names_of[folder], sets[folder]) for folder in pooled)
        limit = max(MAX_LOOKED_AT, min(MAX_JUDGED, MAX_JUDGED_IN_ALL // max(1, len(sets))))
        masks: set[str] = set()
        for folder, mask_set in sets.items():
            names = names_of[folder]
            has_own = mask_set.is_own or any(self._is_mark(name) for name in names)
            has_pictures = any(self._is_mask(name) is False for name in names)
            is_unsure = self._is_doubted(names, mask_set) if has_own else is_doubted or has_pictures
            masks |= self._extend(names, mask_set, is_unsure, limit)
        return masks

    def _find_sets(self, names_of: Mapping[str, Sequence[str]]) -> dict[str, _MaskSet]:
        """Return the set of which the masks of a folder are, for each that may have masks; those of few are judged together."""
        marks = {folder: [name for name in names if self._is_mark(name)] for folder, names in names_of.items()}
        sets = {folder: mask_set for folder, names in marks.items() if (mask_set := self._mask_set(names, is_own=True))}
        few = [folder for folder, names in marks.items() if len(names) < MIN_MASKS]
        pool = self._mask_set([name for folder in (*sets, *few) for name in marks[folder]], is_own=False) if few else None
        return sets | {folder: pool for folder in few if pool and self._may_have_masks(names_of[folder])}

    def _mask_set(self, names: Sequence[str], is_own: bool) -> _MaskSet | None:
        """Return the set that masks make up, if they are of one."""
        levels = levels_of_set([look for name in names if (look := self._files.looks[name])])
        if not levels:
            return None
        members = frozenset(name for name in names if (look := self._files.looks[name]) and look.fits(levels))
        self._files.peek(members)
        return _MaskSet(members, levels, [header for name in members if (header := self._files.headers[name])], is_own)

    def _is_mask(self, name: str) -> bool | None:
        """Whether a file is the mask of another in its group; None if it was not decoded, cannot be read, or is blank."""
        look = self._files.looks.get(name)
        if look is None or look.is_blank:
            return None
        others = [other for one in self._group_of[name] if one != name and (other := self._files.looks.get(one))]
        if look.may_be_mask and not others:
            return None
        return any(look.is_mask_of(other) for other in others)

    def _is_mark(self, name: str) -> bool:
        return self._is_mask(name) is True

    def _may_be_mask(self, name: str) -> bool:
        """Whether a file is flat, and nothing beside it tells more: it is blank, or the others cannot be read."""
        look = self._files.looks.get(name)
        others = [other for one in self._group_of[name] if one != name and (other := self._files.looks.get(one))]
        return look is not None and look.may_be_mask and (not others or (look.is_blank and any(look.size == other.size for other in others)))

    def _may_have_masks(self, names: Sequence[str]) -> bool:
        """Whether too few of a folder were decoded to say that it has no masks."""
        verdicts = [verdict for name in names if (verdict := self._is_mask(name)) is not None]
        return any(verdicts) or len(verdicts) < MIN_MASKS

    def _is_unsure(self, names: Sequence[str], has_masks: bool) -> bool:
        """Whether more of a folder must be decoded: few masks are among those that were, or most of these are blank or unreadable."""
        verdicts = [self._is_mask(name) for name in names if name in self._files.looks]
        mask_count, picture_count = verdicts.count(True), verdicts.count(False)
        if len(verdicts) == len(names) or mask_count >= MIN_MASKS:
            return False
        return mask_count > 0 or verdicts.count(None) > picture_count or (not verdicts and has_masks)

    def _look_further(self, kinds: Sequence[Sequence[str]]) -> None:
        """Decode more files of some folders: such as are like the masks found there, else heavier ones than the blank files."""
        self._files.peek(name for names in kinds for name in names)
        count = max(1, min(MAX_LOOKED_AT, MAX_JUDGED_IN_ALL // len(kinds)))
        more: list[str] = []
        for names in kinds:
            headers = [header for name in names if self._is_mark(name) and (header := self._files.headers[name])]
            marks = _MaskSet(frozenset(), frozenset(), headers, is_own=True)
            empty = max((self._weight(name) for name in names if (look := self._files.looks.get(name)) and look.is_blank), default=0.0)
            rest = [name for name in names if name not in self._files.looks]
            rest = [name for name in rest if (marks.is_like(self._files.headers[name]) if headers else self._weight(name) > empty)]
            more += evenly_spaced(sorted(rest, key=self._weight), count)
        self._judge(more)

    def _judge(self, names: Sequence[str]) -> None:
        """Decode files, and those beside them if they may be masks of these."""
        self._files.decode(names)
        flat = [name for name in names if (look := self._files.looks[name]) and look.may_be_mask]
        self._files.decode(other for name in flat for other in self._group_of[name])

    def _weight(self, name: str) -> float:
        header = self._files.headers.get(name)
        return header.bytes_per_pixel if header else 0.0

    def _is_picture(self, name: str, mask_set: _MaskSet) -> bool:
        """Whether the first bytes of a file tell that it is no mask: it is heavy, or of another size than all files beside it."""
        header = self._files.headers[name]
        if header is None:
            return False
        others = [other for one in self._group_of[name] if one != name and (other := self._files.headers[one])]
        return mask_set.is_too_heavy(header) or (bool(others) and all(other.size != header.size for other in others))

    def _is_doubted(self, names: Sequence[str], mask_set: _MaskSet) -> bool:
        """Whether a picture has the first bytes of masks; one of their levels says nothing, as the mask of a flat photograph."""
        judged = [name for name in names if self._is_mask(name) is not None and name not in mask_set.names]
        self._files.peek(judged)
        looks = [look for name in judged if (look := self._files.looks[name]) and mask_set.is_like(self._files.headers[name])]
        return not all(look.may_be_mask and mask_set.levels.issuperset(look.levels) for look in looks)

    def _extend(self, names: Sequence[str], mask_set: _MaskSet, is_unsure: bool, limit: int) -> set[str]:
        """Return the masks of one folder and suffix.

        Args:
            names: All of that suffix.
            mask_set: To compare them with.
            is_unsure: Whether the first bytes do not tell pictures from masks.
            limit: How many of one kind are judged by themselves.
        """
        rest = [name for name in names if name not in self._files.looks]
        self._files.peek(other for name in rest for other in self._group_of[name])
        rest = [name for name in rest if not self._is_picture(name, mask_set)]
        like = {name for name in rest if mask_set.is_like(self._files.headers[name])}
        masks = {name for name in names if name in self._files.looks and self._files.looks[name] is None}
        masks |= self._judge_some([name for name in rest if name not in like], mask_set, limit)
        masks |= self._judge_some([name for name in rest if name in like], mask_set, limit) if is_unsure else like
        return masks | self._of_set([name for name in names if self._is_mark(name) or self._may_be_mask(name)], mask_set)

    def _of_set(self, names: Iterable[str], mask_set: _MaskSet) -> set[str]:
        """Return those of some decoded masks that have the levels of a set; with more to compare, rare levels are of it, too."""
        masks = {name: look for name in names if (look := self._files.looks[name])}
        more = [look for name, look in masks.items() if name not in mask_set.names and not look.is_blank]
        judged = [look for name in mask_set.names if (look := self._files.looks[name])]
        levels = mask_set.levels | (levels_of_set([*judged, *more]) if more else frozenset())
        return {name for name, look in masks.items() if look.fits(levels)}

    def _judge_some(self, names: Sequence[str], mask_set: _MaskSet, limit: int) -> set[str]:
        """Judge files by themselves, and return those of too many that are masks unseen: nearly all that were judged are, and they are like these."""
        sample = evenly_spaced(names, limit)
        self._judge(sample)
        rest = set(names) - set(sample)
        if not rest:
            return set()
        count = sum(self._is_mask(name) is not None for name in sample)
        marks = self._of_set([name for name in sample if self._is_mark(name)], mask_set)
        grown = self._mask_set([*mask_set.names, *marks], mask_set.is_own) if marks and len(marks) >= MIN_SURE_SHARE * count else None
        return {name for name in rest if grown.is_like(self._files.headers[name])} if grown else set()
