"""Takes a matte from pictures of its name that are not one picture in several files: `0.jpg` and `0.png` next to `0.matte.png`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, parse_header
from mitlgan.data.decode.likeness import MAX_EQUAL_LEVELS, are_equal, correlation
from mitlgan.data.decode.mask_plane import read_mask
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.leftovers import LeftoverFile

MAX_COMPARED = 128
"""Groups that are compared first; the others share their matte without a look if all of these may."""
MIN_COPY_CORRELATION = 0.95
"""Of the brightness of two files from which on they show the same, as a copy in grey, or brighter, does."""
MIN_SEEN_SHARE = 0.25
"""Share of the object that a file must show to be compared there; a cut-out may be tighter than the matte."""
MAX_GROUND_OPACITY, MIN_PAINT_SHARE = 0.1, 0.9
"""Of the matte, up to which a pixel is ground; and the share of the ground that has one colour if an object was cut out and laid on paint."""
REASON = "different pictures have its name, and either may be its own; give one of them another name, and the matte that of its picture"
_SIDE_PX, _CELL_PX = 128, 4
Group = Sequence[ImageEntry]


def refuse_shared_mattes(entries: tuple[ImageEntry, ...]) -> tuple[tuple[ImageEntry, ...], list[LeftoverFile]]:
    """Return the pictures of a source without the mattes that different ones of them would share, and these mattes.

    Args:
        entries: With the mattes of their names.

    Returns:
        The same pictures, and each such matte with the reason why it is nobody's.
    """
    groups: dict[str, list[ImageEntry]] = defaultdict(list)
    for entry in entries:
        if entry.matte is not None:
            groups[entry.matte.name].append(entry)
    shared = [group for group in groups.values() if len(group) > 1]
    sample = evenly_spaced(shared, MAX_COMPARED)
    contested = [group for group in sample if _is_contested(group)]
    if contested and len(sample) < len(shared):
        contested = [group for group in shared if _is_contested(group)]
    if not contested:
        return entries, []
    leftovers = [LeftoverFile(_matte_of(group[0]).name, REASON, "matte") for group in contested]
    refused = {leftover.name for leftover in leftovers}
    return tuple(replace(entry, matte=None) if entry.matte is not None and entry.matte.name in refused else entry for entry in entries), leftovers


def _matte_of(entry: ImageEntry) -> ImageEntry:
    assert entry.matte is not None
    return entry.matte


def _is_contested(group: Group) -> bool:
    """Whether several pictures of the size of their matte show different things; one of another size is refused where the matte is decoded."""
    matte = _matte_of(group[0])
    try:
        matte_content = matte.read()
        matte_size = _size(matte_content)
    except UnreadableImageError:
        return False
    contents: dict[bytes, None] = {}
    for entry in group:
        try:
            content = entry.read()
            if _size(content) == matte_size:
                contents[content] = None
        except UnreadableImageError:
            continue  # refused where it is decoded
    if len(contents) < 2:
        return False
    try:
        first, *others = pictures = [_reduced(content) for content in contents]
    except UnreadableImageError:
        return True
    opacity = _object_opacity(matte_content, matte.name, pictures)
    return not all(_show_the_same(np.asarray(first, np.float32), np.asarray(other, np.float32), opacity) for other in others)


def _size(content: bytes) -> tuple[int, int]:
    return parse_header(content, len(content)).size


def _reduced(content: bytes, ignore_profile: bool = False) -> Image.Image:
    """Return the RGBA picture of a file, stretched to `_SIDE_PX` x `_SIDE_PX`."""
    picture = decode_bytes(content, keep_alpha=True, size_px=_SIDE_PX, ignore_profile=ignore_profile).picture
    return picture.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)


def _object_opacity(content: bytes, name: str, pictures: Sequence[Image.Image]) -> NDArray[np.floating[Any]]:
    """Return where a matte shows the object (H, W), up to 1; 1 everywhere if it shows none, or is one that no picture can have."""
    for picture in pictures:
        try:
            plane = np.asarray(read_mask(content, _reduced(content, ignore_profile=True), name, "the object", picture)[0], dtype=np.float32)
        except UnreadableImageError:
            continue
        if plane.any():
            opacity: NDArray[np.floating[Any]] = plane / plane.max()
            return opacity
    return np.ones((_SIDE_PX, _SIDE_PX), np.float32)


def _show_the_same(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]], marked: NDArray[np.floating[Any]]) -> bool:
    """Whether two pictures show one object: the same where their matte marks it, whatever is around it, such as a shadow, blur or another scene.

    An object of one colour tells nothing but its outline, and in a copy in grey, or brighter, only contrast is the same: then the ground counts,
    too, unless one of the pictures shows the object on paint. A ground that both share tells nothing: most of a product's photograph is the white,
    or the table, of all others.

    Args:
        one: (H, W, 4), 0 to 255.
        other: (H, W, 4), 0 to 255.
        marked: (H, W), 0 to 1: where their matte shows the object.
    """
    both = np.minimum(one[:, :, 3], other[:, :, 3])
    opacity: NDArray[np.floating[Any]] = both / max(float(both.max()), 1.0)
    if float((opacity > 0.5)[marked > 0.5].mean()) < MIN_SEEN_SHARE:
        return False
    inside = (marked * marked * opacity) ** 2  # soft edges show two things, and count little
    object_weights, objects = _cells(inside, one, other)
    if are_equal(objects[0], objects[1], object_weights) and not any(_is_paint(colors, object_weights) for colors in objects):
        return True
    around = np.where((marked < MAX_GROUND_OPACITY) & (opacity > 0.5), np.float32(1), np.float32(0))
    ground_weights, grounds = _cells(around, one, other)
    is_unlike = np.abs(grounds[0] - grounds[1]).mean(axis=1) > MAX_EQUAL_LEVELS
    is_replaced = both.min() == 255 and float(ground_weights[is_unlike].sum()) > 0.5 * float(ground_weights.sum())
    if is_replaced and any(_is_paint(ground, ground_weights) for ground in grounds):
        ground_weights = 0 * ground_weights
    first, second = (np.concatenate(pair) for pair in zip(objects, grounds, strict=True))
    common = np.where(is_unlike, 0, ground_weights)
    differing = np.concatenate([object_weights, ground_weights - common])
    if are_equal(first, second, differing):
        return True
    around_all = np.concatenate([0 * object_weights, ground_weights])
    around_common = np.concatenate([0 * object_weights, common])
    inner = np.concatenate([object_weights, 0 * ground_weights])
    return all(correlation(first, second, _balanced(*weights)) >= MIN_COPY_CORRELATION for weights in ((inner, around_all), (differing, around_common)))


def _balanced(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the sum of two weights (N,), the other scaled to the total of the one, unless it is 0."""
    total = float(other.sum())
    return one + other * (float(one.sum()) / total) if total else one


def _cells(
    weights: NDArray[np.floating[Any]], *pictures: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.floating[Any]], list[NDArray[np.floating[Any]]]]:
    """Return the sums of the weights (H, W) in square cells, (N,), and the weighted mean colours (N, 3) of pictures (H, W, 4); 0 without weight."""

    def sums(plane: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        total: NDArray[np.floating[Any]] = plane.reshape(_SIDE_PX // _CELL_PX, _CELL_PX, _SIDE_PX // _CELL_PX, _CELL_PX, -1).sum(axis=(1, 3))
        return total.reshape((_SIDE_PX // _CELL_PX) ** 2, -1)

    totals = sums(weights)  # (N, 1)
    return totals[:, 0], [sums(weights[:, :, None] * picture[:, :, :3]) / np.maximum(totals, 1e-6) for picture in pictures]


def _is_paint(colors: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]]) -> bool:
    """Whether most of a ground, as colours (N, 3) with weights (N,), has one colour."""
    off = np.abs(colors - np.median(colors[weights > 0], axis=0)).mean(axis=1)
    return float(weights[off <= MAX_EQUAL_LEVELS].sum()) >= MIN_PAINT_SHARE * float(weights.sum())
