"""Finds masks that have the very name of their picture in the same folder: `0.png` beside `0.jpg`, as MSRA10K ships.

No name says which of such twins is the mask, so some of each folder are decoded. A mask is flat, and of the size of its picture, which is neither
flat nor like it; masks of one set share their levels: black and white, or one palette. A folder that has too few for that is judged together with the
others of its split, and blank files count where there is a mask of their form and size. The other files of that folder and suffix are masks, too, if
their headers say so: they have the form of the masks, are about as light for their pixels, and are as large as their picture. One that differs is
decoded and judged by itself, as all are where such a file is a picture, where all pixels weigh the same, or where no mask of the folder was judged and
pictures may have that form. Of too many some are, and the others are masks only if nearly all of those are. What is in doubt is a picture.

One limit: a flat picture (a logo) in the very form of its folder's masks, such as RGB, is taken for one of them unless it is among those decoded.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from mitlgan.data.decode.image_file import ImageHeader
from mitlgan.data.sources.even_sample import evenly_spaced, one_of_each
from mitlgan.data.sources.formats import IMAGE_SUFFIXES, suffix_of
from mitlgan.data.sources.mask_look import MIN_MASKS, levels_of_set
from mitlgan.data.sources.mask_set import INDEX_KINDS, MaskSet, is_bulky, kind_of_pixels
from mitlgan.data.sources.split_folders import splits_in_name
from mitlgan.data.sources.twin_files import TwinFiles

MAX_LOOKED_AT, MAX_LOOKED_AT_IN_ALL = 8, 128
"""Names of which the files are decoded first: in a folder, and in a split; each listing of the source does so."""
MAX_JUDGED, MAX_JUDGED_IN_ALL = 256, 1024
"""Further names, each to be judged by itself: of a folder, and of a split, in which each folder may have `MAX_LOOKED_AT`."""
MIN_SURE_SHARE = 0.95
"""Share of those judged that are masks from which on the others, too many to be judged, are masks."""


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
    files = TwinFiles({name: position for position, name in enumerate(name for name in names if name in is_twin)}, read, read_header)
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


@dataclass(frozen=True)
class _Doubtful:
    """Files of one folder that are judged by themselves.

    Attributes:
        names: All of them.
        mask_set: To compare them with.
        sample: Those that are decoded.
    """

    names: Sequence[str]
    mask_set: MaskSet
    sample: Sequence[str]


class _Split:
    """The twins of one split of a source, or of all of one without splits."""

    def __init__(self, groups: Sequence[Sequence[str]], files: TwinFiles) -> None:
        self._groups, self._files = groups, files
        self._group_of = {name: group for group in groups for name in group}

    def find_masks(self) -> set[str]:
        """Return the names of the masks."""
        by_folder: dict[str, list[Sequence[str]]] = defaultdict(list)
        for group in self._groups:
            by_folder[_folder(group[0])].append(group)
        folders = evenly_spaced(list(by_folder.values()), MAX_LOOKED_AT_IN_ALL)
        count = min(MAX_LOOKED_AT, MAX_LOOKED_AT_IN_ALL // max(1, len(folders)))
        samples = [evenly_spaced(groups, count) for groups in folders] if count > 1 else [one_of_each(folders)]
        self._files.decode(name for sample in samples for group in sample for name in group)
        kinds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for name in self._group_of:
            kinds[suffix_of(name)][_folder(name)].append(name)
        return {name for names_of in kinds.values() for name in self._find_of_suffix(names_of)}

    def _find_of_suffix(self, names_of: Mapping[str, Sequence[str]]) -> set[str]:
        """Return the masks among the names of one suffix, by their folder."""
        self._look_further(names_of)
        sets = self._find_sets(names_of)
        self._files.peek(name for folder in sets for name in names_of[folder])
        doubted = {folder for folder, mask_set in sets.items() if self._is_doubted(names_of[folder], mask_set)}
        is_pool_doubted = any(not sets[folder].is_own for folder in doubted)
        share = MAX_JUDGED_IN_ALL // max(1, len(sets))
        limits = dict.fromkeys(sets, 0)
        for folder, mask_set in sets.items():
            verdicts = [self._is_mask(name) for name in names_of[folder]]
            has_marks = True in verdicts
            if folder in doubted or (not mask_set.is_own and (is_pool_doubted or (not has_marks and False in verdicts))):
                limits[folder] = max(MAX_LOOKED_AT, min(MAX_JUDGED, share))
            elif not mask_set.is_told_by_weight or not (mask_set.is_own or has_marks or mask_set.is_plain):
                limits[folder] = max(1, min(MAX_JUDGED, share))
        return self._extend(names_of, sets, limits, max(MAX_LOOKED_AT, min(MAX_JUDGED, share)))

    def _find_sets(self, names_of: Mapping[str, Sequence[str]]) -> dict[str, MaskSet]:
        """Return the set of which the masks of a folder are, for each that may have masks; those that make up none are judged together."""
        sets = {folder: mask_set for folder, names in names_of.items() if (mask_set := self._mask_set_of(names, is_own=True))}
        others = [folder for folder, names in names_of.items() if folder not in sets and self._may_have_masks(names)]
        pool = self._pool([name for folder in (*sets, *others) for name in names_of[folder]]) if others else None
        return sets | dict.fromkeys(others, pool) if pool else sets

    def _pool(self, names: Sequence[str]) -> MaskSet | None:
        """Return the set of masks of several folders: of all, or else of those of one form, as others may be logos."""
        if mask_set := self._mask_set_of(names, is_own=False):
            return mask_set
        by_form: dict[str, list[str]] = defaultdict(list)
        for name in filter(self._is_mark, names):
            if header := self._files.headers[name]:
                by_form[header.form].append(name)
        sets = [mask_set for marks in by_form.values() if (mask_set := self._mask_set(marks, is_own=False))]
        return max(sets, key=lambda one: len(one.names), default=None)

    def _mask_set_of(self, names: Sequence[str], is_own: bool) -> MaskSet | None:
        """Return the set that the masks among some names make up; of few masks, with the blank files of their form and size."""
        marks = [name for name in names if self._is_mark(name)]
        if mask_set := self._mask_set(marks, is_own):
            return mask_set
        if not 0 < len(marks) < MIN_MASKS:
            return None
        kinds = {self._files.header_kind(name) for name in marks}
        blank = [name for name in names if self._is_blank(name) and self._may_be_mask(name) and self._files.header_kind(name) in kinds]
        return self._mask_set([*marks, *blank], is_own) if blank else None

    def _mask_set(self, names: Sequence[str], is_own: bool) -> MaskSet | None:
        """Return the set that masks make up, if they are of one."""
        levels = levels_of_set([look for name in names if (look := self._files.looks[name])], self._have_numbers(names))
        if not levels:
            return None
        members = frozenset(name for name in names if (look := self._files.looks[name]) and look.fits(levels))
        return MaskSet(members, levels, [header for name in members if (header := self._files.headers[name])], is_own)

    def _is_blank(self, name: str) -> bool:
        look = self._files.looks.get(name)
        return look is not None and look.is_blank

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
        """Whether more of a folder without a set must be decoded: few masks were, or masks of many classes, or most are blank or unreadable."""
        verdicts = [self._is_mask(name) for name in names if name in self._files.looks]
        mask_count, picture_count = verdicts.count(True), verdicts.count(False)
        if len(verdicts) == len(names):
            return False
        if mask_count >= MIN_MASKS:
            return self._have_numbers([name for name in names if self._is_mark(name)])
        return mask_count > 0 or verdicts.count(None) > picture_count or (not verdicts and has_masks)

    def _have_numbers(self, names: Sequence[str]) -> bool:
        """Whether the pixels of all files are single numbers, which may be those of classes."""
        return all(kind_of_pixels(header.form) in INDEX_KINDS for name in names if (header := self._files.headers[name]))

    def _look_further(self, names_of: Mapping[str, Sequence[str]]) -> None:
        """Decode more files of folders that have no set, in growing steps, until they have one, are seen to have none, or too many were decoded."""
        count, rest = MAX_LOOKED_AT, MAX_JUDGED_IN_ALL
        while count < MAX_JUDGED and rest:
            sets = self._find_sets(names_of)
            sure = {folder for folder, one in sets.items() if sum(map(self._is_mark, one.names)) >= MIN_MASKS}
            marks = [name for names in names_of.values() for name in names if self._is_mark(name)]
            unsure = [names for folder, names in names_of.items() if folder not in sure and self._is_unsure(names, bool(marks))]
            unsure = evenly_spaced(unsure, rest)
            self._files.peek(name for names in unsure for name in names)
            more = [name for names in unsure for name in self._choose(names, marks, max(1, min(count, rest // len(unsure))))]
            if not more:
                return
            self._judge(more)
            count, rest = 2 * count, rest - len(more)

    def _choose(self, names: Sequence[str], marks: Sequence[str], count: int) -> list[str]:
        """Return undecoded files of a folder that may be masks: such as are like those of it, else heavier ones than its blank files, else any.

        Args:
            names: All of the folder and suffix.
            marks: The masks of the split, with which a folder is compared of which nothing was decoded.
            count: How many.
        """
        looks, headers = self._files.looks, self._files.headers
        unread = [name for name in names if name not in looks]
        near = [name for name in names if self._is_mark(name)] or (marks if len(unread) == len(names) else [])
        like = MaskSet(frozenset(), frozenset(), [header for name in near if (header := headers[name])], is_own=True)
        blank = [header for name in names if self._is_blank(name) and (header := headers[name])]
        if like.headers:
            unread = [name for name in unread if like.is_like(headers[name])]
        if not like.is_told_by_weight or any(is_bulky(header, 1.0) for header in blank):
            return evenly_spaced(unread, count)
        empty = max((header.bytes_per_pixel for header in blank), default=0.0)
        heavy = [name for name in unread if self._weight(name) > empty]
        return evenly_spaced(sorted(heavy or (unread if near else []), key=self._weight), count)

    def _judge(self, names: Sequence[str]) -> None:
        """Decode files, and those beside them if they may be masks of these."""
        self._files.decode(names)
        flat = [name for name in names if (look := self._files.looks[name]) and look.may_be_mask]
        self._files.decode(other for name in flat for other in self._group_of[name])

    def _weight(self, name: str) -> float:
        header = self._files.headers.get(name)
        return header.bytes_per_pixel if header else 0.0

    def _is_picture(self, name: str, mask_set: MaskSet) -> bool:
        """Whether the header of a file tells that it is no mask: it is heavy, or of another size than all files beside it."""
        header = self._files.headers[name]
        if header is None:
            return False
        others = [other for one in self._group_of[name] if one != name and (other := self._files.headers.get(one))]
        return mask_set.is_too_heavy(header) or (bool(others) and all(other.size != header.size for other in others))

    def _is_doubted(self, names: Sequence[str], mask_set: MaskSet) -> bool:
        """Whether a picture has the header of masks; one of their levels says nothing, as the mask of a flat photograph."""
        judged = [name for name in names if self._is_mask(name) is not None and name not in mask_set.names]
        looks = [look for name in judged if (look := self._files.looks[name]) and mask_set.is_like(self._files.headers[name])]
        return not all(look.may_be_mask and mask_set.levels.issuperset(look.levels) for look in looks)

    def _extend(self, names_of: Mapping[str, Sequence[str]], sets: Mapping[str, MaskSet], limits: Mapping[str, int], limit: int) -> set[str]:
        """Return the masks of one suffix.

        Args:
            names_of: All names, by their folder; the headers of those with a set were read.
            sets: The set of which the masks of a folder are.
            limits: How many of those like masks are judged by themselves in a folder; 0 where the headers tell masks from pictures.
            limit: How many of the others are.
        """
        rest = {folder: [name for name in names_of[folder] if name not in self._files.looks] for folder in sets}
        headers = self._files.headers
        odd = [name for folder, names in rest.items() for name in names if (header := headers[name]) and header.size not in sets[folder].sizes]
        self._files.peek(other for name in odd for other in self._group_of[name])
        masks = {name for folder in sets for name in names_of[folder] if name in self._files.looks and self._files.looks[name] is None}
        doubtful: list[_Doubtful] = []
        for number, (folder, mask_set) in enumerate(sets.items()):
            flat = [name for name in rest[folder] if not self._is_picture(name, mask_set)]
            like = [name for name in flat if mask_set.is_like(headers[name])]
            unlike = [name for name in flat if not mask_set.is_like(headers[name])]
            doubtful.append(_Doubtful(unlike, mask_set, evenly_spaced(unlike, limit)))
            if count := limits[folder]:
                doubtful.append(_Doubtful(like, mask_set, evenly_spaced(like, count) if count > 1 else one_of_each([like], number)))
            else:
                masks.update(like)
        self._judge([name for one in doubtful for name in one.sample])
        for one in doubtful:
            masks |= self._unseen_masks(one)
        whole = self._pool([name for folder in sets for name in names_of[folder]])
        for folder, mask_set in sets.items():
            flat = [name for name in names_of[folder] if self._is_mark(name) or self._may_be_mask(name)]
            masks |= self._of_set(flat, mask_set)
            masks |= {name for name in flat if whole and (look := self._files.looks[name]) and look.fits(whole.levels)}
        return masks

    def _of_set(self, names: Iterable[str], mask_set: MaskSet) -> set[str]:
        """Return those of some decoded masks that have the levels of a set; with more to compare, rare levels are of it, too."""
        masks = {name: look for name in names if (look := self._files.looks[name])}
        more = [look for name, look in masks.items() if name not in mask_set.names and not look.is_blank]
        judged = [look for name in mask_set.names if (look := self._files.looks[name])]
        levels = mask_set.levels | (levels_of_set([*judged, *more], self._have_numbers([*masks])) if more else frozenset())
        return {name for name, look in masks.items() if look.fits(levels)}

    def _unseen_masks(self, files: _Doubtful) -> set[str]:
        """Return those of too many to be judged that are masks: nearly all that were judged are, and they are like these."""
        rest = set(files.names) - set(files.sample)
        if not rest:
            return set()
        count = sum(self._is_mask(name) is not None for name in files.sample)
        marks = self._of_set([name for name in files.sample if self._is_mark(name)], files.mask_set)
        is_sure = marks and len(marks) >= MIN_SURE_SHARE * count
        grown = self._mask_set([*files.mask_set.names, *marks], files.mask_set.is_own) if is_sure else None
        return {name for name in rest if grown.is_like(self._files.headers[name])} if grown else set()
