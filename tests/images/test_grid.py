"""Titled grids and enlarged pictures."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from mitlgan.errors import UsageError
from mitlgan.images.grid import MARGIN_PX, TEXT_PX, contact_sheet_png, display_scale, enlarge, labeled_grid_png
from mitlgan.images.pixels import to_uint8
from mitlgan.images.resize import PictureSize


def pictures(count: int = 6, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_whole_factors_keep_every_pixel() -> None:
    images = pictures()
    assert torch.equal(enlarge(images), to_uint8(images))
    large = enlarge(images, scale=3)
    assert large.shape == (6, 3, 12, 12)
    assert torch.equal(large[:, :, 1::3, 2::3], to_uint8(images))
    assert torch.equal(enlarge(images, size_px=4), to_uint8(images))


def test_a_size_is_reached_smoothly() -> None:
    flat = torch.full((1, 3, 4, 4), 0.5)
    assert torch.equal(enlarge(flat, size_px=11), to_uint8(flat[:, :, :1, :1]).expand(1, 3, 11, 11))


def test_grey_and_mattes_are_shown() -> None:
    grey = enlarge(pictures(channels=1))
    assert torch.equal(grey[:, 0], grey[:, 2])
    nothing = torch.full((1, 4, 4, 4), -1.0)
    assert bool((enlarge(nothing) == 255).all()), "on white"


def test_sizes_that_cannot_be() -> None:
    for arguments, message in (
        ({"scale": 2, "size_px": 8}, "^size: cannot go with --scale"),
        ({"scale": 2000}, "^scale: 2000 makes 8000 px of 4, more than 4096 px"),
        ({"size_px": 0}, "^size: 0 px"),
    ):
        with pytest.raises(UsageError, match=message):
            enlarge(pictures(), **arguments)


@pytest.mark.parametrize(("size_px", "scale"), [(8, 32), (32, 8), (100, 2), (128, 2), (512, 1)])
def test_small_pictures_are_shown_large(size_px: int, scale: int) -> None:
    assert display_scale(size_px) == scale


def test_a_titled_grid_holds_the_pictures_under_its_titles() -> None:
    images = pictures()
    with Image.open(
        io.BytesIO(labeled_grid_png(images, ["first", "second"], ["0", "1", "2"], corner=["rows", "columns"], size=PictureSize(scale=10)))
    ) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    height, width = 2 * 60 + 20, 3 * 60 + 20
    grid = pixels[-height:, -width:]
    for index, image in enumerate(to_uint8(images)):
        top, left = (20 + place * 60 for place in divmod(index, 3))
        assert np.array_equal(grid[top : top + 40 : 10, left : left + 40 : 10], image.permute(1, 2, 0).numpy())
    margin = pixels[:-height], pixels[:, :-width]
    assert all((part < 128).any() for part in margin), "titles above and before"


def test_a_title_that_is_too_wide_is_shortened() -> None:
    data = [labeled_grid_png(pictures(2), [""], [title, "x"], size=PictureSize(scale=10)) for title in ("a very long title indeed", "x")]
    assert len({Image.open(io.BytesIO(sheet)).size for sheet in data}) == 1


@pytest.mark.parametrize(
    ("count", "size_px", "scale"), [(16, 32, 4), (3, 128, 1), (1, 8, 16), (4, 512, 1), (400, 32, 4), (2500, 32, 2), (10_000, 64, 1)]
)
def test_a_contact_sheet_is_enlarged_to_be_read_but_never_beyond_4096_px(count: int, size_px: int, scale: int) -> None:
    images = torch.zeros(1, 3, size_px, size_px).expand(count, -1, -1, -1)
    with Image.open(io.BytesIO(contact_sheet_png(images, ["x"] * count))) as sheet:
        columns = math.ceil(count**0.5)
        assert sheet.width == columns * (size_px * scale + MARGIN_PX) + MARGIN_PX


def test_a_contact_sheet_has_a_caption_under_each_picture() -> None:
    images = pictures()
    with Image.open(io.BytesIO(contact_sheet_png(images, [str(number) for number in range(6)], 3))) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    pitch = 128 + MARGIN_PX, 128 + MARGIN_PX + TEXT_PX + MARGIN_PX
    for index, image in enumerate(to_uint8(images)):
        left, top = MARGIN_PX + index % 3 * pitch[0], MARGIN_PX + index // 3 * pitch[1]
        assert np.array_equal(pixels[top : top + 128 : 32, left : left + 128 : 32], image.permute(1, 2, 0).numpy())
        assert (pixels[top + 128 : top + 128 + TEXT_PX, left : left + 128] < 128).any(), "ink"
