"""Pixels of any depth into eight bits: scaled by what the file says its numbers are, where Pillow's own conversions clip them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

MIN_BRIGHTEST = 1 / 256
"""Of the full scale of 32 bits: a picture that ends below would be black, so its numbers have another scale, which nobody names."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_SIGNED = 2
_PNG_DEPTH = 24  # where a PNG's header has it


class UnknownScaleError(Exception):
    """Numbers of which nobody says what is black or white; the message is the reason, in a few words."""


@dataclass(frozen=True)
class BitDepth:
    """What a file says of the numbers in it.

    Attributes:
        bits: Of each.
        signed: They may be below zero.
        white_is_zero: As in a negative.
    """

    bits: int
    signed: bool = False
    white_is_zero: bool = False


def read_bit_depth(picture: ImageFile.ImageFile, content: bytes) -> BitDepth:
    """Of a picture that is not loaded yet: Pillow forgets a part of it then."""
    if picture.format == "TIFF":
        tags: Any = picture.tag_v2  # type: ignore[attr-defined]
        bits, signs = tags.get(_BITS_PER_SAMPLE, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
        if int(bits[0]) == 16:
            picture.tile = [_of_16_bits(tile, content) for tile in picture.tile]
        return BitDepth(int(bits[0]), int(signs[0]) == _SIGNED, tags.get(_PHOTOMETRIC) == 0)
    if picture.format == "PNG":
        return BitDepth(content[_PNG_DEPTH])
    return BitDepth(16 if picture.mode.startswith("I") else 8)


def to_eight_bits(picture: Image.Image, depth: BitDepth, content: bytes) -> Image.Image:
    """The picture itself where nothing is to be done; otherwise L or LA for grey, RGBA for colours of which one is transparent.

    Args:
        picture: As Pillow loads it.
        depth: See `depth_of`.
        content: Of the file.

    Raises:
        UnknownScaleError: Floating point, numbers below zero, or 32 bits that are hardly used.
    """
    if picture.mode == "F":
        raise UnknownScaleError("floating-point pixels, whose range is unknown")
    transparent = picture.info.get("transparency")
    if picture.mode.startswith("I"):
        numbers = np.asarray(picture)
        grey = Image.fromarray(_scaled(numbers.astype(np.int64), depth))
        return grey if transparent is None else Image.merge("LA", (grey, _alpha(numbers != transparent)))
    if depth.signed:
        return Image.fromarray(_scaled(np.asarray(picture.convert("L")).view(np.int8).astype(np.int64), depth))
    if picture.format != "PNG" or transparent is None:
        return picture
    if picture.mode == "L" and depth.bits < 8:
        picture.info["transparency"] = transparent * 255 // (2**depth.bits - 1)  # Pillow scales the pixels, and not this
    if picture.mode == "RGB" and depth.bits == 16:
        numbers = np.asarray(picture).astype(np.int64) * 256 + _low_bytes(content)
        picture.putalpha(_alpha((numbers != np.array(transparent)).any(-1)))
        del picture.info["transparency"]
    return picture


def _of_16_bits(tile: Any, content: bytes) -> Any:
    """Where each channel lies apart, uncompressed, Pillow takes 16 bits for twice 8."""
    if tile.codec_name != "raw" or tile.args[0] not in tuple("RGBACMYK"):
        return tile
    return tile._replace(args=(f"{tile.args[0]};16{'L' if content.startswith(b'II') else 'B'}", *tile.args[1:]))


def _scaled(numbers: NDArray[np.int64], depth: BitDepth) -> NDArray[np.uint8]:
    if depth.bits == 32 and not depth.signed:
        numbers = numbers % 2**32  # Pillow has them as signed ones
    if depth.signed and numbers.min() < 0:
        raise UnknownScaleError("numbers below zero, of which nobody says what is black")
    white = 2 ** (depth.bits - depth.signed) - 1
    brightest = int(numbers.max())
    if depth.bits == 32 and 0 < brightest < MIN_BRIGHTEST * white:
        raise UnknownScaleError(f"32-bit pixels that end at {brightest} of {white}: their scale is unknown; save them with 16 bits")
    levels = (numbers.clip(0, white) * 255 + white // 2) // white
    scaled: NDArray[np.uint8] = (255 - levels if depth.white_is_zero else levels).astype(np.uint8)
    return scaled


def _alpha(opaque: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(opaque.astype(np.uint8) * 255)


def _low_bytes(content: bytes) -> NDArray[np.uint8]:
    """Of each 16-bit colour of a PNG what Pillow drops: (H, W, 3)."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as again:
        again.tile = [tile._replace(args="RGB;16L") for tile in again.tile]
        return np.asarray(again)
