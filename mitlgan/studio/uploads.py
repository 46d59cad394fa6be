"""Uploaded pictures: identified by their bytes alone, decoded with limits, and brought to an artifact's size."""

from __future__ import annotations

import base64
import binascii
import io
import re

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.data.build.resize import crop_and_resize, to_planes
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.sources.formats import allowed_formats
from mitlgan.images.pixels import to_float, to_grayscale
from mitlgan.studio.errors import RequestRefused

RESIZE = "lanczos"
MIN_HOLE_BRIGHTNESS = 128
"""Mask pixels at least this bright are inside the hole."""


def decode_picture(content: bytes, card: Card, option: str) -> Tensor:
    """Decode the central square of a picture in the artifact's format, (1, C, H, W) in [-1, 1].

    Args:
        content: Bytes of the file.
        card: Decides size and channels; four channels are premultiplied.
        option: Field name that begins error messages.

    Raises:
        RequestRefused: 415, not a picture of an allowed format; 422, damaged, too large or too thin.
    """
    channels = card.image_channels
    planes = to_planes(crop_and_resize(_decode(content, option, keep_alpha=channels == 4, size_px=card.size_px), card.size_px, RESIZE))[None]
    return to_float(torch.from_numpy(to_grayscale(planes) if channels == 1 else planes))


def decode_transparent(content: bytes, card: Card, option: str) -> Image.Image | None:
    """Decode the same square as RGBA, unchanged if it has the artifact's size; None if nothing in it is transparent.

    Raises:
        RequestRefused: As `decode_picture`.
    """
    picture = _decode(content, option, keep_alpha=True, size_px=card.size_px)
    if picture.size != (card.size_px, card.size_px):
        picture = crop_and_resize(picture, card.size_px, RESIZE).convert("RGBA")
    return None if picture.getchannel("A").getextrema() == (255, 255) else picture


def decode_hole(content: bytes, card: Card, option: str) -> Tensor:
    """Decode a mask of the artifact's size, (1, 1, H, W): 1 where it is bright and opaque, else 0.

    Raises:
        RequestRefused: 415 or 422 as `decode_picture`; also 422 if it has another size, or marks nothing or everything.
    """
    size = _image_size(content, option)
    if size != (card.size_px, card.size_px):
        raise RequestRefused(422, f"{option}: is {size[0]} x {size[1]} px; paint on the picture's {card.size_px} x {card.size_px} px")
    mask = _decode(content, option, keep_alpha=True, size_px=0, ignore_profile=True)
    on_black = Image.new("RGBA", mask.size, (0, 0, 0, 255))
    on_black.alpha_composite(mask)
    marked = (torch.frombuffer(bytearray(on_black.convert("L").tobytes()), dtype=torch.uint8) >= MIN_HOLE_BRIGHTNESS).float().view(1, 1, *mask.size)
    if not bool(marked.any()) or bool(marked.all()):
        raise RequestRefused(422, f"{option}: marks {'everything' if bool(marked.any()) else 'nothing'}; paint the part to fill, and leave the rest")
    return marked


def decode_data_uri(uri: str, option: str) -> bytes:
    """Return the bytes of a picture's data URI.

    Raises:
        RequestRefused: 422, it is not such a URI.
    """
    match = re.match(r"data:image/[a-z0-9.+-]{1,40};base64,", uri[:80])
    if match is None:
        raise RequestRefused(422, f"{option}: is not the data URI of a picture; send data:image/png;base64,...")
    try:
        return base64.b64decode(uri[match.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise RequestRefused(422, f"{option}: its base64 is damaged; send it again") from None


def _decode(content: bytes, option: str, *, keep_alpha: bool, size_px: int, ignore_profile: bool = False) -> Image.Image:
    _image_size(content, option)
    try:
        return decode_bytes(content, keep_alpha=keep_alpha, size_px=size_px, ignore_profile=ignore_profile).picture
    except UnreadableImageError as error:
        raise RequestRefused(422, f"{option}: {error}") from None


def _image_size(content: bytes, option: str) -> tuple[int, int]:
    """Return width and height from the picture's header; nothing is decoded."""
    try:
        with Image.open(io.BytesIO(content), formats=allowed_formats(content)) as picture:
            return picture.size
    except UnidentifiedImageError:
        raise RequestRefused(415, f"{option}: is not a picture of a known format; send PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF") from None
    except Image.DecompressionBombError:
        raise RequestRefused(422, f"{option}: refused as a decompression bomb") from None
    except Exception:
        raise RequestRefused(422, f"{option}: damaged; send it again") from None
