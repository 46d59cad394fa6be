"""Smaller pictures from a pack: averages of pixels, alpha above premultiplied colors, origins, and the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_runs

from mitlgan.data.pack import reduced
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.reduced import average_pixels, reduced_pack
from mitlgan.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("factor", [2, 4])
def test_a_pixel_is_the_rounded_average_of_its_square(factor: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 16), dtype=np.uint8)
    small = average_pixels(pixels, factor)
    for y in range(16 // factor):
        for x in range(16 // factor):
            square = pixels[:, :, factor * y : factor * (y + 1), factor * x : factor * (x + 1)].reshape(3, 4, -1).astype(float)
            assert np.array_equal(small[:, :, y, x], np.floor(square.mean(axis=-1) + 0.5).astype(np.uint8))


def test_all_pictures_keep_their_order_alpha_and_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduced, "BATCH", 5)
    pack = ImagePack.open(tiny_runs.pack(tmp_path / "fg.npy", fourth="alpha", size_px=16))
    small = reduced_pack(pack, 8)
    assert (len(small), small.size_px, small.channels, small.fourth_channel) == (12, 8, 4, "alpha")
    assert np.array_equal(small.pixels, average_pixels(np.asarray(pack.pixels), 2))
    assert (small.pixels[:, :3] <= small.pixels[:, 3:]).all()
    assert list(small.sources()) == list(pack.sources())
    assert small.manifest["licence"] == pack.manifest["licence"] == "CC0"
    assert small.content_sha256 != pack.content_sha256


def test_it_is_made_once_and_of_other_pictures_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = ImagePack.open(tiny_runs.pack(tmp_path / "bg.npy", size_px=16))
    first = reduced_pack(pack, 8)
    monkeypatch.setattr(reduced, "average_pixels", lambda *_: pytest.fail("it was made again"))
    assert reduced_pack(pack, 8).path == first.path
    assert reduced_pack(pack, 16) is pack
    monkeypatch.undo()
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    other = reduced_pack(ImagePack.open(tiny_runs.pack(tmp_path / "other.npy", seed=1, size_px=16)), 8)
    assert other.path != first.path


def test_a_size_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 16 px pictures, of which 12 px is no whole part"):
        reduced_pack(ImagePack.open(tiny_runs.pack(tmp_path / "bg.npy", size_px=16)), 12)
