"""Pictures as the bytes of a file."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from mitlgan.images.metadata import text_options

if TYPE_CHECKING:
    from torch import Tensor


def encode_image(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """A picture in a format of Pillow's, with its options."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def data_uri(data: bytes, form: str = "png") -> str:
    """The bytes of a picture's file as a data: URI; `form` is png, jpeg or webp."""
    return f"data:image/{form};base64,{base64.b64encode(data).decode('ascii')}"


def encode_png(image: Tensor, **options: Any) -> bytes:
    """One uint8 image (C, H, W) as PNG bytes; C is 1, 3 (RGB) or 4 (RGB and straight alpha)."""
    return encode_image(to_picture(image), **options)


def to_picture(image: Tensor) -> Image.Image:
    """One uint8 image (C, H, W) as a picture of Pillow's; C is 1, 3 (RGB) or 4 (RGB and straight alpha)."""
    array = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def encode_with_text(image: Tensor, form: str, text: str | None) -> bytes:
    """One uint8 image (C, H, W) as PNG or lossless WebP, with a text that `mitlgan.images.metadata` reads.

    Args:
        image: C is 1, 3 (RGB) or 4 (RGB and straight alpha).
        form: `PNG` or `WEBP`.
        text: ASCII; None: no text.
    """
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}  # exact: colors under full transparency stay
    picture = to_picture(image)
    return encode_image(picture, form, **options, **text_options(form, text))


def encode_dataset_png(picture: Image.Image) -> bytes:
    """A PNG among many: a little larger than Pillow makes it, and made sooner."""
    return encode_image(picture, compress_level=4)
