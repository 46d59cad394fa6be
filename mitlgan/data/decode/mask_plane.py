"""Decides what the file of a mask says: the matte of a picture, or the hole in one.

Its brightness says it, white what is marked, or its transparency, opaque what is marked. Which of them is told from the pixels. Masks of classes and
objects, in colours or in numbers, say neither and are refused.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data.decode.bit_depth import read_deep_numbers
from mitlgan.data.decode.image_file import MIN_TRANSPARENT_FRACTION, UnreadableImageError, flatten_on
from mitlgan.data.decode.likeness import are_equal, correlation
from mitlgan.data.sources.formats import allowed_formats

MAX_LABEL = 40
"""A mask of which no pixel but white ones is brighter (of 255) may be a mask with the numbers of classes: an object so faint would not be seen."""
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
OPAQUE_LEVEL = 250
"""Opacity, of 255, from which on a pixel counts as opaque."""
MAX_PAINT_SPREAD = 16
"""Difference of the levels of one paint: a file that is not exact varies them."""
MAX_UNLIKE_SHARE = 0.01
"""Share of pixels in which brightness and transparency that say the same may differ by more than `MAX_UNLIKE_LEVELS`, as along a soft edge."""
MAX_UNLIKE_LEVELS = 32
MIN_LAYER_EDGE = 0.98
"""Share of the edge that is left of a layer from which an object inside was erased."""
MIN_CUTOUT_CORRELATION = 0.9
"""Of the brightness of a cut-out with that of its picture, where it is most opaque or wherever it is seen, unless the levels are equal. In an even
object only noise is left to correlate; along soft edges a cut-out may have the object's own colour, without the scene, or be darkened."""


class MaskMeaning(Enum):
    """What of a mask's file says what is marked."""

    BRIGHTNESS = auto()
    """White is marked; its transparency, if any, is a few stray pixels, or follows from the brightness."""
    PAINT = auto()
    """Opaque is marked: its pixels have one colour, or their brightness says the same."""
    CUTOUT = auto()
    """Opaque is marked: its pixels show a part of a picture."""


def read_mask(content: bytes, pixels: Image.Image, name: str, marked: str, picture: Image.Image | None = None) -> tuple[Image.Image, MaskMeaning]:
    """Return how far each pixel of a mask is marked, and what of the file says so.

    Args:
        content: Content of its file.
        pixels: RGBA, decoded from it with `ignore_profile`.
        name: Of its file, whose ending tells whether the levels are exact.
        marked: What it marks, such as `the object`, for messages.
        picture: What it belongs to, of any size, if it is a matte; None if it is a hole, which is no cut-out.

    Returns:
        Grey, of the size of `pixels`, white where it is marked; and what says so.

    Raises:
        UnreadableImageError: Its brightness and its transparency mark different things, it surrounds what may have been erased, or it is a
            mask of classes or objects. The message goes on from the name of the mask.
    """
    meaning = _meaning(pixels, picture, marked)
    if _may_be_erased(np.asarray(pixels), meaning, picture is None):
        raise UnreadableImageError(
            f"is opaque around a transparent part, and either may be {marked}; save it without transparency: {marked} white, all else black"
        )
    deep = None
    if meaning is MaskMeaning.BRIGHTNESS:
        plane = _brightness(pixels)
        if _is_colored(np.asarray(pixels)[:, :, :3]):
            raise UnreadableImageError(f"is in colours, as masks of classes are; give one in grey: {marked} white, all else black")
    else:
        plane = pixels.getchannel("A")
    if not name.lower().endswith(LOSSY_SUFFIXES):
        if meaning is MaskMeaning.BRIGHTNESS:
            deep = read_deep_numbers(content, allowed_formats(content))
        _refuse_labels(np.asarray(plane), deep, marked)
    return plane, meaning


