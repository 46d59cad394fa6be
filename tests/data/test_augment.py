"""`data augment`: as many as asked, decided by the seed, mattes along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pictures
import pytest
from PIL import Image, ImageDraw

from mitlgan.data.augment import AugmentSettings, augment, draw
from mitlgan.data.sources import matte_beside
from mitlgan.errors import DataError, UsageError


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_factor_seed_and_the_unchanged_first(tmp_path: Path) -> None:
    place = pictures.fill(tmp_path / "in", 3, size=(30, 20))
    assert augment(place, tmp_path / "a", AugmentSettings(factor=5)) == {"pictures": 3, "made": 15, "unreadable": 0}
    augment(place, tmp_path / "b", AugmentSettings(factor=5))
    augment(place, tmp_path / "c", AugmentSettings(factor=5, seed=1))
    first, second, other = (content(tmp_path / name) for name in "abc")
    assert len(first) == 15
    assert first == second
    assert sum(first[name] == other[name] for name in first) == 3  # the unchanged ones
    assert len(set(first.values())) == 15
    for index in range(3):
        (unchanged,) = (tmp_path / "a").glob(f"{index:04d}-*-00.png")
        assert Image.open(unchanged).tobytes() == pictures.smooth(index, (30, 20)).tobytes()


def test_the_matte_goes_along(tmp_path: Path) -> None:
    """The object is where the matte is, in every copy."""
    (tmp_path / "in").mkdir()
    matte = Image.new("L", (64, 64))
    ImageDraw.Draw(matte).rectangle((10, 20, 30, 50), fill=255)
    picture = Image.new("RGB", (64, 64), (0, 0, 200))
    picture.paste((250, 250, 0), mask=matte)
    picture.save(tmp_path / "in" / "a.png")
    matte.save(matte_beside(tmp_path / "in" / "a.png"))
    augment(tmp_path / "in", tmp_path / "out", AugmentSettings(factor=12))
    made = [path for path in sorted((tmp_path / "out").glob("*.png")) if ".matte." not in path.name]
    assert len(made) == 12
    for path in made:
        pixels, plane = np.asarray(Image.open(path)).astype(int), np.asarray(Image.open(matte_beside(path))).astype(int)
        assert np.abs(pixels[..., 0] - plane * 250 // 255).max() <= 4
        assert 0.05 < (plane > 127).mean() < 0.25
        assert pixels[..., 2].min() >= 0


def test_no_black_corners_and_no_dark_rims(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (40, 40), "white").save(tmp_path / "in" / "a.png")
    cut_out = Image.new("RGBA", (40, 40))
    ImageDraw.Draw(cut_out).ellipse((8, 8, 32, 32), fill=(255, 255, 255, 255))
    cut_out.save(tmp_path / "in" / "b.png")
    augment(tmp_path / "in", tmp_path / "out", AugmentSettings(factor=8, degrees=45))
    for path in (tmp_path / "out").glob("*.png"):
        pixels = np.asarray(Image.open(path))
        if pixels.shape[2] == 3:
            assert pixels.min() >= 253
        else:
            assert pixels[..., :3][pixels[..., 3] > 60].min() > 240
            assert pixels[0, 0, 3] == 0


def test_changes_are_within_their_limits() -> None:
    settings = AugmentSettings(degrees=7, shear_degrees=3, distortion=0.02, flip=False)
    changes = [draw(settings, "a", copy) for copy in range(200)]
    assert max(abs(change.degrees) for change in changes) <= 7
    assert max(max(map(abs, change.shear)) for change in changes) <= 3
    assert max(float(change.shifts.abs().max()) for change in changes) <= 0.02
    assert not any(change.flip for change in changes)
    assert 70 < sum(change.mirror for change in changes) < 130
    assert draw(settings, "a", 1).degrees != draw(settings, "b", 1).degrees


def test_bad_files_and_other_work(tmp_path: Path) -> None:
    place = pictures.fill(tmp_path / "in", 1)
    (place / "bad.png").write_bytes(b"")
    assert augment(place, tmp_path / "out", AugmentSettings(factor=2)) == {"pictures": 1, "made": 2, "unreadable": 1}
    with pytest.raises(UsageError, match="other work"):
        augment(place, tmp_path / "out", AugmentSettings(factor=3))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no")
    with pytest.raises(DataError, match="none of 1 files"):
        augment(tmp_path / "bad", tmp_path / "out2", AugmentSettings())


class Killed(BaseException):
    pass


def test_stopped_it_goes_on(tmp_path: Path) -> None:
    place = pictures.fill(tmp_path / "in", 4)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise Killed

    augment(place, tmp_path / "whole", AugmentSettings())
    with pytest.raises(Killed):
        augment(place, tmp_path / "cut", AugmentSettings(), stop)
    augment(place, tmp_path / "cut", AugmentSettings())
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
