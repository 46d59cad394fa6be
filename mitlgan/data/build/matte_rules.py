"""Mattes beside pictures: one rule for which of a set are used, and one for which fit."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from mitlgan.data.decode.image_file import DecodedImage, UnreadableImageError, decode_bytes
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.data.sources.leftovers import LeftoverFile


def use_mattes(source: ImageSource, unwanted: str = "") -> tuple[ImageSource, bool]:
    """A source as it is packed: with its mattes, where at least half of the pictures have one, and without the pictures that have none.

    Where fewer have one, the mattes are not used, and all pictures are taken. Either is told.

    Args:
        source: Any.
        unwanted: Why mattes are not used in any case; empty, they are.

    Returns:
        The source, its leftovers told, and whether its mattes are used.
    """
    total = len(source.entries)
    have = sum(entry.matte is not None for entry in source.entries)
    if not have:
        return source, False
    bare = (replace(entry, matte=None) for entry in source.entries)
    if unwanted:
        return source.subset(bare, remarks=[f"{have:,} mattes are not used: {unwanted}"]), False
    if 2 * have < total:
        why = f"{have:,} mattes are not used: {total - have:,} of {total:,} pictures have none beside them (NAME.matte.png)"
        return source.subset(bare, remarks=[why]), False
    reason = f"no matte beside it (NAME.matte.png), as {have:,} of {total:,} pictures have one"
    left = [LeftoverFile(entry.name, reason, "without a matte") for entry in source.entries if entry.matte is None]
    return source.subset((entry for entry in source.entries if entry.matte is not None), left), True


def fitting_matte(content: bytes, picture: DecodedImage) -> Image.Image:
    """A matte, for the picture that it lies beside: its transparency where it has some, else its brightness.

    Args:
        content: Of the matte's file.
        picture: Decoded; only its size before any reduction counts.

    Returns:
        Grey, of the picture's full size, upright.

    Raises:
        UnreadableImageError: It is no picture, or of another size than the picture as it is shown.
    """
    try:
        found = decode_bytes(content, keep_alpha=True, as_numbers=True)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its matte: {error}") from None
    if (found.width, found.height) != (picture.width, picture.height):
        sideways = (found.height, found.width) == (picture.width, picture.height)
        turned = "; pictures are turned upright by their EXIF, so its matte must be upright, too" if sideways else ""
        raise UnreadableImageError(f"its matte is {found.width} x {found.height} px, itself {picture.width} x {picture.height}{turned}")
    alpha = found.picture.getchannel("A")
    extremes = alpha.getextrema()
    return alpha if extremes != (255, 255) else found.picture.convert("L")
