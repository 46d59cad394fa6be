"""Finds files that may be masks though no name says so: all of a folder or a naming are flat, share their levels, and have sizes of photographs.

They stay, as they may be a class of drawings; a line says so. Sets without photographs have none. Two files of each group are decoded, more of those
that seem to be masks.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from mitlgan.data.decode.image_file import ImageHeader
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.formats import suffix_of
from mitlgan.data.sources.mask_files import stem_of
from mitlgan.data.sources.mask_look import MIN_MASKS, Look, levels_of_set
from mitlgan.data.sources.twin_files import TwinFiles

MAX_GROUPS, MAX_LOOKED_AT, MAX_SIZES = 64, 32, 64
"""Groups of which two files are decoded, the largest; files of one that seems to be of masks; photographs the sizes of which are read."""
MIN_TAIL_SHARE = 0.05
"""Share of the files of a folder that end with a word and numbers from which on they are a group of their own."""
MIN_SIZE_SHARE = 0.5
"""Share of the decoded files of a group that have the size of a photograph from which on they may be masks of some."""
_NUMBER = re.compile(r"\d+")
_TAIL = re.compile(r"[^\W\d_]*[\d_\W]*$")
_MATTE_END = ".matte"
Group = Sequence[str]


def find_unnamed(
    names: Collection[str], doubtful: Collection[str], order: Sequence[str], read: Callable[[str], bytes], read_header: Callable[[str], ImageHeader]
) -> list[list[str]]:
    """Return the groups of files that look like masks.

    Args:
        names: Pictures of the source without its masks.
        doubtful: Those of them that have names of masks, which are left away, but for what they tell of others.
        order: All pictures of the source, in the order in which they are read fastest.
        read: Returns the content of a file, or raises `UnreadableImageError`.
        read_header: Returns what its first bytes tell, or raises `UnreadableImageError`.
    """
    groups = _group(names)
    if len(groups) < 2:
        return []
    files = TwinFiles(groups, order, read, read_header)
    files.decode(name for group in groups for name in evenly_spaced(group, 2))
    photographs = [name for group in groups if any(not look.is_drawn for look in _looks(group, files)) for name in group]
    unnamed = [
        rest for group in groups if _are_flat(_looks(group, files)) and len(rest := [name for name in group if name not in doubtful]) >= MIN_MASKS
    ]
    if not photographs or not unnamed:
        return []
    files.decode(name for group in unnamed for name in evenly_spaced(group, MAX_LOOKED_AT))
    alike = [group for group in unnamed if _are_masks(group, files)]
    return _with_sizes_of(photographs, alike, files) if alike else []


def _group(names: Iterable[str]) -> list[list[str]]:
    """Return the largest groups: the files of a folder, or of folders that differ in numbers, with one suffix and, if many have it, end of the name."""
    folders: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    templates: dict[str, str] = {}
    for name in names:
        folder, stem = name.rpartition("/")[0], stem_of(name)
        if folder not in templates:
            templates[folder] = _NUMBER.sub("#", folder)
        tail = _TAIL.search(stem)
        if not stem.lower().endswith(_MATTE_END):
            folders[templates[folder], suffix_of(name)][name] = _NUMBER.sub("#", tail[0]).casefold() if tail else ""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (folder, suffix), tails in folders.items():
        counts = Counter(tails.values())
        least = max(MIN_MASKS, MIN_TAIL_SHARE * len(tails))
        for name, end in tails.items():
            groups[folder, suffix, end if counts[end] >= least else ""].append(name)
    return sorted(groups.values(), key=len, reverse=True)[:MAX_GROUPS]


def _looks(group: Group, files: TwinFiles) -> list[Look]:
    return [look for name in group if (look := files.looks.get(name))]


def _are_flat(looks: Sequence[Look]) -> bool:
    return bool(looks) and all(look.may_be_mask for look in looks)


def _are_masks(group: Group, files: TwinFiles) -> bool:
    """Whether the decoded files of a group are flat and of one set, or in numbers of classes on black."""
    looks = [look for look in _looks(group, files) if not look.is_blank]
    have_numbers = files.have_numbers([name for name in group if files.headers.get(name)])
    return _are_flat(looks) and (bool(levels_of_set(looks, have_numbers)) or (have_numbers and all(0 in look.levels for look in looks)))


def _with_sizes_of(photographs: Group, groups: Sequence[list[str]], files: TwinFiles) -> list[list[str]]:
    """Return those groups of which the decoded files have sizes of photographs: of some, or of one with the name or number of the file."""
    by_key: dict[str, str] = {}
    for name in photographs:
        for key in _keys(name):
            by_key[key] = name
    decoded = {name: look for group in groups for name in group if (look := files.looks.get(name))}
    partners = {name: [by_key[key] for key in _keys(name) if key in by_key] for name in decoded}
    sample = evenly_spaced(photographs, MAX_SIZES)
    files.peek([*sample, *(partner for own in partners.values() for partner in own)])
    sizes = {header.size for name in sample if (header := files.headers[name])}

    def share(group: Group) -> float:
        hits = [
            look.size in sizes or any((header := files.headers[partner]) and header.size == look.size for partner in partners[name])
            for name in group
            if (look := decoded.get(name))
        ]
        return sum(hits) / len(hits)

    return [group for group in groups if share(group) >= MIN_SIZE_SHARE]


def _keys(name: str) -> tuple[str, str]:
    stem = stem_of(name)
    return stem, "#" + max(_NUMBER.findall(stem), key=len, default=stem)
