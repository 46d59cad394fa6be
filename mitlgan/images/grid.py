"""Grids of images as PNG: plain, with titles of rows and columns, several side by side; and images enlarged for display."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mitlgan.images.alpha import on_checkerboard, to_opaque_rgb
from mitlgan.images.encode import encode_image, encode_png
from mitlgan.images.pixels import to_uint8
from mitlgan.images.resize import PictureSize, resize_images

TITLES = {"fg": "Foreground", "bg": "Background", "scene": "Scene"}
INK = (40, 40, 40)
TEXT_PX = 15
MARGIN_PX = 6
HEADING_PX, GAP_PX = 30, 18
CELL_PX = 96
"""Size to which images of labeled grids are enlarged by default."""
DISPLAY_PX = 256


def layer_title(name: str) -> str:
    """Return the title of a layer for display."""
    return TITLES.get(name, name.capitalize())


def display_scale(size_px: int) -> int:
    """Return the whole factor that enlarges small images for display, to at most 256 px."""
    return max(1, DISPLAY_PX // size_px)


def enlarge(images: Tensor, *, scale: int | None = None, size_px: int | None = None, filter_name: str | None = None) -> Tensor:
    """Enlarge images for display; alpha is composited on white.

    Args:
        images: (N, C, H, W) in [-1, 1].
        scale: Whole factor; each pixel keeps its value.
        size_px: Longer side instead of a factor, by bicubic interpolation.
        filter_name: Another filter; see `mitlgan.images.resize.FILTERS`.

    Returns:
        (N, 3, H', W') uint8.

    Raises:
        UsageError: See `mitlgan.images.resize.PictureSize.target`.
    """
    return resize_images(to_opaque_rgb(images), PictureSize(scale, size_px, filter_name))


def repeat_pixels(pixels: Tensor, scale: int) -> Tensor:
    """Enlarge (..., H, W) by a whole factor: each pixel becomes a square."""
    return pixels if scale == 1 else pixels.repeat_interleave(scale, -2).repeat_interleave(scale, -1)


def grid_png(images: Tensor, columns: int = 8, scale: int = 1) -> bytes:
    """Return a grid of images as PNG.

    Args:
        images: (N, C, H, W) in [-1, 1], or uint8. Four channels are premultiplied and shown on a checkerboard.
        columns: Images per row.
        scale: Whole factor by which each pixel is enlarged.
    """
    pixels = images if images.dtype == torch.uint8 else to_uint8(images)
    if pixels.shape[1] == 4:
        pixels = on_checkerboard(pixels.cpu())
    from torchvision.utils import make_grid  # the package imports every model of torchvision: two seconds

    grid = make_grid(repeat_pixels(pixels, scale).cpu(), nrow=columns, padding=2 * scale, pad_value=255)  # (C, H', W')
    return encode_png(grid)


def titled_grids_png(grids: Mapping[str, Tensor], columns: int = 4, scale: int = 3) -> bytes:
    """Return several grids side by side as PNG, each under its title.

    Args:
        grids: Title -> images (N, C, H, W) in [-1, 1]; alpha is composited on white.
        columns: Images per row of each grid.
        scale: Whole factor by which each pixel is enlarged.
    """
    pictures = {title: _grid_picture(images, columns, scale) for title, images in grids.items()}
    height = max(picture.height for picture in pictures.values())
    width = sum(picture.width for picture in pictures.values()) + GAP_PX * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, height + HEADING_PX), "white")
    draw, left = ImageDraw.Draw(sheet), 0
    for title, picture in pictures.items():
        draw.text((left + 2 * scale, 4), title, fill=INK, font=ImageFont.load_default(HEADING_PX - 12))
        sheet.paste(picture, (left, HEADING_PX))
        left += picture.width + GAP_PX
    return encode_image(sheet, optimize=True)


def labeled_grid_png(images: Tensor, rows: Sequence[str], columns: Sequence[str], *, corner: Sequence[str] = (), scale: int | None = None) -> bytes:
    """Return a grid as PNG, with a title before each row and above each column.

    Args:
        images: (rows * columns, C, H, W) in [-1, 1], row by row.
        rows: Title of each row.
        columns: Title of each column; titles wider than their column are shortened.
        corner: Lines above the row titles that say what rows and columns are.
        scale: Whole factor by which each pixel is enlarged; by default images get about `CELL_PX`.
    """
    scale = scale or max(1, round(CELL_PX / images.shape[3]))
    grid = _grid_picture(images, len(columns), scale)
    font = ImageFont.load_default(TEXT_PX)
    left = MARGIN_PX * 2 + round(max([font.getlength(text) for text in (*rows, *corner)], default=0))
    top = MARGIN_PX * 2 + TEXT_PX * max(1, len(corner)) + 2 * max(0, len(corner) - 1)
    sheet = Image.new("RGB", (left + grid.width, top + grid.height), "white")
    sheet.paste(grid, (left, top))
    draw = ImageDraw.Draw(sheet)
    pitch = (grid.width - 2 * scale) // len(columns), (grid.height - 2 * scale) // len(rows)
    for index, text in enumerate(columns):
        center = left + scale * 2 + index * pitch[0] + (pitch[0] - 2 * scale) // 2
        draw.text((center, top - MARGIN_PX // 2), _shorten(text, pitch[0], font), fill=INK, font=font, anchor="mb")
    for index, text in enumerate(rows):
        draw.text((left - MARGIN_PX, top + scale * 2 + index * pitch[1] + (pitch[1] - 2 * scale) // 2), text, fill=INK, font=font, anchor="rm")
    for index, text in enumerate(corner):
        draw.text((MARGIN_PX, MARGIN_PX // 2 + index * (TEXT_PX + 2)), text, fill=INK, font=font)
    return encode_image(sheet, optimize=True)


def _grid_picture(images: Tensor, columns: int, scale: int) -> Image.Image:
    return Image.open(io.BytesIO(grid_png(to_opaque_rgb(images), columns, scale))).convert("RGB")


def _shorten(text: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "..") > width_px:
        text = text[:-1]
    return text + ".."
