"""Takes a matte from pictures of its name that are not one picture in several files: `0.jpg` and `0.png` next to `0.matte.png`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, parse_header
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.even_sample import evenly_spaced
from mitlgan.data.sources.leftovers import LeftoverFile

MAX_COMPARED = 128
"""Groups that are compared first; the others share their matte without a look if all of these may."""
MAX_EQUAL_LEVEL = 12.0
"""Mean difference of the levels (0 to 255) up to which two files show the same, as a photograph and its JPEG, or its cut-out, do."""
MIN_COPY_CORRELATION = 0.97
"""Of the brightness of two files from which on they show the same, as a copy in grey, or brighter, does."""
REASON = "different pictures have its name, and either may be its own; give one of them another name, and the matte that of its picture"
_SIDE_PX, _DECODED_PX, _OPAQUE = 16, 64, 250
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
    try:
        matte_size = _size(_matte_of(group[0]).read())
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
        first, *others = (_thumbnail(content) for content in contents)
    except UnreadableImageError:
        return True
    return not all(_are_alike(first, other) for other in others)


def _size(content: bytes) -> tuple[int, int]:
    return parse_header(content, len(content)).size


def _thumbnail(content: bytes) -> NDArray[np.float32]:
    picture = decode_bytes(content, keep_alpha=True, size_px=_DECODED_PX).picture
    return np.asarray(picture.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX), dtype=np.float32)  # (16, 16, 4)


def _are_alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two thumbnails show the same where both are opaque."""
    is_opaque = np.minimum(one[:, :, 3], other[:, :, 3]) >= _OPAQUE
    if not is_opaque.any():
        return False
    colors, others = one[is_opaque][:, :3], other[is_opaque][:, :3]  # (N, 3)
    if float(np.abs(colors - others).mean()) <= MAX_EQUAL_LEVEL:
        return True
    levels = np.stack([colors, others]) @ np.array([0.299, 0.587, 0.114])  # (2, N)
    return bool(levels.std(axis=1).all()) and float(np.corrcoef(levels)[0, 1]) >= MIN_COPY_CORRELATION
