"""Pictures in rows and columns with titles, as one PNG; pictures enlarged for the eye. Those that bring a matte are shown on white."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate

from mitlgan.artifacts.loaded_artifact import TITLES, grid_png
from mitlgan.errors import UsageError
from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.images.encode import encode_image
from mitlgan.images.pixels import to_uint8

INK = (40, 40, 40)
TEXT_PX = 15
MARGIN_PX = 6
DISPLAY_PX = 256
MAX_SIZE_PX = 4096


def layer_title(name: str) -> str:
    """A layer's name for people."""
    return TITLES.get(name, name.capitalize())


def display_scale(size_px: int) -> int:
    """The whole factor by which small pictures are enlarged to be looked at: to at most 256 px."""
    return max(1, DISPLAY_PX // size_px)


def enlarge(images: Tensor, *, scale: int | None = None, size_px: int | None = None) -> Tensor:
    """Pixels of images for the eye.

    Args:
        images: (N, C, H, W) in [-1, 1].
        scale: Whole factor by which each pixel is enlarged; each keeps its value.
        size_px: Height and width in its place, by bicubic interpolation.

    Returns:
        (N, 3, H', W') uint8.

    Raises:
        UsageError: Both are given, or one leads beyond 4096 px.
    """
    if scale is not None and size_px is not None:
        raise UsageError("size: cannot go with --scale; give one of them")
    wanted = size_px if size_px is not None else (scale or 1) * images.shape[2]
    if not 1 <= wanted <= MAX_SIZE_PX:
        raise UsageError(f"{'size' if size_px is not None else 'scale'}: {wanted} px is not from 1 to {MAX_SIZE_PX} px")
    if size_px is not None and size_px != images.shape[2]:
        return to_uint8(interpolate(to_opaque_rgb(images), (size_px, size_px), mode="bicubic", antialias=True))
    pixels = to_uint8(to_opaque_rgb(images))
    return pixels if scale in (None, 1) else pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def labeled_grid_png(images: Tensor, rows: Sequence[str], columns: Sequence[str], *, corner: Sequence[str] = (), scale: int | None = None) -> bytes:
    """A grid with a title before each row and above each column.

    Args:
        images: (rows * columns, C, H, W) in [-1, 1], row by row.
        rows: Title of each row.
        columns: Title of each column; one that is wider than its column is shortened.
        corner: Lines over the titles of the rows, which say what rows and columns are.
        scale: Whole factor by which each pixel is enlarged; by default such that a picture has about 96 px.
    """
    scale = scale or max(1, round(96 / images.shape[3]))
    grid = Image.open(io.BytesIO(grid_png(to_opaque_rgb(images), len(columns), scale))).convert("RGB")
    font = ImageFont.load_default(TEXT_PX)
    left = MARGIN_PX * 2 + round(max([font.getlength(text) for text in (*rows, *corner)], default=0))
    top = MARGIN_PX * 2 + TEXT_PX * max(1, len(corner)) + 2 * max(0, len(corner) - 1)
    sheet = Image.new("RGB", (left + grid.width, top + grid.height), "white")
    sheet.paste(grid, (left, top))
    draw = ImageDraw.Draw(sheet)
    pitch = (grid.width - 2 * scale) // len(columns), (grid.height - 2 * scale) // len(rows)
    for index, text in enumerate(columns):
        centre = left + scale * 2 + index * pitch[0] + (pitch[0] - 2 * scale) // 2
        draw.text((centre, top - MARGIN_PX // 2), _fitting(text, pitch[0], font), fill=INK, font=font, anchor="mb")
    for index, text in enumerate(rows):
        draw.text((left - MARGIN_PX, top + scale * 2 + index * pitch[1] + (pitch[1] - 2 * scale) // 2), text, fill=INK, font=font, anchor="rm")
    for index, text in enumerate(corner):
        draw.text((MARGIN_PX, MARGIN_PX // 2 + index * (TEXT_PX + 2)), text, fill=INK, font=font)
    return encode_image(sheet, optimize=True)


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "..") > width:
        text = text[:-1]
    return text + ".."
