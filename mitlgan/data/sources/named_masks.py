"""Keeps the photographs among files that are masks by their names: `gt/0.png` next to a blurred `input/0.png`, or `lip_matte.jpg` next to `lip.jpg`.

Some files of each naming are decoded. All others of it follow these where they are of one kind; else each is decoded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from mitlgan.data.decode.image_file import ImageHeader
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.mask_candidates import role_of_name
from mitlgan.data.sources.mask_look import Look, levels_of_set
from mitlgan.data.sources.mask_twins import MAX_JUDGED_AFTER_STRAYS, MAX_LOOKED_AT, split_of_folder
from mitlgan.data.sources.twin_files import TwinFiles

MAX_NAMINGS = 32
"""Namings of which files are decoded."""
MIN_CODE_CHROMA = 32
"""Difference of the channels of a level from which on it is a colour that stands for a class."""
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
    """Return the photographs among files of one naming, of which some were decoded; all of very many if these are of both kinds."""
    looks = _looks(group, files)
    count = sum(look.is_photographic for look in looks.values())
    if not count or _are_coded([*looks.values()], files.have_numbers([*looks])):
        return ()
    if count == len(looks) or len(group) > MAX_JUDGED_AFTER_STRAYS:
        return group
    files.decode(group)
    looks = _looks(group, files)
    are_most = 2 * sum(look.is_photographic for look in looks.values()) >= len(looks)  # then a grey one is no soft mask
    return [name for name, look in looks.items() if look.is_photographic or (are_most and not look.may_be_mask and not look.has_extremes)]


def _looks(group: Sequence[str], files: TwinFiles) -> dict[str, Look]:
    """Return what the decoded files look like, but for blank ones."""
    return {name: look for name in group if (look := files.looks.get(name)) and not look.is_blank}


def _are_coded(looks: Sequence[Look], have_numbers: bool) -> bool:
    """Whether files share colours as those of classes, between which the edges may be soft or, as in JPEG, noisy."""
    return any(max(parts) - min(parts) >= MIN_CODE_CHROMA for level in levels_of_set(looks, have_numbers) if (parts := level.to_bytes(3)))
