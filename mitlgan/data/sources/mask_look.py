"""What a file looks like that may be the mask of another: flat, in few levels that other masks have, too."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.image_file import decode_bytes
from mitlgan.data.decode.likeness import are_equal

MIN_MASKS = 3
"""Fewer masks cannot be told from flat pictures that have the names of others by chance."""
MAX_LEVELS, MIN_LEVEL_SHARE = 32, 0.9
"""The most frequent levels or colours of a mask cover at least that share of its pixels; soft edges have all others."""
MIN_FLAT_SHARE = 0.75
"""Share of neighbouring pixels outside of the most frequent level that are equal; a flat photograph, of a white shoe on white, has fewer."""
MIN_DRAWN_SHARE, DRAWN_LEVELS, MIN_DRAWN_LEVEL_SHARE = 0.4, 4, 0.95
"""That share of neighbouring pixels, or those levels with that share of what is outside of the ground, tell a drawing, such as a thin letter. Dark
photographs, or those of small things on white, have few levels in all, too, but neither of these."""
MIN_SHARED_LEVELS = 0.5
"""More than that share of the levels of a mask, on average, are in other masks of its set; unrelated logos have the ground in common at most."""
MIN_LEVEL_FILES = 0.02
"""Share of the masks of a set, and two at least, that have a level which is the set's own."""
MIN_AREA, MIN_MARKED_AREA = 0.005, 0.1
"""Share of the pixels, or of those outside of the ground, from which on a level is one of the mask's own, and not of its soft edges."""
MAX_CLASSES = 256
"""Levels that a set of masks with one number per pixel may have."""
MAX_PLAIN_LEVELS, MIN_SAME_GROUND = 4, 0.75
"""Masks of more levels have a black ground on average, or at least that share of them has one ground."""
SNAP = 16
"""Levels of a JPEG that are so near to black or white are taken for it, as a mask has some noise there."""
MIN_EXTREME_SHARE = 0.5
"""Share of a mask with soft edges that is black or white."""
MIN_MARKED_LEVEL_SHARE = 0.5
"""The levels of a mask as JPEG, with noise along its edges, cover at least that share of what is outside of its ground."""
MAX_GROUND_SHARE, MAX_EVEN_SHARE = 0.2, 0.8
"""No photograph has a level in so much of it, but for white around a thing, nor as many neighbouring pixels that are equal; many small objects, each
in a colour of its own, have."""
MAX_GREY_CHROMA = 6.0
"""Difference of the channels up to which a file is grey."""
MAX_ASPECT_CHANGE = 0.02
"""Relative change of the proportions up to which a file has the shape of another, resized."""
MAX_CACHED_LOOKS = 4096
_COLOR_SIDE, _WHITE = 8, 0xFFFFFF
_MAX_ROWS = 512  # of a picture, evenly spaced


@dataclass(frozen=True)
class Look:
    """What one file looks like.

    Attributes:
        size: Shorter and longer side (px).
        is_opaque: Whether it has no transparency.
        is_flat: Whether its pixels are those of a mask.
        is_drawn: Whether they may be those of a drawing, as all flat ones are; a mask of a drawing cannot be told from another drawing.
        is_textured: Whether its pixels change as those of a photograph do, all over it, or all over what is on white.
        levels: The levels or colours in more than the soft edges, as 0xRRGGBB, each with its share of the pixels.
        colors: (8, 8, 3), 0 to 255.
    """

    size: tuple[int, int]
    is_opaque: bool
    is_flat: bool
    is_drawn: bool
    is_textured: bool
    levels: Mapping[int, float]
    colors: NDArray[np.float32]

    @property
    def may_be_mask(self) -> bool:
        """Whether it is the mask of some picture, as far as its own pixels tell."""
        return self.is_opaque and self.is_flat

    @property
    def is_blank(self) -> bool:
        """Whether it has one level: a mask of nothing, or a picture of nothing."""
        return self.may_be_mask and len(self.levels) < 2

    @property
    def is_photographic(self) -> bool:
        """Whether it plainly is a photograph: in colours, textured, and without levels that cover most of what is outside of its ground."""
        ground = max(self.levels.values(), default=0.0)
        is_levelled = sum(self.levels.values()) - ground >= MIN_MARKED_LEVEL_SHARE * (1 - ground)
        return self.is_opaque and not self.is_grey and self.is_textured and not self.is_drawn and not is_levelled

    @property
    def is_grey(self) -> bool:
        """Whether it has no colours."""
        return float(np.ptp(self.colors, axis=-1).max()) <= MAX_GREY_CHROMA

    @property
    def has_extremes(self) -> bool:
        """Whether most of it is black or white, and there is some of both."""
        black, white = (
            sum(share for level, share in self.levels.items() if all(low <= level >> shift & 255 <= high for shift in (16, 8, 0)))
            for low, high in ((0, SNAP), (255 - SNAP, 255))
        )
        return black > 0 and white > 0 and black + white >= MIN_EXTREME_SHARE

    def has_shape_of(self, other: Look) -> bool:
        """Whether it has the proportions of the other file."""
        width, height = self.size[0] * other.size[1], self.size[1] * other.size[0]
        return abs(width - height) <= MAX_ASPECT_CHANGE * max(width, height)

    def is_soft_mask_of(self, other: Look) -> bool:
        """Whether it may be a mask with soft edges of a picture in colours, which only others of its set can tell."""
        return self.is_opaque and self.is_grey and self.has_extremes and not other.is_grey and self.has_shape_of(other)

    def is_mask_of(self, other: Look) -> bool:
        """Whether this is a mask of the other file."""
        is_alike = are_equal(self.colors.reshape(-1, 3), other.colors.reshape(-1, 3))
        is_picture = other.is_opaque and not other.is_drawn
        return self.may_be_mask and is_picture and self.size == other.size and not is_alike

    def fits(self, levels: Collection[int]) -> bool:
        """Whether at least half of its levels are among those of a set."""
        return sum(level in levels for level in self.levels) >= MIN_SHARED_LEVELS * len(self.levels)


