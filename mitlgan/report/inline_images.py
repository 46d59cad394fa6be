"""Grids of pictures inside a page, enlarged by whole numbers so that their pixels stay crisp."""

from __future__ import annotations

import io
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from mitlgan.images.alpha import on_checkerboard
from mitlgan.images.encode import data_uri, encode_png
from mitlgan.report.schema import Pixels

GUTTER_PX = 2
WIDE_PX, NARROW_PX = 336, 340
"""Maximum width of a grid on a desktop (three in a row) and on a phone 390 px wide."""

LARGE_PX = 64


@dataclass(frozen=True)
class InlineImage:
    """A picture inside the page.

    Args:
        uri: data: URI of a PNG.
        width: Pixels of the PNG.
        height: Pixels of the PNG.
        wide_px: Shown width on a desktop.
        narrow_px: Shown width on a phone.
        crisp: Whether both enlargements are whole numbers, so that nearest-neighbor scaling is right.
        count: Pictures in the grid; 0 if unknown.
    """

    uri: str
    width: int
    height: int
    wide_px: int
    narrow_px: int
    crisp: bool
    count: int


def inline_png(pixels: Pixels, *, columns: int = 0, rows: int = 0, wide_px: int = WIDE_PX, narrow_px: int = NARROW_PX) -> InlineImage:
    """Return pictures as one grid inside the page.

    Args:
        pixels: uint8 (N, C, H, W) as in `schema.Pixels`, or a finished PNG, which is used as it is.
        columns: Pictures in a row; 0 gives 5, or 3 large ones.
        rows: Maximum number of rows; 0 gives as many as columns.
        wide_px: Width available on a desktop.
        narrow_px: Width available on a phone.

    Raises:
        ValueError: The tensor is not uint8 (N, 1 | 3 | 4, H, W).
    """
    if isinstance(pixels, bytes):
        png, image_count = pixels, 0
        with Image.open(io.BytesIO(png)) as image:
            width, height = image.size
    else:
        columns = columns or (5 if pixels.shape[-1] <= LARGE_PX else 3)
        pixels = pixels[: columns * (rows or columns)]
        grid = _grid(pixels, columns)
        image_count, (height, width) = len(pixels), grid.shape[1:]
        png = encode_png(grid)
    wide, narrow = _shown_width(width, wide_px), _shown_width(width, narrow_px)
    crisp = wide % width == 0 and narrow % width == 0
    return InlineImage(data_uri(png), width, height, wide, narrow, crisp, image_count)


def inline_webp(content: bytes, *, wide_px: int = WIDE_PX, narrow_px: int = NARROW_PX) -> InlineImage:
    """Return a finished WebP, which may move, as it is; other arguments as of `inline_png`."""
    with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
        width, height = image.size
    return InlineImage(data_uri(content, "webp"), width, height, _shown_width(width, wide_px), _shown_width(width, narrow_px), False, 0)


def _grid(pixels: Tensor, columns: int) -> Tensor:
    """Return uint8 (4, H', W'): opaque pictures with transparent gutters, for light and dark pages."""
    if pixels.ndim != 4 or pixels.dtype != torch.uint8 or pixels.shape[1] not in (1, 3, 4):
        raise ValueError(f"pixels: uint8 (N, 1 | 3 | 4, H, W) expected, got {pixels.dtype} {tuple(pixels.shape)}")
    pixels = pixels.detach().cpu()
    rgb = on_checkerboard(pixels) if pixels.shape[1] == 4 else pixels.expand(-1, 3, -1, -1)
    opaque = torch.cat([rgb, torch.full_like(rgb[:, :1], 255)], dim=1)  # (N, 4, H, W)
    from torchvision.utils import make_grid  # imports every model of torchvision: two seconds

    grid: Tensor = make_grid(opaque, nrow=columns, padding=GUTTER_PX, pad_value=0)
    if len(opaque) == 1:  # make_grid returns a single picture without its border
        return grid
    return grid[:, GUTTER_PX:-GUTTER_PX, GUTTER_PX:-GUTTER_PX]


def _shown_width(width: int, available: int) -> int:
    return width * (available // width) if width <= available else available
