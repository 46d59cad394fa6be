"""Keeps the photographs among files that are masks by their names: `gt/0.png` next to a blurred `input/0.png`, or `lip_matte.jpg` next to `lip.jpg`.

Some files of each naming are decoded. All others of it follow these where they are of one kind; else each is decoded, or of very many only a sample:
they are pictures if most of it are photographs, else masks but for the photographs that were met.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from mitlgan.data.decode.image_file import ImageHeader
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.mask_candidates import role_of_name
from mitlgan.data.sources.mask_look import Look, levels_of_set
from mitlgan.data.sources.mask_twins import MAX_LOOKED_AT, split_of_folder
from mitlgan.data.sources.twin_files import TwinFiles

MAX_NAMINGS, MAX_SAMPLED, MAX_JUDGED = 32, 64, 2048
"""Namings of which files are decoded; files of one with a photograph that tell whether all are; files of one that are decoded if not all are."""
MIN_CODE_CHROMA = 32
"""Difference of the channels of a level from which on it is a colour that stands for a class."""
MIN_SAME_GROUND = 0.5
"""More than that share of the files have the colour that is the ground of all, such as the blue of heat maps."""
_MATTE_END = ".matte"


def find_photographs(
    masks: Mapping[str, str], names: Sequence[str], read: Callable[[str], bytes], read_header: Callable[[str], ImageHeader]
) -> list[str]:
    """Return the files with names of masks that plainly are photographs.

    Args:
        masks: See `mitlgan.data.sources.mask_files.match_masks`. Those called `NAME.matte.png` are never photographs.
        names: All pictures of the source, in the order in which they are read fastest.
        read: Returns the content of a file, or raises `UnreadableImageError`.
        read_header: Returns what its first bytes tell, or raises `UnreadableImageError`.
    """
    namings: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(masks):
        stem = name.rpartition(".")[0]
        if not stem.lower().endswith(_MATTE_END):
            namings[split_of_folder(name.rpartition("/")[0]), role_of_name(stem)].append(name)
    groups = evenly_spaced(list(namings.values()), MAX_NAMINGS)
    files = TwinFiles(groups, names, read, read_header)
    files.decode(name for group in groups for name in evenly_spaced(group, MAX_LOOKED_AT))
    return [name for group in groups for name in _photographs_of(group, files)]


def _photographs_of(group: Sequence[str], files: TwinFiles) -> Sequence[str]:
    """Return the photographs among files of one naming, of which some were decoded."""
    if not _count(_looks(group, files)):
        return ()
    files.decode(evenly_spaced(group, MAX_SAMPLED))
    looks = _looks(group, files)
    if _are_coded([*looks.values()], files.have_numbers([*looks])):
        return ()
    are_many = len(group) > MAX_JUDGED
    if _count(looks) == len(looks) or (are_many and 2 * _count(looks) > len(looks)):
        return group
    if not are_many:
        files.decode(group)
        looks = _looks(group, files)
    are_most = 2 * _count(looks) >= len(looks)  # then a grey one is no soft mask
    return [name for name, look in looks.items() if look.is_photographic or (are_most and not look.may_be_mask and not look.has_extremes)]


def _count(looks: Mapping[str, Look]) -> int:
    """Return how many files are photographs."""
    return sum(look.is_photographic for look in looks.values())


def _looks(group: Sequence[str], files: TwinFiles) -> dict[str, Look]:
    """Return what the decoded files look like, but for blank ones."""
    return {name: look for name in group if (look := files.looks.get(name)) and not look.is_blank}


def _are_coded(looks: Sequence[Look], have_numbers: bool) -> bool:
    """Whether files share colours as those of classes, between which the edges may be soft or, as in JPEG, noisy, or one colour as their ground."""
    grounds = Counter(max(look.levels, key=look.levels.__getitem__) for look in looks if look.levels)
    shared = {level for level, count in grounds.items() if count > max(1, MIN_SAME_GROUND * len(looks))}
    return any(max(parts) - min(parts) >= MIN_CODE_CHROMA for level in shared | levels_of_set(looks, have_numbers) if (parts := level.to_bytes(3)))