_looks: dict[tuple[bytes, bool], Look] = {}


def look_at(content: bytes, is_lossy: bool) -> Look:
    """Return what a file looks like; one that this process has looked at before is not decoded again.

    Args:
        content: Of the file.
        is_lossy: Whether its format changes levels a little, as JPEG does.

    Raises:
        UnreadableImageError: The file is no usable picture.
    """
    key = (hashlib.sha256(content).digest(), is_lossy)
    if key not in _looks:
        if len(_looks) >= MAX_CACHED_LOOKS:
            _looks.clear()
        _looks[key] = _decode_look(content, is_lossy)
    return _looks[key]


def _decode_look(content: bytes, is_lossy: bool) -> Look:
    decoded = decode_bytes(content, keep_alpha=True, size_px=_MAX_ROWS, ignore_profile=True)
    size = (min(decoded.width, decoded.height), max(decoded.width, decoded.height))
    pixels = np.asarray(decoded.picture)
    pixels = pixels[:: max(1, -(-len(pixels) // _MAX_ROWS))]  # (H, W, 4)
    is_opaque = int(pixels[..., 3].min()) == 255
    if is_lossy:
        pixels = np.where(pixels <= SNAP, 0, np.where(pixels >= 255 - SNAP, 255, pixels)).astype(np.uint8)
    codes = pixels[..., :3].astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])  # (H, W)
    levels, counts = np.unique(codes, return_counts=True)
    minimum = min(MIN_AREA * codes.size, MIN_MARKED_AREA * float(codes.size - counts.max()))
    own = {int(levels[index]): float(counts[index]) / codes.size for index in np.flatnonzero(counts >= minimum)}
    ground, frequent = int(levels[counts.argmax()]), np.sort(counts)[::-1]
    has_few_levels = int(frequent[:MAX_LEVELS].sum()) >= MIN_LEVEL_SHARE * codes.size
    even_share = _even_share(codes, ground) if has_few_levels else 0.0
    has_paints = int(frequent[1 : DRAWN_LEVELS + 1].sum()) >= MIN_DRAWN_LEVEL_SHARE * int(frequent[1:].sum())
    is_drawn = has_few_levels and (even_share >= MIN_DRAWN_SHARE or has_paints)
    is_flat = has_few_levels and even_share >= MIN_FLAT_SHARE
    is_textured = _is_textured(codes, ground, float(counts.max()) / codes.size, is_lossy)
    return Look(size, is_opaque, is_flat, is_drawn, is_textured, own, _colors(decoded.picture))


def levels_of_set(masks: Sequence[Look], may_be_classes: bool) -> frozenset[int]:
    """Return the levels of the one set that masks, or at least half of them, are of; empty if they are of none.

    Args:
        masks: What they look like.
        may_be_classes: Whether their pixels are single numbers: masks of many classes have few levels each, and more than `MAX_LEVELS` in all.
    """
    files = Counter(level for mask in masks for level in mask.levels)
    shared = {level for level, count in files.items() if count > max(1.0, MIN_LEVEL_FILES * len(masks))}
    members = [mask for mask in masks if mask.fits(shared)]
    if len(members) < MIN_MASKS or 2 * len(members) < len(masks) or not _share_levels(members, MAX_CLASSES if may_be_classes else MAX_LEVELS):
        return frozenset()
    return frozenset(level for mask in members for level in mask.levels)


def _share_levels(masks: Sequence[Look], max_levels: int) -> bool:
    """Whether masks have the levels of one set: few in all, most of them in several masks, and a common ground if they are many."""
    files: Counter[int] = Counter()
    areas: dict[int, float] = defaultdict(float)
    for mask in masks:
        files.update(mask.levels.keys())
        for level, share in mask.levels.items():
            areas[level] += share
    if not 1 < len(files) <= max_levels:
        return False
    shared = [sum(files[level] > 1 for level in mask.levels) / max(1, len(mask.levels)) for mask in masks]
    if sum(shared) <= MIN_SHARED_LEVELS * len(masks):
        return False
    grounds = Counter(max(mask.levels, key=lambda level: mask.levels[level]) for mask in masks if mask.levels)
    is_black = max(areas, key=lambda level: areas[level]) == 0
    return len(files) <= MAX_PLAIN_LEVELS or is_black or max(grounds.values()) >= MIN_SAME_GROUND * len(masks)


def _even_share(codes: NDArray[np.int64], ground: int) -> float:
    """Return the share of neighbouring pixels that are equal, outside of the ground; 1 if all is ground."""
    left, right = codes[:, :-1], codes[:, 1:]
    is_marked = (left != ground) | (right != ground)
    return float((left == right)[is_marked].mean()) if is_marked.any() else 1.0


def _is_textured(codes: NDArray[np.int64], ground: int, ground_share: float, is_lossy: bool) -> bool:
    """Whether pixels change as those of a photograph do; noise around flat objects on an even ground, as of JPEG, does not count."""
    if ground_share < MAX_GROUND_SHARE:
        return codes.shape[1] < 2 or float((codes[:, :-1] == codes[:, 1:]).mean()) <= MAX_EVEN_SHARE
    return ground == _WHITE and not is_lossy and _even_share(codes, ground) < MIN_DRAWN_SHARE


def _colors(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.convert("RGB").resize((_COLOR_SIDE, _COLOR_SIDE), Image.Resampling.BOX), dtype=np.float32)
