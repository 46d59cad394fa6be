"""Finds masks that have the very name of their picture in the same folder: `0.png` beside `0.jpg`, as MSRA10K ships.

No name says which of such twins is the mask, so some are looked at. A mask is flat: few levels or colours, in areas, of the size of its picture,
which is neither flat nor like it. What most of those with one suffix are, all twins with that suffix are.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.formats import IMAGE_SUFFIXES, suffix_of

MAX_LOOKED_AT = 8
"""Names of which the files are decoded; each listing of the source does so."""
MIN_MASK_SHARE = 0.75
"""Share of the files with one suffix, of those looked at, from which on all twins with that suffix are masks."""
MAX_LEVELS, MIN_LEVEL_SHARE = 32, 0.9
"""The most frequent levels or colours of a mask cover at least that share of its pixels; soft edges have all others."""
MIN_FLAT_SHARE = 0.75
"""Share of neighbouring pixels outside of the most frequent level that are equal; a flat photograph, of a white shoe on white, has fewer."""
MAX_EQUAL_COLOR = 12.0
"""Mean difference of the 8 x 8 colours (0 to 255) up to which two files show the same, as a logo as PNG and as JPEG does; a mask differs more."""
SNAP = 16
"""Levels of a JPEG that are so near to black or white are taken for it, as a mask has some noise there."""
_COLOR_SIDE = 8
_MAX_ROWS = 512  # of a picture, evenly spaced
_LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif"})


@dataclass(frozen=True)
class _Look:
    """What one file looks like.

    Attributes:
        size: Shorter and longer side (px).
        is_flat: Whether its pixels are those of a mask.
        colors: (8, 8, 3), 0 to 255.
    """

    size: tuple[int, int]
    is_flat: bool
    colors: NDArray[np.float32]

    def is_mask_of(self, other: _Look) -> bool:
        """Whether this is a mask of the other file."""
        is_alike = float(np.abs(self.colors - other.colors).mean()) <= MAX_EQUAL_COLOR
        return self.is_flat and not other.is_flat and self.size == other.size and not is_alike


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
    sample = evenly_spaced(twins, MAX_LOOKED_AT)
    chosen = {name for group in sample for name in group}
    looks = dict(_look_at((name for name in names if name in chosen), read))
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for group in sample:
        for name in group:
            others = [looks[other] for other in group if other != name and other in looks]
            if name in looks and others:
                verdicts[suffix_of(name)].append(any(looks[name].is_mask_of(other) for other in others))
    suffixes = {suffix for suffix, are_masks in verdicts.items() if sum(are_masks) >= MIN_MASK_SHARE * len(are_masks)}
    matches: dict[str, str] = {}
    for group in twins if suffixes else ():
        if picture := next((name for name in group if suffix_of(name) not in suffixes), ""):
            matches |= {name: picture for name in group if suffix_of(name) in suffixes}
    return matches


def describe_twins(twins: Sequence[Sequence[str]], masks: Mapping[str, str]) -> list[str]:
    """Return in one line how many names are still those of several pictures, once masks are left out; none if there are none."""
    doubled = [rest for group in twins if len(rest := [name for name in group if name not in masks]) > 1]
    if not doubled:
        return []
    count = "1 name is that" if len(doubled) == 1 else f"{len(doubled):,} names are those"
    example = " and ".join(repr(PurePosixPath(name).name) for name in doubled[0][:2])
    return [f"{count} of several pictures in one folder, such as {example}: all are taken; move masks or copies among them to another folder"]


def _look_at(names: Iterable[str], read: Callable[[str], bytes]) -> Iterator[tuple[str, _Look]]:
    """Yield what each readable file looks like, one after the other: of many large ones only this is kept."""
    for name in names:
        with suppress(UnreadableImageError):
            decoded = decode_bytes(read(name), keep_alpha=True, size_px=_MAX_ROWS, ignore_profile=True)
            size = (min(decoded.width, decoded.height), max(decoded.width, decoded.height))
            yield name, _Look(size, _is_flat(decoded.picture, suffix_of(name) in _LOSSY_SUFFIXES), _colors(decoded.picture))


def _is_flat(picture: Image.Image, is_lossy: bool) -> bool:
    """Whether an RGBA picture has the pixels of a mask."""
    pixels = np.asarray(picture)
    pixels = pixels[:: max(1, -(-len(pixels) // _MAX_ROWS))]  # (H, W, 4)
    if int(pixels[..., 3].min()) < 255:
        return False
    if is_lossy:
        pixels = np.where(pixels <= SNAP, 0, np.where(pixels >= 255 - SNAP, 255, pixels)).astype(np.uint8)
    codes = pixels[..., :3].astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])  # (H, W)
    levels, counts = np.unique(codes, return_counts=True)
    if int(np.sort(counts)[-MAX_LEVELS:].sum()) < MIN_LEVEL_SHARE * codes.size:
        return False
    left, right, ground = codes[:, :-1], codes[:, 1:], levels[counts.argmax()]
    is_marked = (left != ground) | (right != ground)
    return not is_marked.any() or float((left == right)[is_marked].mean()) >= MIN_FLAT_SHARE


def _colors(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.convert("RGB").resize((_COLOR_SIDE, _COLOR_SIDE), Image.Resampling.BOX), dtype=np.float32)
