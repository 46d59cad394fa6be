"""Decides whether the mattes next to pictures are used, and decodes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.bit_depth import read_deep_numbers
from mitlgan.data.decode.image_file import DecodedImage, UnreadableImageError, decode_bytes
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.formats import allowed_formats
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.data.sources.leftovers import LeftoverFile

MAX_LABEL = 40
"""A matte of which no pixel but white ones is brighter (of 255) may be a mask with the numbers of classes: an object so faint would not be seen."""
MAX_ID_SHARE = 0.75
"""Share of white, of more than 8 bits, up to which the numbers of a mask may be those of objects, such as 24001; a brighter object is seen."""
BYTE_FACTORS = (256, 257)
"""Levels of 0 to 255 times one of these are 16-bit levels, as whole percents of white are; numbers of objects are neither."""
MIN_AREA_PX = 4
"""Fewer pixels of one number are no object; most numbers along a soft edge are so rare."""
LOSSY_SUFFIXES = (".jpg", ".jpeg")
"""Of files that hold no numbers of classes: their values are not exact, and where there is no object they may be a little above 0."""
MIN_FLAT_SHARE = 0.75
"""Share of neighbouring pixels in the areas of such a mask that are equal; a matte of an empty picture, with a little noise, has fewer."""
MAX_VOID_SHARE = 0.3
"""Share of white, which masks of classes have along borders, among the pixels of such a mask that are not 0; most objects of mattes have more."""
MIN_BORDER_SHARE, MIN_BORDER_PX, MAX_SOLID_SHARE = 0.015, 3, 0.05
"""White is solid, as objects are and borders are not, if more than the last share is farther from its edge than the first, of the side, and the px."""
MAX_SHADOWS, MIN_SHADOW_SHARE = 2, 0.01
"""Flat areas, of at least that share of what is not 0, that a matte may have beside a solid object; masks of classes have more beside solid white."""
MIN_SHADOW_LEVEL = 8
"""Of 255: a flat area that is fainter is not seen, so it is no shadow but a class, and solid white beside it is an area to be ignored."""
COLORED = 64
"""Difference of the channels of a pixel, 0 to 255, from which on it has a colour."""
MAX_COLORED_SHARE = 0.05
"""Share of pixels with a colour, among those that are not black, up to which a matte counts as grey."""


def use_mattes(source: ImageSource, unwanted: str = "") -> tuple[ImageSource, bool]:
    """Return a source as it is packed: with mattes, if at least half of the pictures have one.

    Pictures without a matte are then left out. If fewer have one, all pictures are used and no matte. The leftovers of the source say so.

    Args:
        source: Any source.
        unwanted: Why mattes are not used in any case; empty if they may be.

    Returns:
        The source, and whether its mattes are used.
    """
    total = len(source.entries)
    have = sum(entry.matte is not None for entry in source.entries)
    if not have:
        return source, False
    bare = (replace(entry, matte=None) for entry in source.entries)
    if unwanted:
        return source.subset(bare, remarks=[f"{have:,} mattes are not used: {unwanted}"]), False
    if 2 * have < total:
        why = f"{have:,} mattes are not used: {total - have:,} of {total:,} pictures have none next to them (NAME.matte.png)"
        return source.subset(bare, remarks=[why]), False
    reason = f"no matte next to it (NAME.matte.png), as {have:,} of {total:,} pictures have one"
    left = [LeftoverFile(entry.name, reason, "without a matte") for entry in source.entries if entry.matte is None]
    return source.subset((entry for entry in source.entries if entry.matte is not None), left), True


def decode_matte(matte: ImageEntry, picture: DecodedImage) -> Image.Image:
    """Decode a matte: the transparency of its file if it has any, else its brightness.

    Args:
        matte: The matte.
        picture: The picture that it belongs to; only its size before any reduction counts.

    Returns:
        Grey, in the picture's full size, upright.

    Raises:
        UnreadableImageError: The matte cannot be read, has another size than the upright picture, or numbers objects and classes instead of saying
            how opaque they are.
    """
    try:
        content = matte.read()
        decoded = decode_bytes(content, keep_alpha=True, ignore_profile=True)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its matte: {error}") from None
    if (decoded.width, decoded.height) != (picture.width, picture.height):
        is_sideways = (decoded.height, decoded.width) == (picture.width, picture.height)
        hint = "; pictures are turned upright by their EXIF, so its matte must be upright, too" if is_sideways else ""
        raise UnreadableImageError(f"its matte is {decoded.width} x {decoded.height} px, itself {picture.width} x {picture.height}{hint}")
    alpha = decoded.picture.getchannel("A")
    is_transparent = alpha.getextrema() != (255, 255)
    plane = alpha if is_transparent else decoded.picture.convert("L")
    name = PurePosixPath(matte.name).name
    if not is_transparent and _is_colored(np.asarray(decoded.picture)[:, :, :3]):
        raise UnreadableImageError(f"its matte {name!r} is in colours, as masks of classes are; give one in grey: the object white, all else black")
    if not name.lower().endswith(LOSSY_SUFFIXES):
        deep = None if is_transparent else read_deep_numbers(content, allowed_formats(content))
        _refuse_labels(name, np.asarray(plane), deep)
    return plane


def _refuse_labels(name: str, levels: NDArray[np.uint8], deep: tuple[NDArray[np.int64], int] | None) -> None:
    """Raise `UnreadableImageError` if a matte looks like labels, as bytes or by the numbers of its file.

    Args:
        name: Of its file.
        levels: (H, W) as bytes: numbers that use a small part of more bits are faint here, and noise around one of them is flat.
        deep: (H, W) as in the file, and the number of white; None if it has no more than eight bits.
    """
    if deep is None:
        highest, white, remark = _highest_label(levels, 255), 255, ""
    else:
        numbers, white = deep
        is_faint = _highest_label(levels, 255) > 0
        highest = int(numbers[numbers < white].max()) if is_faint else _highest_label(numbers, white)
        remark = f", where white is {white}"
    if highest:
        scale = f"scale it to 0..{white}: the object white, all else black"
        raise UnreadableImageError(f"its matte {name!r} looks like labels 0..{highest}{remark}; {scale}")


def _is_colored(pixels: NDArray[np.uint8]) -> bool:
    """Return whether a picture (H, W, 3) is one in colours, by its pixels that are not black."""
    brightest = pixels.max(axis=2)
    spread = brightest - pixels.min(axis=2)
    return int((spread >= COLORED).sum()) > MAX_COLORED_SHARE * max(int((brightest > 0).sum()), 1)


def _highest_label(numbers: NDArray[np.integer[Any]], white: int) -> int:
    """Return the highest number of a class or object in a mask that looks like one of these; 0 for a matte.

    Args:
        numbers: (H, W) as in the file: scaled to bytes, small numbers of more bits would be 0.
        white: The number of white, which such masks may have along borders.
    """
    is_void = numbers == white
    labels = np.where(is_void, 0, numbers)
    highest, marked, void = int(labels.max()), int((numbers > 0).sum()), int(is_void.sum())
    if not highest or void > MAX_VOID_SHARE * marked or not _is_flat(labels):
        return 0
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    is_large = counts >= max(MIN_AREA_PX, MIN_SHADOW_SHARE * marked)
    if highest * 255 > MAX_LABEL * white and not _are_object_numbers(values, counts >= MIN_AREA_PX, is_large, white):
        return 0
    areas = values[is_large]
    may_be_shadows = len(areas) <= MAX_SHADOWS and not (areas < MIN_SHADOW_LEVEL * white / 255).any()
    return 0 if may_be_shadows and _is_solid(is_void) else highest


def _are_object_numbers(values: NDArray[np.integer[Any]], is_area: NDArray[np.bool_], is_large: NDArray[np.bool_], white: int) -> bool:
    """Whether the different numbers of a mask are those of objects and not levels of more than 8 bits.

    Args:
        values: (N,) rising.
        is_area: (N,) those that are no level of a soft edge only.
        is_large: (N,) those that a matte's flat areas may have.
        white: The number of white.
    """
    if white <= 255 or int(values[-1]) > MAX_ID_SHARE * white:
        return False
    return bool(2 * is_area.sum() >= len(values)) and not _are_levels(values[is_large], white)


def _are_levels(values: NDArray[np.integer[Any]], white: int) -> bool:
    """Whether numbers (N,) of more than 8 bits are levels as programs write them: all bytes, or all whole percents of white, rounded up or down."""
    off = values * 100 % white
    are_percents = not ((off >= 100) & (off <= white - 100)).any()
    return bool(len(values)) and (are_percents or any(not (values % factor).any() for factor in BYTE_FACTORS))


def _is_solid(area: NDArray[np.bool_]) -> bool:
    """Whether an area (H, W) is as thick as an object, not as thin as borders."""
    if not area.any():
        return False
    radius = max(MIN_BORDER_PX, round(MIN_BORDER_SHARE * min(area.shape)))
    inner = _erode_rows(_erode_rows(area, radius).T, radius)
    return int(inner.sum()) > MAX_SOLID_SHARE * int(area.sum())


def _erode_rows(area: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Keep what has only its like within a radius to the left and right; beyond the picture an area (H, W) goes on as at its side."""
    padded = np.pad(area, ((0, 0), (radius + 1, radius)), mode="edge")
    total = padded.cumsum(axis=1, dtype=np.int32)
    inner: NDArray[np.bool_] = total[:, 2 * radius + 1 :] - total[:, : -2 * radius - 1] == 2 * radius + 1
    return inner


def _is_flat(levels: NDArray[np.integer[Any]]) -> bool:
    """Return whether most pixels that are not 0 (H, W) equal the next one, to the right or below."""
    shares = []
    for one, other in ((levels[:, :-1], levels[:, 1:]), (levels[:-1], levels[1:])):
        marked = (one > 0) | (other > 0)
        shares.append(float((one == other)[marked].mean()) if marked.any() else 0.0)
    return max(shares) >= MIN_FLAT_SHARE
