"""Text in the file of a picture: a tEXt chunk of PNG, the EXIF comment of WebP."""

from __future__ import annotations

import io
import warnings
from typing import Any

from PIL import Image, PngImagePlugin

from mitlgan.errors import DataError, resource_fault

KEYWORD = "mitlgan"
"""Keyword of the PNG chunk."""
MAX_TEXT_CHARS = 1_000_000
warnings.filterwarnings("ignore", module=r"PIL\.")  # what it warns about in a damaged file, it reads as far as it can
_FORMATS = ("PNG", "WEBP")
_EXIF_SOFTWARE, _EXIF_IFD, _EXIF_USER_COMMENT = 0x0131, 0x8769, 0x9286
_ASCII_CODE = b"ASCII\0\0\0"
"""First bytes of an EXIF comment in ASCII (Exif 2.32, 4.6.5, UserComment)."""


def text_options(form: str, text: str | None) -> dict[str, Any]:
    """Return the options with which Pillow writes a text into a picture's file.

    Args:
        form: `PNG` or `WEBP`.
        text: ASCII; None: no text.
    """
    if text is None:
        return {}
    if form == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text(KEYWORD, text)
        return {"pnginfo": chunks}
    exif = Image.Exif()
    exif[_EXIF_SOFTWARE] = KEYWORD
    exif.get_ifd(_EXIF_IFD)[_EXIF_USER_COMMENT] = _ASCII_CODE + text.encode("ascii")
    return {"exif": exif.tobytes()}


def read_text_chunk(content: bytes, source: str) -> str | None:
    """Return the text that `text_options` put into a file, without decoding a pixel; None if it has none.

    Args:
        content: The whole file.
        source: File or option that begins error messages.

    Raises:
        DataError: The file is no PNG or WebP, or is damaged, or its text is too long or not ASCII.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            text = _png_text(picture) if isinstance(picture, PngImagePlugin.PngImageFile) else _exif_comment(picture)
    except Exception as error:  # Pillow's readers raise all kinds of errors for damaged files
        raise resource_fault(error) or DataError(f"{source}: no PNG or WebP picture, or a damaged one") from None
    if text is not None and (len(text) > MAX_TEXT_CHARS or not text.isascii()):
        raise DataError(f"{source}: its text says nothing of how the picture was made: it is longer than {MAX_TEXT_CHARS} characters, or not ASCII")
    return text


def _png_text(picture: PngImagePlugin.PngImageFile) -> str | None:
    text = picture.info.get(KEYWORD)  # of the chunks before the pixels, where it is written
    return text if isinstance(text, str) else None


def _exif_comment(picture: Image.Image) -> str | None:
    exif = picture.getexif()
    comment = exif.get_ifd(_EXIF_IFD).get(_EXIF_USER_COMMENT)
    if exif.get(_EXIF_SOFTWARE) != KEYWORD or not isinstance(comment, bytes) or not comment.startswith(_ASCII_CODE):
        return None
    return comment.removeprefix(_ASCII_CODE).decode("ascii")
