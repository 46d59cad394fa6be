"""Decides whether the mattes next to pictures are used, and decodes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from PIL import Image

from mitlgan.data.decode.image_file import DecodedImage, UnreadableImageError, decode_bytes
from mitlgan.data.decode.mask_plane import read_mask
from mitlgan.data.sources.entry import ImageEntry
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.data.sources.leftovers import LeftoverFile


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
    """Decode a matte: the transparency of its file, or its brightness; see `read_mask`.

    Args:
        matte: The matte.
        picture: The picture that it belongs to; its size before any reduction counts, and whether the matte is a cut-out of it.

    Returns:
        Grey, in the picture's full size, upright.

    Raises:
        UnreadableImageError: The matte cannot be read, has another size than the upright picture, or does not say how opaque objects are; see
            `read_mask`.
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
    name = PurePosixPath(matte.name).name
    try:
        return read_mask(content, decoded.picture, name, "the object", picture.picture)[0]
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its matte {name!r} {error}") from None
