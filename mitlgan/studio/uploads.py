"""Uploaded pictures: identified by their bytes alone, decoded with limits, and brought to an artifact's size."""

from __future__ import annotations

import base64
import binascii
import io
import re

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.data.build.resize import crop_and_resize, to_planes
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, too_large_reason
from mitlgan.data.pack.image_pack import BACKDROP, Color
from mitlgan.data.recipe_data import recorded_backdrop
from mitlgan.data.sources.formats import MissingCodecError, allowed_formats
from mitlgan.images.pixels import to_float, to_grayscale
from mitlgan.inpainting.masks import read_hole
from mitlgan.inpainting.original import decode_original
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.inpainting_jobs import InpaintingTask

RESIZE = "lanczos"
MAX_INPAINT_PIXELS = 25_000_000
"""Pixels of a picture to inpaint: a camera's. It takes about 20 bytes a pixel."""


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
    backdrop = recorded_backdrop(card.recipe, channels)
    picture = _decode(content, option, keep_alpha=channels == 4, size_px=card.size_px, backdrop=backdrop)
    planes = to_planes(crop_and_resize(picture, card.size_px, RESIZE))[None]
    return to_float(torch.from_numpy(to_grayscale(planes) if channels == 1 else planes))


def decode_task(content: bytes, mask: bytes) -> InpaintingTask:
    """Decode a picture and the hole in it.

    Args:
        content: Bytes of the picture's file.
        mask: Bytes of a mask of the picture's shape and at most its size: white inside the hole, or painted on transparency.

    Raises:
        RequestRefused: 415, one is not a picture of an allowed format; 422, damaged or too large, or the hole marks nothing or everything.
    """
    width, height = _image_size(content, "image")
    if width * height > MAX_INPAINT_PIXELS:
        raise RequestRefused(422, f"image: {width} x {height} px are more than {MAX_INPAINT_PIXELS // 1_000_000} million pixels; reduce it first")
    try:
        original = decode_original(content)
    except UnreadableImageError as error:
        raise RequestRefused(422, f"image: {error}") from None
    return InpaintingTask(original, decode_hole(mask, original.picture.size, "hole"))


def decode_hole(content: bytes, picture_size: tuple[int, int], option: str) -> NDArray[np.bool_]:
    """Decode a mask, enlarged to the picture's size, (H, W): True inside the hole; see `read_hole`.

    Raises:
        RequestRefused: 415 or 422 as `decode_picture`; also 422 if it has another shape, is larger or no mask, or marks nothing or everything.
    """
    size = _image_size(content, option)
    if not _has_shape(size, picture_size):
        raise RequestRefused(
            422, f"{option}: is {size[0]} x {size[1]} px; paint on the picture's {picture_size[0]} x {picture_size[1]} px, or on a smaller copy of it"
        )
    mask = _decode(content, option, keep_alpha=True, size_px=0, ignore_profile=True)
    try:
        marked = Image.fromarray(read_hole(content, mask, option))
    except UnreadableImageError as error:
        raise RequestRefused(422, f"{option}: {error}") from None
    hole: NDArray[np.bool_] = np.array(marked.resize(picture_size, Image.Resampling.NEAREST))
    if not hole.any() or hole.all():
        raise RequestRefused(422, f"{option}: marks {'everything' if hole.any() else 'nothing'}; paint the part to fill, and leave the rest")
    return hole


def _has_shape(size: tuple[int, int], picture_size: tuple[int, int]) -> bool:
    """Return whether a size is a picture's, or smaller by the same factor for both sides, rounded to pixels."""
    factor = max(picture_size) / max(size)
    return factor >= 1 and all(abs(length * factor - whole) <= factor for length, whole in zip(size, picture_size, strict=True))


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


def _decode(content: bytes, option: str, *, keep_alpha: bool, size_px: int, backdrop: Color = BACKDROP, ignore_profile: bool = False) -> Image.Image:
    _image_size(content, option)
    try:
        return decode_bytes(content, keep_alpha=keep_alpha, size_px=size_px, backdrop=backdrop, ignore_profile=ignore_profile).picture
    except UnreadableImageError as error:
        raise RequestRefused(422, f"{option}: {error}") from None


def _image_size(content: bytes, option: str) -> tuple[int, int]:
    """Return width and height from the picture's header; nothing is decoded."""
    try:
        with Image.open(io.BytesIO(content), formats=allowed_formats(content)) as picture:
            return picture.size
    except UnidentifiedImageError:
        raise RequestRefused(415, f"{option}: is not a picture of a known format; send PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF") from None
    except MissingCodecError as error:
        raise RequestRefused(415, f"{option}: {error}, or send it as PNG or JPEG") from None
    except Image.DecompressionBombError as error:
        raise RequestRefused(422, f"{option}: {too_large_reason(error)}") from None
    except Exception:
        raise RequestRefused(422, f"{option}: damaged; send it again") from None
