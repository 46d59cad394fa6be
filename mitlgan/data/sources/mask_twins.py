"""Finds masks that have the very name of their picture in the same folder: `0.png` beside `0.jpg`, as MSRA10K ships.

No name says which of such twins is the mask, so some of each folder and suffix are looked at. A mask is flat: few levels or colours, in areas, of
the size of its picture, which is opaque and neither flat nor like it. The masks of one folder share their levels: black and white, or one palette.
If all that are looked at are masks, all twins in that folder with that suffix are; else each is judged by itself, or all are taken if they are
too many: what is in doubt is a picture.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.formats import IMAGE_SUFFIXES, suffix_of

MAX_LOOKED_AT, MIN_LOOKED_AT, MAX_LOOKED_AT_IN_ALL = 8, 4, 128
"""Names of which the files are decoded: in a folder, in one of many folders, and in the source; each listing of the source does so."""
MAX_JUDGED = 256
"""Further names of which the files are decoded where some are masks and some are not, each to be judged by itself."""
MIN_MASKS = 3
"""Fewer masks of one folder and suffix cannot be told from a flat picture that has the name of another by chance."""
MAX_LEVELS, MIN_LEVEL_SHARE = 32, 0.9
"""The most frequent levels or colours of a mask cover at least that share of its pixels; soft edges have all others."""
MIN_FLAT_SHARE = 0.75
"""Share of neighbouring pixels outside of the most frequent level that are equal; a flat photograph, of a white shoe on white, has fewer."""
MAX_EQUAL_COLOR = 12.0
"""Mean difference of the 8 x 8 colours (0 to 255) up to which two files show the same, as a logo as PNG and as JPEG does; a mask differs more."""
MIN_SHARED_LEVELS = 0.5
"""More than that share of the levels of a mask, on average, are in other masks of its folder; unrelated logos have the ground in common at most."""
MIN_AREA, MIN_MARKED_AREA = 0.005, 0.1
"""Share of the pixels, or of those outside of the ground, from which on a level is one of the mask's own, and not of its soft edges."""
MAX_PLAIN_LEVELS, MIN_SAME_GROUND = 4, 0.75
"""Masks of more levels have a black ground on average, or at least that share of them has one ground."""
SNAP = 16
"""Levels of a JPEG that are so near to black or white are taken for it, as a mask has some noise there."""
_COLOR_SIDE = 8
_MAX_ROWS = 512  # of a picture, evenly spaced
_LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif"})


_Kind = tuple[str, str]  # folder and suffix


@dataclass(frozen=True)
class _Look:
    """What one file looks like.

    Attributes:
        size: Shorter and longer side (px).
        is_opaque: Whether it has no transparency.
        is_flat: Whether its pixels are those of a mask.
        levels: The levels or colours in more than the soft edges, as 0xRRGGBB, each with its share of the pixels.
        colors: (8, 8, 3), 0 to 255.
    """

    size: tuple[int, int]
    is_opaque: bool
    is_flat: bool
    levels: Mapping[int, float]
    colors: NDArray[np.float32]

    def is_mask_of(self, other: _Look) -> bool:
        """Whether this is a mask of the other file."""
        is_alike = float(np.abs(self.colors - other.colors).mean()) <= MAX_EQUAL_COLOR
        is_picture = other.is_opaque and not other.is_flat
        return self.is_opaque and self.is_flat and is_picture and self.size == other.size and not is_alike


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


def match_twin_masks(twins: Sequence[Sequence[str]], names: Iterable[str], read: Callable[[str], bytes]) -> dict[str, str]:
    """Return the masks among twins, each with the name of its picture.

    Args:
        twins: See `find_twins`.
        names: All pictures of the source, in the order in which they are read fastest.
        read: Returns the content of a file, or raises `UnreadableImageError`.
    """
    groups_of: dict[_Kind, list[Sequence[str]]] = defaultdict(list)
    for group in twins:
        for name in group:
            groups_of[_kind(name)].append(group)
    sample = _choose(twins)
    looks = _look_at(sample, names, read)
    unsure = [group for kind, are_masks in _judge(sample, looks).items() if _is_unsure(are_masks, looks) for group in groups_of[kind]]
    more = list({group[0]: group for group in unsure if group[0] not in looks}.values())
    if 0 < len(more) <= MAX_JUDGED:
        sample = [*sample, *more]
        looks |= _look_at(more, names, read)
    masks: set[str] = set()
    for kind, are_masks in _judge(sample, looks).items():
        members = [name for name, is_mask in are_masks.items() if is_mask]
        if len(members) < MIN_MASKS or not _share_levels([looks[name] for name in members]):
            continue
        if not _is_unsure(are_masks, looks):
            masks.update(name for group in groups_of[kind] for name in group if _kind(name) == kind and are_masks.get(name, True))
        elif len(more) <= MAX_JUDGED:
            masks.update(members)
    return {name: picture for group in twins if (picture := next((one for one in group if one not in masks), "")) for name in group if name in masks}


def describe_twins(twins: Sequence[Sequence[str]], masks: Mapping[str, str]) -> list[str]:
    """Return in one line how many names are still those of several pictures, once masks are left out; none if there are none."""
    doubled = [rest for group in twins if len(rest := [name for name in group if name not in masks]) > 1]
    if not doubled:
        return []
    count = "1 name is that" if len(doubled) == 1 else f"{len(doubled):,} names are those"
    example = " and ".join(repr(PurePosixPath(name).name) for name in doubled[0][:2])
    return [f"{count} of several pictures in one folder, such as {example}: all are taken; move masks or copies among them to another folder"]


