"""Sizes of pictures: factors, sizes in px, and the filters by their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mitlgan.errors import UsageError
from mitlgan.images.alpha import unpremultiply
from mitlgan.images.pixels import to_uint8
from mitlgan.images.resize import FILTERS, PictureSize, resize_images, resize_picture


def images(channels: int = 3, height: int = 6, width: int = 6) -> torch.Tensor:
    return torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_own_size_keeps_every_value() -> None:
    for size in (PictureSize(), PictureSize(scale=1), PictureSize(size_px=6), PictureSize(size_px=6, filter="lanczos")):
        assert torch.equal(resize_images(images(4), size), to_uint8(images(4)))


def test_a_factor_makes_squares() -> None:
    large = resize_images(images(), PictureSize(scale=3))
    assert large.shape == (2, 3, 18, 18)
    for row in range(3):
        assert torch.equal(large[:, :, row::3, 2::3], to_uint8(images()))
    assert torch.equal(resize_images(images(), PictureSize(size_px=18, filter="nearest")), large)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_is_that_of_pillow_on_unrounded_values(name: str) -> None:
    resized = resize_images(images(), PictureSize(size_px=13, filter=name))
    plane = Image.fromarray(images()[1, 2].numpy()).resize((13, 13), FILTERS[name])
    assert torch.equal(resized[1, 2], to_uint8(torch.from_numpy(np.array(plane))))
    others = [resize_images(images(), PictureSize(size_px=13, filter=other)) for other in FILTERS if other != name]
    assert not any(torch.equal(resized, other) for other in others)


def test_a_size_is_that_of_the_longer_side() -> None:
    assert resize_images(images(height=6, width=12), PictureSize(size_px=24)).shape == (2, 3, 12, 24)
    assert resize_picture(Image.new("RGB", (5, 10)), PictureSize(size_px=4)).size == (2, 4)
    assert resize_picture(Image.new("LA", (500, 1)), PictureSize(size_px=50)).size == (50, 1)


def test_no_color_runs_in_from_where_nothing_is_seen() -> None:
    light = torch.full((1, 4, 4, 4), -1.0)
    light[:, :, :, 2:] = 1.0  # white on the right; nothing, stored as black, on the left
    large = resize_images(light, PictureSize(size_px=32)).int()
    assert torch.equal(large[:, 0], large[:, 3]), "white everywhere, more or less of it"
    assert bool((large[:, :3] <= large[:, 3:]).all())


@pytest.mark.parametrize("size_px", [3, 13, 24])
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("channels", [3, 4])
def test_light_that_is_not_seen_does_not_reach_its_neighbors(channels: int, name: str, size_px: int) -> None:
    """A generator may give light above its alpha, or out of range: at another size the picture is that of its own size, resized."""
    given = 1.5 * images(channels)
    seen = ((given + 1) / 2).clamp(0, 1)
    seen[:, :3] = torch.minimum(seen[:, :3], seen[:, -1:] if channels == 4 else torch.ones(()))
    planes = [[np.asarray(Image.fromarray(plane.numpy()).resize((size_px, size_px), FILTERS[name])) for plane in image] for image in seen]
    wanted = np.array(planes).clip(0, 1)
    wanted[:, :3] = np.minimum(wanted[:, :3], wanted[:, -1:]) if channels == 4 else wanted
    found = unpremultiply(resize_images(given, PictureSize(size_px=size_px, filter=name))).numpy() / 255
    light = found[:, :3] * (found[:, 3:] if channels == 4 else 1)
    np.testing.assert_allclose(light, wanted[:, :3], atol=1.5 / 255)
    np.testing.assert_allclose(found[:, 3:], wanted[:, 3:], atol=0.51 / 255)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (PictureSize(scale=2, size_px=8), "^size: cannot go with --scale"),
        (PictureSize(scale=700), "^scale: 700 makes 4200 px of 6, more than 4096 px; give at most 682$"),
        (PictureSize(scale=0), "^scale: 0 is not a whole number of at least 1$"),
        (PictureSize(size_px=0), "^size: 0 px"),
        (PictureSize(size_px=4097), "^size: 4097 px"),
        (PictureSize(size_px=8, filter="sharp"), "^filter sharp: is unknown; choose from nearest, bilinear, bicubic, lanczos"),
    ],
)
def test_sizes_that_cannot_be(size: PictureSize, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resize_images(images(), size)
    with pytest.raises(UsageError, match=message):
        resize_picture(Image.new("RGB", (6, 6)), size)
