"""Finds masks that have the very name of their picture in the same folder: `0.png` next to `0.jpg`, as MSRA10K ships.

No name says which of such twins is the mask, so some of each folder are decoded. The words for them have one meaning each:

- A file is *flat* if its pixels have few levels in even areas, as those of masks have.
- It is *judged* once it and, if it is flat, its namesakes are decoded. It is a *mask* if it is flat, and a namesake of its size is not flat and shows
  something else. A flat file that is blank, or has no readable namesake, is neither mask nor picture by itself.
- The *set* of a folder is what its judged masks have in common: their levels (black and white, or one palette), and what their headers say. A folder
  that has too few masks for one shares that of the others of its split; blank files count where there is a mask of their form and size.
- A file is *like* a set if its header says so: it has the form of the masks, and is about as light for its pixels.
- A *stray* is a judged picture among the masks of a set.

What was not judged at first is no mask if its header cannot be read, or tells so. Of the others, `_Rule` says how those like the set are told. Those
unlike it are judged, or a sample of them. Where a sample is, the rest like the set are masks if nearly all of the sample are; where headers do not
tell photographs from masks, because the format is lossy or not compressed, one stray has all judged. What is in doubt is a picture.

Some limits: a flat picture (a logo) in the very form of its folder's masks, such as RGB, is taken for one of them unless it is among those judged.
Of folders that share a set in a form that logos have, each has at least one file judged: of many with one pair each, all files are decoded.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from pathlib import PurePosixPath

from mitlgan.data.decode.image_file import ImageHeader
from mitlgan.data.sources.even_sample import evenly_spaced, one_of_each
from mitlgan.data.sources.formats import IMAGE_SUFFIXES, suffix_of
from mitlgan.data.sources.mask_look import MIN_MASKS, levels_of_set
from mitlgan.data.sources.mask_set import MaskSet, is_bulky
from mitlgan.data.sources.split_folders import splits_in_name
from mitlgan.data.sources.twin_files import TwinFiles

MAX_LOOKED_AT, MAX_LOOKED_AT_IN_ALL = 8, 128
"""Names of which the files are decoded first: in a folder, and in a split; each listing of the source does so."""
MAX_JUDGED, MAX_JUDGED_IN_ALL = 256, 1024
"""Further names to be judged: of a folder, and of a split, in which each folder may have `MAX_LOOKED_AT`, so that many folders have more."""
MIN_SURE_SHARE = 0.95
"""Share of a sample that are masks from which on the others, too many to be judged, are masks."""
MAX_JUDGED_AFTER_STRAYS = 8192
"""Names of a split that are judged where their headers do not tell photographs from masks, and one was met; the others are pictures."""


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
        by_split[split_of_folder(_folder(group[0]))].append(group)
    files = TwinFiles(twins, names, read, read_header)
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
def split_of_folder(folder: str) -> str:
    """Return the split that the first folder of a path means whose name means one; empty if none does."""
    return next((" ".join(sorted(splits)) for part in folder.split("/") if (splits := splits_in_name(part))), "")


class _Rule(Enum):
    """How to tell masks among the files of a folder that are like its set."""

    BY_HEADER = auto()
    """All are masks."""
    BY_SAMPLE = auto()
    """At least one is judged."""
    EACH = auto()
    """All are judged, or at least `MAX_LOOKED_AT` of too many."""


@dataclass(frozen=True)
class _Rest:
    """Files of one folder that were not judged at first.

    Attributes:
        folder: Their folder.
        names: All of them.
        mask_set: That of their folder.
        sample: Those to be judged; None if their headers tell that all are masks.
    """

    folder: str
    names: Sequence[str]
    mask_set: MaskSet
    sample: Sequence[str] | None


class _Split:
    """The twins of one split of a source, or of all of one without splits."""

    def __init__(self, groups: Sequence[Sequence[str]], files: TwinFiles) -> None:
        self._groups, self._files = groups, files

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
        for name in (name for group in self._groups for name in group):
            kinds[suffix_of(name)][_folder(name)].append(name)
        return {name for names_of in kinds.values() for name in self._find_of_suffix(names_of)}

    def _find_of_suffix(self, names_of: Mapping[str, Sequence[str]]) -> set[str]:
        """Return the masks among the names of one suffix, by their folder."""
        self._look_further(names_of)
        sets = self._find_sets(names_of)
        self._files.peek(name for folder in sets for name in names_of[folder])
        rests = self._find_rests(names_of, sets)
        self._files.judge([name for rest in rests for name in rest.sample or ()])
        mixed = self._find_mixed(names_of, sets)
        more = [name for rest in rests if rest.folder in mixed for name in rest.names if name not in self._files.looks]
        self._files.judge(evenly_spaced(more, MAX_JUDGED_AFTER_STRAYS))
        by_header = {name for rest in rests if rest.folder not in mixed for name in self._masks_by_header(rest)}
        return by_header | self._masks_by_pixels(names_of, sets)

    def _choose_rule(self, names: Sequence[str], mask_set: MaskSet, has_strays: bool) -> _Rule:
        """Return how to tell masks among the files of a folder that are like its set.

        Args:
            names: All of the folder and suffix.
            mask_set: That of the folder.
            has_strays: Whether strays like the set were met, here or, if the set is not the folder's own, in one that shares it.
        """
        verdicts = [self._files.verdict(name) for name in names]
        has_masks = True in verdicts
        if has_strays or (not mask_set.is_own and not has_masks and False in verdicts):
            return _Rule.EACH  # there are pictures here that the header does not tell
        if mask_set.is_told_by_weight and (mask_set.is_own or has_masks or mask_set.is_plain):
            return _Rule.BY_HEADER
        return _Rule.BY_SAMPLE  # a photograph may be as light, or all files here may be flat pictures

    def _find_sets(self, names_of: Mapping[str, Sequence[str]]) -> dict[str, MaskSet]:
        """Return the set of which the masks of a folder are, for each that may have masks; those that make up none are judged together."""
        sets = {folder: mask_set for folder, names in names_of.items() if (mask_set := self._mask_set_of(names, is_own=True))}
        others = [folder for folder, names in names_of.items() if folder not in sets and self._files.may_have_masks(names)]
        pool = self._pool([name for folder in (*sets, *others) for name in names_of[folder]]) if others else None
        return sets | dict.fromkeys(others, pool) if pool else sets

    def _pool(self, names: Sequence[str]) -> MaskSet | None:
        """Return the set of masks of several folders: of all, or else of those of one form, as others may be logos."""
        if mask_set := self._mask_set_of(names, is_own=False):
            return mask_set
        by_form: dict[str, list[str]] = defaultdict(list)
        for name in filter(self._files.is_mask, names):
            if header := self._files.headers[name]:
                by_form[header.form].append(name)
        sets = [mask_set for masks in by_form.values() if (mask_set := self._mask_set(masks, is_own=False))]
        return max(sets, key=lambda one: len(one.names), default=None)

    def _mask_set_of(self, names: Sequence[str], is_own: bool) -> MaskSet | None:
        """Return the set that the masks among some names make up; of few masks, with the blank files of their form and size."""
        masks = [name for name in names if self._files.is_mask(name)]
        if mask_set := self._mask_set(masks, is_own):
            return mask_set
        if not 0 < len(masks) < MIN_MASKS:
            return None
        kinds = {self._files.header_kind(name) for name in masks}
        blank = [name for name in names if self._files.is_blank(name) and self._files.is_told_by_set(name) and self._files.header_kind(name) in kinds]
        return self._mask_set([*masks, *blank], is_own) if blank else None

    def _mask_set(self, names: Sequence[str], is_own: bool) -> MaskSet | None:
        """Return the set that masks make up, if they are of one."""
        levels = levels_of_set([look for name in names if (look := self._files.looks[name])], self._files.have_numbers(names))
        if not levels:
            return None
        members = frozenset(name for name in names if (look := self._files.looks[name]) and look.fits(levels))
        return MaskSet(members, levels, [header for name in members if (header := self._files.headers[name])], is_own)

    def _look_further(self, names_of: Mapping[str, Sequence[str]]) -> None:
        """Decode more files of folders that have no set, in growing steps, until they have one, are seen to have none, or too many were decoded."""
        count, rest = MAX_LOOKED_AT, MAX_JUDGED_IN_ALL
        while count < MAX_JUDGED and rest:
            sets = self._find_sets(names_of)
            sure = {folder for folder, one in sets.items() if sum(map(self._files.is_mask, one.names)) >= MIN_MASKS}
            masks = [name for names in names_of.values() for name in names if self._files.is_mask(name)]
            unsettled = [names for folder, names in names_of.items() if folder not in sure and self._files.needs_more(names, bool(masks))]
            unsettled = evenly_spaced(unsettled, rest)
            self._files.peek(name for names in unsettled for name in names)
            more = [name for names in unsettled for name in self._choose(names, masks, max(1, min(count, rest // len(unsettled))))]
            if not more:
                return
            self._files.judge(more)
            count, rest = 2 * count, rest - len(more)

    def _choose(self, names: Sequence[str], masks: Sequence[str], count: int) -> list[str]:
        """Return undecoded files of a folder that may be masks: such as are like those of it, else heavier ones than its blank files, else any.

        Args:
            names: All of the folder and suffix.
            masks: The masks of the split, with which a folder is compared of which nothing was decoded.
            count: How many.
        """
        looks, headers = self._files.looks, self._files.headers
        unread = [name for name in names if name not in looks]
        near = [name for name in names if self._files.is_mask(name)] or (masks if len(unread) == len(names) else [])
        like = MaskSet(frozenset(), frozenset(), [header for name in near if (header := headers[name])], is_own=True)
        blank = [header for name in names if self._files.is_blank(name) and (header := headers[name])]
        if like.headers:
            unread = [name for name in unread if like.is_like(headers[name])]
        if not like.is_light or any(is_bulky(header, 1.0) for header in blank):
            return evenly_spaced(unread, count)
        empty = max((header.bytes_per_pixel for header in blank), default=0.0)
        heavy = [name for name in unread if self._files.weight(name) > empty]
        return evenly_spaced(sorted(heavy or (unread if near else []), key=self._files.weight), count)

    def _is_told_picture(self, name: str, mask_set: MaskSet) -> bool:
        """Whether the header of a file tells that it is no mask: it is unreadable, heavy, or of another size than all its namesakes."""
        header = self._files.headers[name]
        if header is None:
            return True
        others = [other for one in self._files.namesakes(name) if (other := self._files.headers.get(one))]
        return mask_set.is_too_heavy(header) or (bool(others) and all(other.size != header.size for other in others))

    def _is_stray(self, name: str, mask_set: MaskSet) -> bool:
        """Whether a decoded file is a picture among masks; one of their levels says nothing, as the mask of a flat photograph."""
        if self._files.verdict(name) is None or name in mask_set.names:
            return False
        look = self._files.looks[name]
        return look is not None and not (look.may_be_mask and mask_set.levels.issuperset(look.levels))

    def _has_strays(self, names: Sequence[str], mask_set: MaskSet) -> bool:
        """Whether there are strays like the set."""
        return any(self._is_stray(name, mask_set) and mask_set.is_like(self._files.headers[name]) for name in names)

    def _find_mixed(self, names_of: Mapping[str, Sequence[str]], sets: Mapping[str, MaskSet]) -> set[str]:
        """Return the folders with strays whose masks no header tells; of those that share a set, all if one has."""
        folders = [folder for folder, mask_set in sets.items() if not mask_set.is_told_by_weight]
        mixed = {
            folder
            for folder in folders
            if any(self._is_stray(name, sets[folder]) and not self._is_told_picture(name, sets[folder]) for name in names_of[folder])
        }
        is_pool_mixed = any(not sets[folder].is_own for folder in mixed)
        return mixed | {folder for folder in folders if is_pool_mixed and not sets[folder].is_own}

    def _find_rests(self, names_of: Mapping[str, Sequence[str]], sets: Mapping[str, MaskSet]) -> list[_Rest]:
        """Return what was not judged and may be masks: two of each folder, of the files unlike the set and of those like it."""
        headers = self._files.headers
        unread = {folder: [name for name in names_of[folder] if name not in self._files.looks] for folder in sets}
        resized = [name for folder, names in unread.items() for name in names if (header := headers[name]) and header.size not in sets[folder].sizes]
        self._files.peek(other for name in resized for other in self._files.namesakes(name))
        with_strays = {folder for folder, mask_set in sets.items() if self._has_strays(names_of[folder], mask_set)}
        has_pool_strays = any(not sets[folder].is_own for folder in with_strays)
        share = max(1, min(MAX_JUDGED, MAX_JUDGED_IN_ALL // max(1, len(sets))))
        rests: list[_Rest] = []
        for number, (folder, mask_set) in enumerate(sets.items()):
            names = [name for name in unread[folder] if not self._is_told_picture(name, mask_set)]
            unlike = [name for name in names if not mask_set.is_like(headers[name])]
            rests.append(_Rest(folder, unlike, mask_set, evenly_spaced(unlike, max(MAX_LOOKED_AT, share))))
            like = [name for name in names if mask_set.is_like(headers[name])]
            has_strays = folder in with_strays or (has_pool_strays and not mask_set.is_own)
            rule = self._choose_rule(names_of[folder], mask_set, has_strays)
            samples = {
                _Rule.BY_HEADER: None,
                _Rule.BY_SAMPLE: evenly_spaced(like, share) if share > 1 else one_of_each([like], number),
                _Rule.EACH: evenly_spaced(like, max(MAX_LOOKED_AT, share)),
            }
            rests.append(_Rest(folder, like, mask_set, samples[rule]))
        return rests

    def _masks_by_pixels(self, names_of: Mapping[str, Sequence[str]], sets: Mapping[str, MaskSet]) -> set[str]:
        """Return the judged masks of folders with a set, and the flat files that only the set tells: those of its levels, or of those of all folders.

        The levels of all folders have those of few masks, such as of one class, which the set of their folder lacks.
        """
        masks: set[str] = set()
        whole = self._pool([name for folder in sets for name in names_of[folder]])
        for folder, mask_set in sets.items():
            flat = [name for name in names_of[folder] if self._files.is_mask(name) or self._files.is_told_by_set(name)]
            masks |= self._of_set(flat, mask_set)
            masks |= {name for name in flat if whole and (look := self._files.looks[name]) and look.fits(whole.levels)}
        return masks

    def _of_set(self, names: Iterable[str], mask_set: MaskSet) -> set[str]:
        """Return those of some decoded masks that have the levels of a set; with more to compare, rare levels are of it, too."""
        masks = {name: look for name in names if (look := self._files.looks[name])}
        more = [look for name, look in masks.items() if name not in mask_set.names and not look.is_blank]
        judged = [look for name in mask_set.names if (look := self._files.looks[name])]
        levels = mask_set.levels | (levels_of_set([*judged, *more], self._files.have_numbers([*masks])) if more else frozenset())
        return {name for name, look in masks.items() if look.fits(levels)}

    def _masks_by_header(self, files: _Rest) -> set[str]:
        """Return those that were not judged and are masks: their headers tell it, or they are like the set, and nearly all of the sample are masks."""
        if files.sample is None:
            return set(files.names)
        rest = set(files.names) - set(files.sample)
        if not rest:
            return set()
        count = sum(self._files.verdict(name) is not None for name in files.sample)
        masks = self._of_set([name for name in files.sample if self._files.is_mask(name)], files.mask_set)
        is_sure = masks and len(masks) >= MIN_SURE_SHARE * count
        grown = self._mask_set([*files.mask_set.names, *masks], files.mask_set.is_own) if is_sure else None
        return {name for name in rest if grown.is_like(self._files.headers[name])} if grown else set()
