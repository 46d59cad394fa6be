"""Grids of images as PNG: plain, with titles of rows and columns, several side by side; and images enlarged for display."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mitlgan.images.alpha import on_checkerboard, to_opaque_rgb
from mitlgan.images.encode import encode_image, encode_png, to_picture
from mitlgan.images.pixels import to_float, to_uint8
from mitlgan.images.resize import MAX_SIZE_PX, OWN_SIZE, PictureSize, resize_images

TITLES = {"fg": "Foreground", "bg": "Background", "scene": "Scene"}
INK = (40, 40, 40)
TEXT_PX = 15
MARGIN_PX = 6
HEADING_PX, GAP_PX = 30, 18
CELL_PX = 128
"""Size to which images of grids are enlarged by default."""
TITLED_CELL_PX = 96
"""The same for several grids side by side, which make a sheet wide."""
MIN_CAPTION_CELL_PX = 40
"""Smallest image with a caption; below, there is no room for one."""
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
        images: (N, C, H, W) in [-1, 1], or uint8.
        scale: Whole factor; each pixel keeps its value.
        size_px: Longer side instead of a factor, by bicubic interpolation.
        filter_name: Another filter; see `mitlgan.images.resize.FILTERS`.

    Returns:
        (N, 3, H', W') uint8.

    Raises:
        UsageError: See `mitlgan.images.resize.PictureSize.target`.
    """
    floats = to_float(images) if images.dtype == torch.uint8 else images.float()
    return resize_images(to_opaque_rgb(floats), PictureSize(scale, size_px, filter_name))


def repeat_pixels(pixels: Tensor, scale: int) -> Tensor:
    """Enlarge (..., H, W) by a whole factor: each pixel becomes a square."""
    return pixels if scale == 1 else pixels.repeat_interleave(scale, -2).repeat_interleave(scale, -1)


def cell_size(size_px: int, requested: PictureSize = OWN_SIZE, cell_px: int = CELL_PX) -> PictureSize:
    """Return the size of the images of a grid: as requested, else enlarged by the whole factor that brings them to about `cell_px`."""
    if requested.scale is None and requested.size_px is None:
        return PictureSize(scale=max(1, round(cell_px / size_px)), filter=requested.filter)
    return requested


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


def contact_sheet_png(images: Tensor, captions: Sequence[str], columns: int | None = None, size: PictureSize = OWN_SIZE) -> bytes:
    """Return a grid of images as PNG, readable at a glance: enlarged, with a caption under each; alpha is shown on a checkerboard.

    Args:
        images: (N, C, H, W) in [-1, 1].
        captions: One per image.
        columns: Images per row; None: a sheet about as wide as high.
        size: Size of each image. By default see `cell_size`, or smaller where the sheet would exceed 4096 px.
    """
    columns = columns or sheet_columns(len(images))
    return captioned_cells_png(sheet_cells(images, columns, size), captions, columns)


def sheet_columns(count: int) -> int:
    """Return the number of images per row of a sheet about as wide as high."""
    return max(1, math.ceil(math.sqrt(count)))