def _meaning(rgba: Image.Image, picture: Image.Image | None, marked: str) -> MaskMeaning:
    """Return what of a mask says what is marked; see `read_mask`."""
    pixels = np.asarray(rgba)
    colors, alpha = pixels[:, :, :3], pixels[:, :, 3]
    lowest, highest = int(alpha.min()), int(alpha.max())
    if lowest == 255:
        return MaskMeaning.BRIGHTNESS
    is_visible = alpha > highest // 2
    is_opaque = float((alpha < OPAQUE_LEVEL).mean()) < MIN_TRANSPARENT_FRACTION
    grey, visible = np.asarray(rgba.convert("L")), colors[is_visible]  # (H, W), (N, 3)
    if not highest or _is_paint(visible):
        is_black = highest > 0 and int(visible.max()) <= MAX_PAINT_SPREAD
        return MaskMeaning.BRIGHTNESS if is_opaque and is_black else MaskMeaning.PAINT
    if _is_colored(visible[None]):
        return MaskMeaning.BRIGHTNESS if is_opaque and _is_flat(grey) else MaskMeaning.CUTOUT
    if is_opaque or lowest == highest:
        return MaskMeaning.BRIGHTNESS
    if picture is not None and _is_cut_from(grey, alpha, picture):
        return MaskMeaning.CUTOUT
    if np.array_equal(alpha, np.where(grey > 0, 255, 0)):  # black is the transparent colour
        return MaskMeaning.BRIGHTNESS
    opacity = alpha.astype(np.int32)
    unlike = np.minimum(np.abs(grey - opacity), opacity - grey * opacity // 255)  # as it is, and on black
    if float((unlike > MAX_UNLIKE_LEVELS).mean()) <= MAX_UNLIKE_SHARE:
        return MaskMeaning.PAINT
    way_out = f"save it without transparency: {marked} white, all else black"
    raise UnreadableImageError(f"marks one thing by its transparency and another by its brightness; {way_out}")


def _may_be_erased(pixels: NDArray[np.uint8], meaning: MaskMeaning, is_hole: bool) -> bool:
    """Whether the transparent part of a mask (H, W, 4) may be what it marks, erased from a layer of paint.

    Most of a layer, and of its edge, is left then. Of a matte, all of the edge: an object in a close-up covers most of it. A matte is in no doubt if
    its paint has a colour, as no such layer has, or if its brightness says the same.
    """
    alpha = pixels[:, :, 3]
    is_left = alpha > int(alpha.max()) // 2
    if meaning is not MaskMeaning.PAINT or not 0.5 < float(is_left.mean()) <= 1 - MIN_TRANSPARENT_FRACTION:
        return False
    edge_share = float(np.concatenate([is_left[0], is_left[-1], is_left[1:-1, 0], is_left[1:-1, -1]]).mean())
    if is_hole:
        return edge_share > 0.5
    colors = pixels[:, :, :3]
    return edge_share >= MIN_LAYER_EDGE and not _is_colored(colors[is_left][None]) and not _are_like(colors.max(axis=2), alpha)


def _are_like(grey: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> bool:
    """Whether brightness (H, W) says the same as opacity (H, W)."""
    return float((np.abs(grey.astype(np.int32) - opacity) > MAX_UNLIKE_LEVELS).mean()) <= MAX_UNLIKE_SHARE


def _brightness(rgba: Image.Image) -> Image.Image:
    """Return the brightness (L), with transparent pixels as black."""
    alpha = rgba.getchannel("A")
    if alpha.getextrema() != (255, 255) and alpha.getextrema()[0] != alpha.getextrema()[1]:
        rgba = rgba.copy()
        rgba.putalpha(alpha.point([0 if level < OPAQUE_LEVEL else 255 for level in range(256)]))
        return flatten_on(rgba, (0, 0, 0)).convert("L")
    return rgba.convert("L")


def _is_paint(colors: NDArray[np.uint8]) -> bool:
    """Whether pixels (N, 3) have one colour."""
    return bool((colors.max(axis=0).astype(int) - colors.min(axis=0) <= MAX_PAINT_SPREAD).all())


def _is_cut_from(grey: NDArray[np.uint8], alpha: NDArray[np.uint8], picture: Image.Image) -> bool:
    """Whether the brightness (H, W) of a mask is that of its picture where its opacity (H, W) is near its highest, or above half of this."""
    other = np.asarray(picture.convert("L").resize((grey.shape[1], grey.shape[0]), Image.Resampling.BILINEAR))
    highest = int(alpha.max())
    return any(_is_alike(grey[area].astype(float), other[area].astype(float)) for area in (alpha >= highest * OPAQUE_LEVEL / 255, alpha > highest // 2))


def _is_alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether the brightness of some pixels (N,) is that of others, or rises and falls with it."""
    return are_equal(one, other) or correlation(one, other) >= MIN_CUTOUT_CORRELATION


def _refuse_labels(levels: NDArray[np.uint8], deep: tuple[NDArray[np.int64], int] | None, marked: str) -> None:
    """Raise `UnreadableImageError` if a mask looks like labels, as bytes or by the numbers of its file.

    Args:
        levels: (H, W) as bytes: numbers that use a small part of more bits are faint here, and noise around one of them is flat.
        deep: (H, W) as in the file, and the number of white; None if it has no more than eight bits.
        marked: What is white in a mask.
    """
    if deep is None:
        highest, white, remark = _highest_label(levels, 255), 255, ""
    else:
        numbers, white = deep
        is_faint = _highest_label(levels, 255) > 0
        highest = int(numbers[numbers < white].max()) if is_faint else _highest_label(numbers, white)
        remark = f", where white is {white}"
    if highest:
        raise UnreadableImageError(f"looks like labels 0..{highest}{remark}; scale it to 0..{white}: {marked} white, all else black")


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
