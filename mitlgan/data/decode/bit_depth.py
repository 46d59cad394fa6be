"""Converts pixels of any depth to eight bits, scaled as the file says; Pillow's own conversions would clip them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImagePalette

MIN_BRIGHTEST_FRACTION = 1 / 256
"""Of the full 32-bit scale: a picture whose brightest pixel is below would be black, so its numbers have another, unknown scale."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT, _COLOR_MAP = 258, 262, 339, 320
_SIGNED = 2
_BYTE_BITS = 8
_PNG_DEPTH_OFFSET = 24  # in a PNG file


class UnknownScaleError(Exception):
    """Pixels whose black and white levels are unknown; the message is the reason, in a few words."""


@dataclass(frozen=True)
class BitDepth:
    """The format of a file's pixel values.

    Attributes:
        bits: Bits per value.
        signed: Whether values may be negative.
        white_is_zero: Whether 0 is white, as in a negative.
    """

    bits: int
    signed: bool = False
    white_is_zero: bool = False


def read_bit_depth(picture: ImageFile.ImageFile, content: bytes) -> BitDepth:
    """Return the bit depth of a picture that is not loaded yet, and correct what Pillow would read wrongly; loading discards a part of it."""
    if picture.format == "TIFF":
        tags: Any = picture.tag_v2  # type: ignore[attr-defined]
        bits, signs = tags.get(_BITS_PER_SAMPLE, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
        if int(bits[0]) == 16:
            picture.tile = [_as_16_bit_tile(tile, content) for tile in picture.tile]
        colors = tags.get(_COLOR_MAP, ())
        if picture.mode == "P" and 0 < max(colors, default=0) < 256:  # of old programs: levels of 8 bits, of which Pillow drops the lower ones
            picture.palette = ImagePalette.raw("RGB;L", bytes(colors))
        return BitDepth(int(bits[0]), int(signs[0]) == _SIGNED, tags.get(_PHOTOMETRIC) == 0)
    if picture.format == "PNG":
        return BitDepth(content[_PNG_DEPTH_OFFSET])
    return BitDepth(16 if picture.mode.startswith("I") else 8)


def to_eight_bits(picture: Image.Image, depth: BitDepth, content: bytes) -> Image.Image:
    """Convert a picture to eight bits per channel; returns the same object if nothing needs to be done.

    Args:
        picture: As Pillow loads it.
        depth: See `read_bit_depth`.
        content: Content of the file.

    Returns:
        L or LA for grey, RGBA if one color is transparent.

    Raises:
        UnknownScaleError: The pixels are floating-point, negative, use a tiny part of 32 bits, or would all become one level though they are not all 0.
    """
    if picture.mode == "F":
        raise UnknownScaleError("floating-point pixels, whose range is unknown")
    if picture.mode == "La":
        return picture.convert("LA")  # the only conversion of associated alpha that Pillow has
    transparent = picture.info.get("transparency")
    if picture.mode.startswith("I"):
        numbers = np.asarray(picture)
        grey = Image.fromarray(_scale(numbers.astype(np.int64), depth))
        return grey if transparent is None else Image.merge("LA", (grey, _alpha_plane(numbers != transparent)))
    if depth.signed:
        return Image.fromarray(_scale(np.asarray(picture.convert("L")).view(np.int8).astype(np.int64), depth))
    if picture.format != "PNG" or transparent is None:
        return picture
    if picture.mode == "L" and depth.bits < 8:
        picture.info["transparency"] = transparent * 255 // (2**depth.bits - 1)  # Pillow scales the pixels, but not this value
    if picture.mode == "RGB" and depth.bits == 16:
        numbers = np.asarray(picture).astype(np.int64) * 256 + _low_bytes(content)
        picture.putalpha(_alpha_plane((numbers != np.array(transparent)).any(-1)))
        del picture.info["transparency"]
    return picture


def read_deep_numbers(content: bytes, formats: tuple[str, ...]) -> tuple[NDArray[np.int64], int] | None:
    """Return the numbers of a picture of more than eight bits as its file has them, not scaled, and the number of white.

    Args:
        content: Content of a file that can be decoded.
        formats: Names of its formats.

    Returns:
        (H, W) grey, or the brightest colour, not turned upright; None if it has eight bits or fewer, or black is its highest number.
    """
    with Image.open(io.BytesIO(content), formats=formats) as picture:
        depth = read_bit_depth(picture, content)
        is_deep_rgb = picture.format == "PNG" and picture.mode == "RGB"
        if depth.bits <= _BYTE_BITS or depth.white_is_zero or not (picture.mode.startswith("I") or is_deep_rgb):
            return None
        picture.load()
        numbers = np.asarray(picture).astype(np.int64)
        return (numbers * 256 + _low_bytes(content)).max(axis=2) if is_deep_rgb else numbers, _white(depth)


def _white(depth: BitDepth) -> int:
    return int(2 ** (depth.bits - depth.signed) - 1)


def _as_16_bit_tile(tile: Any, content: bytes) -> Any:
    """Correct a tile of uncompressed separate channels, of which Pillow reads 16 bits as twice 8."""
    if tile.codec_name != "raw" or tile.args[0] not in tuple("RGBACMYK"):
        return tile
    return tile._replace(args=(f"{tile.args[0]};16{'L' if content.startswith(b'II') else 'B'}", *tile.args[1:]))


def _scale(numbers: NDArray[np.int64], depth: BitDepth) -> NDArray[np.uint8]:
    if depth.bits == 32 and not depth.signed:
        numbers = numbers % 2**32  # Pillow reads them as signed
    if depth.signed and numbers.min() < 0:
        raise UnknownScaleError("numbers below zero, of which nobody says what is black")
    white = _white(depth)
    brightest = int(numbers.max())
    if depth.bits == 32 and 0 < brightest < MIN_BRIGHTEST_FRACTION * white:
        raise UnknownScaleError(f"32-bit pixels that end at {brightest} of {white}: their scale is unknown; save them with 16 bits")
    levels = (numbers.clip(0, white) * 255 + white // 2) // white
    if brightest and not levels.any():
        raise UnknownScaleError(f"{depth.bits}-bit pixels that end at {brightest} of {white} would all become one level; scale them to 0..{white}")
    scaled: NDArray[np.uint8] = (255 - levels if depth.white_is_zero else levels).astype(np.uint8)
    return scaled


def _alpha_plane(opaque: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(opaque.astype(np.uint8) * 255)


def _low_bytes(content: bytes) -> NDArray[np.uint8]:
    """Return the low bytes of a 16-bit RGB PNG, which Pillow drops: (H, W, 3)."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        picture.tile = [tile._replace(args="RGB;16L") for tile in picture.tile]
        return np.asarray(picture)