def sheet_cells(images: Tensor, columns: int, size: PictureSize = OWN_SIZE) -> Tensor:
    """Return images as the cells of a contact sheet, (N, 3, H', W') uint8; see `contact_sheet_png`."""
    if size.scale is None and size.size_px is None:
        own_px = max(images.shape[2:])
        scale = min(cell_size(own_px).scale or 1, max(1, MAX_SIZE_PX // (columns * own_px)))
        size = PictureSize(scale=scale, filter=size.filter)
    return _to_rgb(resize_images(images, size))


def captioned_cells_png(cells: Tensor, captions: Sequence[str], columns: int) -> bytes:
    """Return cells of a contact sheet, (N, 3, H, W) uint8, in rows of `columns` as PNG, with a caption under each if there is room."""
    count, (height, width) = len(cells), cells.shape[2:]
    caption_px = TEXT_PX + MARGIN_PX if width >= MIN_CAPTION_CELL_PX else 0
    pitch = width + MARGIN_PX, height + caption_px + MARGIN_PX
    sheet = Image.new("RGB", (columns * pitch[0] + MARGIN_PX, math.ceil(count / columns) * pitch[1] + MARGIN_PX), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT_PX - 2)
    for index, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        left, top = MARGIN_PX + index % columns * pitch[0], MARGIN_PX + index // columns * pitch[1]
        sheet.paste(to_picture(cell), (left, top))
        if caption_px:
            draw.text((left + width // 2, top + height + 2), _shorten(caption, width, font), fill=INK, font=font, anchor="ma")
    return encode_image(sheet)


def titled_grids_png(grids: Mapping[str, Tensor], columns: int = 4, size: PictureSize = OWN_SIZE) -> bytes:
    """Return several grids side by side as PNG, each under its title.

    Args:
        grids: Title -> images (N, C, H, W) in [-1, 1]; alpha is composited on white.
        columns: Images per row of each grid.
        size: Size of each image; by default see `cell_size`, with `TITLED_CELL_PX`.
    """
    pictures = {title: _grid_picture(images, columns, cell_size(max(images.shape[2:]), size, TITLED_CELL_PX))[0] for title, images in grids.items()}
    height = max(picture.height for picture in pictures.values())
    width = sum(picture.width for picture in pictures.values()) + GAP_PX * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, height + HEADING_PX), "white")
    draw, left = ImageDraw.Draw(sheet), 0
    for title, picture in pictures.items():
        draw.text((left + MARGIN_PX, 4), title, fill=INK, font=ImageFont.load_default(HEADING_PX - 12))
        sheet.paste(picture, (left, HEADING_PX))
        left += picture.width + GAP_PX
    return encode_image(sheet, optimize=True)


def labeled_grid_png(
    images: Tensor, rows: Sequence[str], columns: Sequence[str], *, corner: Sequence[str] = (), size: PictureSize = OWN_SIZE
) -> bytes:  # fmt: skip
    """Return a grid as PNG, with a title before each row and above each column.

    Args:
        images: (rows * columns, C, H, W) in [-1, 1], or uint8, row by row.
        rows: Title of each row.
        columns: Title of each column; titles wider than their column are shortened.
        corner: Lines above the row titles that say what rows and columns are.
        size: Size of each image; by default see `cell_size`.
    """
    grid, gap = _grid_picture(images, len(columns), size)
    font = ImageFont.load_default(TEXT_PX)
    left = MARGIN_PX * 2 + round(max([font.getlength(text) for text in (*rows, *corner)], default=0))
    top = MARGIN_PX * 2 + TEXT_PX * max(1, len(corner)) + 2 * max(0, len(corner) - 1)
    sheet = Image.new("RGB", (left + grid.width, top + grid.height), "white")
    sheet.paste(grid, (left, top))
    draw = ImageDraw.Draw(sheet)
    pitch = (grid.width - gap) // len(columns), (grid.height - gap) // len(rows)
    for index, text in enumerate(columns):
        center = left + gap + index * pitch[0] + (pitch[0] - gap) // 2
        draw.text((center, top - MARGIN_PX), _shorten(text, pitch[0], font), fill=INK, font=font, anchor="ms")
    for index, text in enumerate(rows):
        draw.text((left - MARGIN_PX, top + gap + index * pitch[1] + (pitch[1] - gap) // 2), text, fill=INK, font=font, anchor="rm")
    for index, text in enumerate(corner):
        draw.text((MARGIN_PX, MARGIN_PX // 2 + index * (TEXT_PX + 2)), text, fill=INK, font=font)
    return encode_image(sheet, optimize=True)


def _grid_picture(images: Tensor, columns: int, size: PictureSize) -> tuple[Image.Image, int]:
    """Return a grid of images on white, and the gap between them (px)."""
    from torchvision.utils import make_grid

    cell = cell_size(max(images.shape[2:]), size)
    cells = enlarge(images, scale=cell.scale, size_px=cell.size_px, filter_name=cell.filter)
    gap = 2 * (cell.scale or max(1, round(cells.shape[3] / images.shape[3])))
    return to_picture(make_grid(cells, nrow=columns, padding=gap, pad_value=255)), gap


def _to_rgb(pixels: Tensor) -> Tensor:
    """Return uint8 (N, C, H, W) as RGB: premultiplied alpha on a checkerboard, gray repeated."""
    return on_checkerboard(pixels) if pixels.shape[1] == 4 else pixels.expand(-1, 3, -1, -1)


def _shorten(text: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "..") > width_px:
        text = text[:-1]
    return text + ".."
