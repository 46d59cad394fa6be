"""Pictures smaller than their pack are counted, and every reader is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import images

from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.demo import demo_pack
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack

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
