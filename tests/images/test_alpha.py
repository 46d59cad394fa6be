"""Straight alpha without a halo, and the checkerboard."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mitlgan.images.alpha import on_checkerboard, unpremultiply
from mitlgan.images.pixels import composite_on

SIDE = 24


def random_pixels(kind: str) -> Tensor:
    """Premultiplied, (4, 4, SIDE, SIDE), with alphas of a kind."""
    draw = torch.Generator().manual_seed(0)
    alpha = torch.randint(0, 256, (4, 1, SIDE, SIDE), generator=draw)
    if kind == "extreme":
        alpha = torch.tensor([0, 1, 2, 254, 255])[alpha % 5]
    elif kind == "faint":
        alpha = alpha % 4
    elif kind == "smooth":
        ramp = torch.linspace(0, 255, SIDE).round().long()
        alpha = ramp.expand(4, 1, SIDE, SIDE)
    light = (torch.rand(4, 3, SIDE, SIDE, generator=draw) * (alpha + 1)).long().clamp_max(alpha)
    return torch.cat([light, alpha], 1).to(torch.uint8)


@pytest.mark.parametrize("kind", ["random", "extreme", "faint", "smooth"])
@pytest.mark.parametrize("backdrop", [(0, 0, 0), (255, 255, 255), (30, 200, 90)])
def test_pasted_by_pillow_it_is_the_premultiplied_composite(kind: str, backdrop: tuple[int, int, int]) -> None:
    pixels = random_pixels(kind)
    wanted = composite_on(pixels.numpy(), backdrop).astype(int)
    for picture, expected in zip(unpremultiply(pixels), wanted, strict=True):
        front = Image.fromarray(picture.permute(1, 2, 0).numpy())
        pasted = Image.new("RGB", front.size, backdrop)
        pasted.paste(front, mask=front)
        composite = Image.alpha_composite(Image.new("RGBA", front.size, (*backdrop, 255)), front).convert("RGB")
        for found in (pasted, composite):
            assert np.abs(np.asarray(found).astype(int).transpose(2, 0, 1) - expected).max() <= 1


def disc(colour: tuple[int, int, int]) -> Tensor:
    """One disc with a soft edge, premultiplied in 8 bits as a generator's picture is."""
    down, across = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    alpha = (9.0 - torch.hypot(down - 11.5, across - 11.5)).clamp(0, 1) ** 3
    light = torch.tensor(colour).view(3, 1, 1) * alpha
    return torch.cat([light, 255 * alpha[None]]).round().to(torch.uint8)[None]


@pytest.mark.parametrize("colour", [(200, 40, 90), (255, 255, 255), (0, 0, 0), (3, 250, 7)])
def test_colours_go_on_outside_so_that_no_viewer_draws_a_halo(colour: tuple[int, int, int]) -> None:
    made = unpremultiply(disc(colour))[0]
    assert (made[:3].int() - torch.tensor(colour).view(3, 1, 1)).abs().max() <= 2  # everywhere, in the corners and in the faintest edge
    # A viewer that resizes colours and alpha apart, as some do: no pixel is darker or brighter than the object.
    large = torch.nn.functional.interpolate(made[None].float(), size=(61, 61), mode="bilinear")[0]
    assert (large[:3] - torch.tensor(colour).view(3, 1, 1)).abs().max() <= 2


def test_what_is_clear_takes_the_colour_that_is_near() -> None:
    pixels = torch.zeros(1, 4, 16, 16, dtype=torch.uint8)
    pixels[0, 0, :, :2], pixels[0, 3, :, :2] = 255, 255  # red at the left
    pixels[0, 2, :, 14:], pixels[0, 3, :, 14:] = 255, 255  # blue at the right
    made = unpremultiply(pixels)[0].int()
    assert (made[3] == pixels[0, 3]).all()
    assert (made[0, :, 3] > made[2, :, 3]).all()
    assert (made[2, :, 12] > made[0, :, 12]).all()
    assert (made[1] == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (1, 9)])
def test_pictures_of_any_shape_and_wholly_clear_ones(shape: tuple[int, int]) -> None:
    clear = torch.zeros(2, 4, *shape, dtype=torch.uint8)
    assert torch.equal(unpremultiply(clear), clear)
    full = torch.full((2, 4, *shape), 255, dtype=torch.uint8)
    assert torch.equal(unpremultiply(full), full)
    above = torch.full((1, 4, *shape), 200, dtype=torch.uint8)
    above[:, 3] = 0  # light that has nothing to come from
    assert (unpremultiply(above) == 0).all()


def test_the_checkerboard_shows_through_by_alpha() -> None:
    board = on_checkerboard(torch.zeros(1, 4, 16, 16, dtype=torch.uint8))
    assert set(board.unique().tolist()) == {188, 212}
    assert (board[0, :, 0, 0] != board[0, :, 0, 2]).all()
    whole = random_pixels("random")
    whole[:, 3] = 255
    assert torch.equal(on_checkerboard(whole), whole[:, :3])
    half = torch.full((1, 4, 16, 16), 128, dtype=torch.uint8)
    assert ((on_checkerboard(half).int() - (128 + board.int() * 127 / 255)).abs() <= 1).all()