def _kind(name: str) -> _Kind:
    return name.rpartition("/")[0], suffix_of(name)


def _choose(twins: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return the twins to look at: some of each folder; of too many folders some have none, and all pictures in those are taken."""
    by_folder: dict[str, list[Sequence[str]]] = defaultdict(list)
    for group in twins:
        by_folder[_kind(group[0])[0]].append(group)
    folders = evenly_spaced([groups for groups in by_folder.values() if len(groups) >= MIN_MASKS], MAX_LOOKED_AT_IN_ALL // MIN_LOOKED_AT)
    count = min(MAX_LOOKED_AT, MAX_LOOKED_AT_IN_ALL // max(1, len(folders)))
    return [group for groups in folders for group in evenly_spaced(groups, count)]


def _judge(groups: Sequence[Sequence[str]], looks: Mapping[str, _Look]) -> dict[_Kind, dict[str, bool]]:
    """Return which readable twins are masks of another in their group, by folder and suffix."""
    verdicts: dict[_Kind, dict[str, bool]] = defaultdict(dict)
    for group in groups:
        for name in group:
            others = [looks[other] for other in group if other != name and other in looks]
            if name in looks and others:
                verdicts[_kind(name)][name] = any(looks[name].is_mask_of(other) for other in others)
    return verdicts


def _is_unsure(are_masks: Mapping[str, bool], looks: Mapping[str, _Look]) -> bool:
    """Whether some of one kind are masks and some are not; one with the levels of the masks says nothing, as that of a flat photograph."""
    levels = {level for name, is_mask in are_masks.items() if is_mask for level in looks[name].levels}
    others = [looks[name] for name, is_mask in are_masks.items() if not is_mask]
    return bool(levels) and not all(one.is_opaque and one.is_flat and levels.issuperset(one.levels) for one in others)


def _share_levels(masks: Sequence[_Look]) -> bool:
    """Whether masks have the levels of one set: few in all, most of them in several masks, and a common ground if they are many."""
    files: Counter[int] = Counter()
    areas: dict[int, float] = defaultdict(float)
    for mask in masks:
        files.update(mask.levels.keys())
        for level, share in mask.levels.items():
            areas[level] += share
    if not 1 < len(files) <= MAX_LEVELS:
        return False
    shared = [sum(files[level] > 1 for level in mask.levels) / max(1, len(mask.levels)) for mask in masks]
    if sum(shared) <= MIN_SHARED_LEVELS * len(masks):
        return False
    grounds = Counter(max(mask.levels, key=lambda level: mask.levels[level]) for mask in masks if mask.levels)
    is_black = max(areas, key=lambda level: areas[level]) == 0
    return len(files) <= MAX_PLAIN_LEVELS or is_black or max(grounds.values()) >= MIN_SAME_GROUND * len(masks)


def _look_at(groups: Iterable[Sequence[str]], names: Iterable[str], read: Callable[[str], bytes]) -> dict[str, _Look]:
    """Return what each readable file of some twins looks like; one after the other is read: of many large ones only this is kept."""
    chosen = {name for group in groups for name in group}
    looks: dict[str, _Look] = {}
    for name in (name for name in names if name in chosen):
        with suppress(UnreadableImageError):
            decoded = decode_bytes(read(name), keep_alpha=True, size_px=_MAX_ROWS, ignore_profile=True)
            looks[name] = _look(decoded.picture, (decoded.width, decoded.height), suffix_of(name) in _LOSSY_SUFFIXES)
    return looks


def _look(picture: Image.Image, size: tuple[int, int], is_lossy: bool) -> _Look:
    """Return what an RGBA picture looks like."""
    pixels = np.asarray(picture)
    pixels = pixels[:: max(1, -(-len(pixels) // _MAX_ROWS))]  # (H, W, 4)
    is_opaque = int(pixels[..., 3].min()) == 255
    if is_lossy:
        pixels = np.where(pixels <= SNAP, 0, np.where(pixels >= 255 - SNAP, 255, pixels)).astype(np.uint8)
    codes = pixels[..., :3].astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])  # (H, W)
    levels, counts = np.unique(codes, return_counts=True)
    minimum = min(MIN_AREA * codes.size, MIN_MARKED_AREA * float(codes.size - counts.max()))
    own = {int(levels[index]): float(counts[index]) / codes.size for index in np.flatnonzero(counts >= minimum)}
    is_flat = int(np.sort(counts)[-MAX_LEVELS:].sum()) >= MIN_LEVEL_SHARE * codes.size and _is_in_areas(codes, int(levels[counts.argmax()]))
    return _Look((min(size), max(size)), is_opaque, is_flat, own, _colors(picture))


def _is_in_areas(codes: NDArray[np.int64], ground: int) -> bool:
    """Whether most neighbouring pixels are equal, outside of the ground."""
    left, right = codes[:, :-1], codes[:, 1:]
    is_marked = (left != ground) | (right != ground)
    return not is_marked.any() or float((left == right)[is_marked].mean()) >= MIN_FLAT_SHARE


def _colors(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.convert("RGB").resize((_COLOR_SIDE, _COLOR_SIDE), Image.Resampling.BOX), dtype=np.float32)
