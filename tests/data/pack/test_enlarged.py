"""Pictures smaller than their pack are counted, and every reader is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import images
from PIL import Image

from mitlgan.data.build.crops import Box
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.build.resize import center_square
from mitlgan.data.demo import demo_pack
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.reduced import reduced_pack

SENTENCE = "pictures are smaller than {} px and were enlarged: blurred, as nothing sharper is in them"


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures of 40 x 20 px, one of 16 x 16, one of 64 x 64."""
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    for index, size in enumerate([(40, 20), (20, 40), (16, 16), (64, 64)]):
        images.smooth(index, size).save(tmp_path / "in" / f"{index}.png")
    return tmp_path / "in"


@pytest.mark.parametrize(("size_px", "count"), [(8, 0), (16, 0), (17, 1), (20, 1), (21, 3), (64, 3), (65, 4)])
def test_a_picture_counts_if_its_shorter_side_is_shorter_than_the_pack(mixed: Path, size_px: int, count: int) -> None:
    said: list[str] = []
    for _ in ("packed", "from the cache"):
        said.clear()
        assert open_data(str(mixed), "bg", size_px, say=said.append).enlarged_count == count
        lines = [line for line in said if "enlarged" in line]
        begin = "all 4 " if count == 4 else f"{count} of 4 "
        assert lines == ([f"{mixed}: {begin}{SENTENCE.format(size_px)}"] if count else [])
    made = pack_folder(mixed, mixed.parent / "p.npy", size_px=size_px)
    assert ImagePack.open(made.path).enlarged_count == count
    assert ("enlarged" in made.manifest) == bool(count)


def _whole(picture: Image.Image) -> Box:
    return center_square(*picture.size)


def _face(side: int) -> Callable[[Image.Image], Box]:
    """A face whose square is as wide as a share, `side` of 100, of the picture's shorter side; a JPEG may be decoded smaller."""
    return lambda picture: (0, 0, side * min(picture.size) // 100, side * min(picture.size) // 100)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("holdout", ["0", "25%"])
@pytest.mark.parametrize(
    ("crop", "find", "kept_px", "is_enlarged"),
    [
        ("center", _whole, None, False),
        ("entropy", _whole, None, False),
        ("face", _whole, None, False),
        ("face", _face(75), 75, False),
        ("face", _face(60), 60, True),
    ],
)
def test_a_square_of_a_picture_counts_by_its_own_side(
    crop: str, find: Callable[[Image.Image], Box], kept_px: int | None, is_enlarged: bool, holdout: str, kind: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Pictures of 100 x 140 px, prepared at 72 px: that is 72 of 100."""
    place = tmp_path / "in"
    place.mkdir()
    for index in range(24):
        images.smooth(index, (100, 140)).save(place / f"{index}.{kind.lower()}")
    monkeypatch.setattr("mitlgan.data.build.crops.SquareCrop.__call__", lambda self, picture: find(picture))
    monkeypatch.setattr("mitlgan.data.build.crops._face_finder", lambda: None)
    packed = prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=72, crop=crop, holdout=holdout))
    count = len(packed) if is_enlarged else 0
    assert packed.enlarged_count == count
    assert packed.describe_enlarged() == (f"all {count} {SENTENCE.replace('pictures', 'pictures, as cropped,').format(72)}" if count else "")
    assert [(source["width"], source["height"], source.get("kept_px")) for source in packed.sources()] == [(100, 140, kept_px)] * len(packed)
    if holdout != "0":
        held_out = ImagePack.open(tmp_path / "out" / "test" / "prepared.npy")
        assert held_out.enlarged_count == (len(held_out) if count else 0)
    smaller = reduced_pack(packed, 36)
    assert smaller.enlarged_count == 0


def test_the_side_of_a_square_is_in_pixels_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large JPEG is decoded at a fraction of its size."""
    (tmp_path / "in").mkdir()
    images.smooth(0, (1600, 1200)).save(tmp_path / "in" / "a.jpeg")
    sizes: list[tuple[int, int]] = []
    monkeypatch.setattr("mitlgan.data.build.crops.SquareCrop.__call__", lambda self, picture: sizes.append(picture.size) or _face(50)(picture))
    monkeypatch.setattr("mitlgan.data.build.crops._face_finder", lambda: None)
    packed = prepare_pack(tmp_path / "in", tmp_path / "out", PrepareSettings(size_px=32, crop="face", holdout="0"))
    assert min(sizes[0]) < 1200
    assert [source["kept_px"] for source in packed.sources()] == [600]
    assert packed.enlarged_count == 0


@pytest.mark.parametrize(("size_px", "is_enlarged"), [(32, False), (64, False), (65, False), (128, False), (129, True), (256, True)])
@pytest.mark.parametrize("role", ["fg", "bg", "scene"])
def test_the_demos_pictures_have_128_px(role: str, size_px: int, is_enlarged: bool) -> None:
    pack = demo_pack(role, size_px, count=3)
    assert pack.describe_enlarged() == (f"all 3 {SENTENCE.format(size_px)}" if is_enlarged else "")


def test_a_pack_of_an_earlier_version_did_not_count(mixed: Path) -> None:
    made = pack_folder(mixed, mixed.parent / "p.npy", size_px=64)
    without = ImagePack(made.path, {key: value for key, value in made.manifest.items() if key != "enlarged"}, made.pixels)
    assert (without.enlarged_count, without.describe_enlarged()) == (0, "")
    demo = ImagePack(made.path, without.manifest | {"made_by": {"note": "enlarged from 64 px"}}, made.pixels)
    assert demo.enlarged_count == 4
