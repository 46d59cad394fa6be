"""What ships as demo data, how it was chosen, how scenes are drawn from it, and that objects keep clean edges."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from mitlgan.data.build.resize import crop_and_resize, to_planes
from mitlgan.data.demo import archive, demo_pack
from mitlgan.data.demo.build import _refuse_overlap, choose_foregrounds
from mitlgan.data.demo.scenes import SCENE_COUNTS, SPLIT_PAIRS, SceneCompositor, composite
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.errors import DataError, UsageError
from mitlgan.images.pixels import composite_on

COUNT = 60


@pytest.mark.parametrize(("px", "largest"), [(64, 12_000_000), (128, 20_000_000)])
def test_the_archives_are_small_and_their_card_tells_the_truth(px: int, largest: int) -> None:
    credits = json.loads((archive.FOLDER / "CREDITS.json").read_text())
    (about,) = (each for each in credits["archives"] if each["picture_px"] == px)
    content = archive.ARCHIVES[px].read_bytes()
    assert about["archive"] == archive.ARCHIVES[px].name
    assert len(content) == about["bytes"] <= largest
    assert hashlib.sha256(content).hexdigest() == about["sha256"] == archive.archive_sha256(px)
    assert {pool: about["count"] for pool, about in credits["pools"].items()} == {pool: len(archive.list_pool(pool, px)) for pool in archive.LICENCES}
    assert {about["licence"] for about in credits["pools"].values()} == {"MIT", "CC0-1.0"}
    readable = (archive.FOLDER / "CREDITS.md").read_text()
    assert about["sha256"] in readable
    assert "Permission is hereby granted" in readable, "the MIT licence asks that its text goes with the copies"


def test_every_picture_decodes_to_64_px_and_every_object_is_seen() -> None:
    assert zipfile.ZipFile(archive.ARCHIVES[64]).testzip() is None
    for pool in archive.LICENCES:
        for name, _, picture in archive.read_pool(pool):
            assert max(picture.size) == 64, name
            if picture.mode == "RGBA":
                opaque = (np.asarray(picture.getchannel("A")) > 128).mean()
                assert 0.02 < opaque <= 1, name


def test_both_archives_hold_the_same_pictures_in_the_same_order() -> None:
    assert zipfile.ZipFile(archive.ARCHIVES[128]).testzip() is None
    for pool in archive.LICENCES:
        assert archive.list_pool(pool, 128) == archive.list_pool(pool)
        for (name, _, small), (_, _, large) in zip(archive.read_pool(pool, 40), archive.read_pool(pool, 40, 128), strict=True):
            assert (max(large.size), large.mode) == (128, small.mode), name
            reduced = np.asarray(large.convert("RGBa" if small.mode == "RGBA" else "RGB").resize(small.size, Image.Resampling.LANCZOS)).astype(int)
            difference = np.abs(reduced - np.asarray(small.convert("RGBa" if small.mode == "RGBA" else "RGB")))
            assert difference.mean() < 4, name


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_scene_of_128_px_is_that_of_64_px_but_sharper(split: str) -> None:
    small, large = (demo_pack("scene", px, split=split, count=20) for px in (64, 128))
    assert [source["name"] for source in small.sources()] == [source["name"] for source in large.sources()]
    halved = np.asarray(large.pixels).reshape(20, 4, 64, 2, 64, 2).mean(axis=(3, 5))
    distances = np.abs(halved[:, None] - np.asarray(small.pixels)[None]).mean(axis=(2, 3, 4))
    np.fill_diagonal(others := distances.copy(), np.inf)
    assert (distances.diagonal() < others.min(axis=1) / 3).all(), "positions are rounded to pixels, so they are not equal"
    blurred = np.stack([np.asarray(Image.fromarray(few[0]).resize((128, 128), Image.Resampling.BICUBIC)) for few in np.asarray(small.pixels)])
    fine, coarse = (np.abs(np.diff(planes.astype(int), axis=2)).mean() for planes in (np.asarray(large.pixels)[:, 0], blurred))
    assert fine > 1.1 * coarse


def panorama(name: str) -> str:
    """The place of which a background is a view: its name is `<panorama>-<number>`."""
    return PurePosixPath(name).stem.rpartition("-")[0]


def test_pools_of_scenes_and_generators_are_disjoint() -> None:
    objects = {archive.family(PurePosixPath(name).stem) for name in archive.list_pool(archive.OBJECTS)}
    foregrounds = {archive.family(PurePosixPath(name).stem) for name in archive.list_pool(archive.FOREGROUNDS)}
    assert not objects & foregrounds, "an object, or a sibling in another skin tone, is in both"
    places, backgrounds = ({panorama(name) for name in archive.list_pool(pool)} for pool in (archive.SCENE_BACKGROUNDS, archive.BACKGROUNDS))
    assert (len(places), len(backgrounds)) == (9, 14)
    assert not places & backgrounds
    seen = [hashlib.sha256(content).digest() for pool in archive.LICENCES for _, content, _ in archive.read_pool(pool)]
    assert len(seen) == len(set(seen)), "one picture under two names"


@pytest.mark.parametrize(("one", "other"), [("1f468-1f3fc-200d-1f9b1", "1f468-1f3ff-200d-1f9b1"), ("2712-fe0f", "2712"), ("1f44b-1f3fd", "1f44b")])
def test_siblings_are_one_family(one: str, other: str) -> None:
    assert archive.family(one) == archive.family(other)
    assert archive.family("1f468-200d-1f9b1") != archive.family("1f469-200d-1f9b1")


def test_builder_refuses_pools_that_overlap() -> None:
    pools: dict[str, list[tuple[str, bytes]]] = {
        archive.FOREGROUNDS: [("fg/1f44b-1f3fd.webp", b"")],
        archive.OBJECTS: [("object/1f44b-1f3ff.webp", b"")],
        archive.BACKGROUNDS: [("bg/city-00000.webp", b"")],
        archive.SCENE_BACKGROUNDS: [("scene_bg/hall-00000.webp", b"")],
    }
    with pytest.raises(DataError, match="1f44b"):
        _refuse_overlap(pools)
    pools[archive.OBJECTS] = [("object/1f680.webp", b"")]
    _refuse_overlap(pools)
    pools[archive.SCENE_BACKGROUNDS] = [("scene_bg/city-00007.webp", b"")]
    with pytest.raises(DataError, match="city"):
        _refuse_overlap(pools)


def test_foregrounds_keep_every_figure_and_every_tone_but_not_all_six_of_each() -> None:
    tones = ("light", "medium-light", "medium", "medium-dark", "dark")
    table = [{"original": "1f34e", "base": "1f34e", "name": "apple"}]
    for figure in range(20):
        table.append({"original": f"{figure:02}", "base": f"{figure:02}", "name": f"person {figure}"})
        table += [{"original": f"{figure:02}-{tone}", "base": f"{figure:02}", "name": f"person {figure}: {tone} skin tone"} for tone in tones]
    chosen = choose_foregrounds(table)
    assert {row["base"] for row in chosen} == {row["base"] for row in table}
    assert len(chosen) == 1 + 20 * 4
    assert {tone: sum(row["name"].endswith(f": {tone} skin tone") for row in chosen) for tone in tones} == dict.fromkeys(tones, 12)


@pytest.mark.parametrize(("role", "fourth", "count"), [("fg", "alpha", 1447), ("bg", None, 1540)])
def test_layers_hold_the_whole_pool(role: str, fourth: str | None, count: int) -> None:
    packed = demo_pack(role, 16)
    assert (len(packed), packed.size_px, packed.fourth_channel) == (count, 16, fourth)
    names = [source["name"] for source in packed.sources()]
    assert len(set(names)) == count
    assert names != sorted(names), "the first N must be a fair sample: sorted by code point, they are alike"
    if fourth:
        assert (packed.pixels[:, :3] <= packed.pixels[:, 3:]).all(), "no colour above its alpha"


@pytest.mark.parametrize("role", ["fg", "bg", "scene"])
def test_made_twice_the_bytes_are_equal(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for run in ("one", "two"):
        monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / run))
        path = demo_pack(role, 32, count=COUNT).path
        files.append((path.name, path.read_bytes(), path.with_suffix(".json").read_bytes()))
    assert files[0] == files[1]


def test_the_cache_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = demo_pack("scene", 16, count=COUNT)
    monkeypatch.setattr("mitlgan.data.demo._make_scenes", lambda *_: pytest.fail("made again"))
    assert demo_pack("scene", 16, count=COUNT).content_sha256 == made.content_sha256


def test_a_longer_set_begins_with_the_shorter() -> None:
    assert (demo_pack("scene", 16, count=COUNT).pixels[:20] == demo_pack("scene", 16, count=20).pixels).all()


def test_a_damaged_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path))
    whole = demo_pack("bg", 8, count=5)
    pixels = np.array(whole.pixels)
    content = whole.path.read_bytes()
    whole.path.write_bytes(content[:-1])
    assert (demo_pack("bg", 8, count=5).pixels == pixels).all()


def test_made_by_several_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path))
    made: list[ImagePack] = []
    threads = [threading.Thread(target=lambda: made.append(demo_pack("scene", 16, count=60))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len({packed.content_sha256 for packed in made}) == 1
    assert (made[0].pixels == made[-1].pixels).all()
    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 2, "one pack and its manifest; no temporary file"


def test_splits_share_no_pair_of_object_and_place() -> None:
    pairs: dict[str, set[tuple[int, int]]] = {}
    blank = [Image.new("RGBA", (1, 1))] * 761, [Image.new("RGB", (1, 1))] * 990
    for split, count in SCENE_COUNTS.items():
        maker = SceneCompositor(split, *blank)
        drawings = [maker.plan(index) for index in range(count)]
        pairs[split] = {(drawn.object, drawn.background) for drawn in drawings}
        assert all((one + other) % 10 in SPLIT_PAIRS[split] for one, other in pairs[split])
        times = np.bincount([drawn.object for drawn in drawings], minlength=761)
        assert times.max() - times.min() <= 1, "every object comes once before any comes twice"
        assert 800 < len({drawn.background for drawn in drawings}) <= 990
        assert np.mean([drawn.mirror for drawn in drawings], axis=0) == pytest.approx((0.5, 0.5), abs=0.05)
        assert np.mean([drawn.shift for drawn in drawings], axis=0) == pytest.approx((0.5, 0.5), abs=0.05)
    assert not pairs["train"] & pairs["validation"]
    assert not pairs["train"] & pairs["test"]
    assert not pairs["validation"] & pairs["test"]


def test_scale_is_that_of_the_object_in_the_scene() -> None:
    packed = demo_pack("scene", 64, count=COUNT)
    mattes = np.asarray(packed.pixels[:, 3]) > 0
    for source, matte in zip(packed.sources(), mattes, strict=True):
        assert 0.45 <= source["scale"] <= 0.85
        extent = max(np.ptp(side) + 1 for side in np.nonzero(matte))
        assert extent <= source["scale"] * 64 + 1
    assert 0.05 < mattes.mean() < 0.5


def test_a_scene_is_its_object_where_the_matte_is_full_and_its_place_where_it_is_empty() -> None:
    objects = [picture for _, _, picture in archive.read_pool(archive.OBJECTS)]
    places = [picture for _, _, picture in archive.read_pool(archive.SCENE_BACKGROUNDS)]
    maker = SceneCompositor("test", objects, places)
    covered = 0.0
    for index in range(5):
        pixels, drawn = maker.make(index, 64, "lanczos")
        place = np.asarray(places[int(drawn["place"])]).transpose(2, 0, 1)
        place = place[..., ::-1] if drawn["place_mirrored"] else place
        empty, full = pixels[3] == 0, pixels[3] == 255
        assert (pixels[:3, empty] == place[:, empty]).all()
        # A full object hides its place: on any other place it looks the same there.
        changed, _ = SceneCompositor("test", objects, [Image.new("RGB", (64, 64), "lime")] * len(places)).make(index, 64, "lanczos")
        assert (pixels[3] == changed[3]).all()
        assert (pixels[:3, full] == changed[:3, full]).all()
        covered += full.mean()
    assert covered / 5 > 0.1, "the comparison must have something to compare"


def test_composing_a_half_transparent_object_is_the_formula() -> None:
    glass = Image.new("RGBA", (64, 64), (200, 40, 0, 128)).convert("RGBa")
    scene, matte = composite(glass, Image.new("RGB", (64, 64), (0, 100, 255)), 0.5, (0.5, 0.5), (False, False))
    inside, outside = scene.getpixel((32, 32)), scene.getpixel((2, 2))
    assert matte.getpixel((32, 32)) == 128
    assert inside == pytest.approx((200 * 128 / 255, (40 * 128 + 100 * 127) / 255, 255 * 127 / 255), abs=1)
    assert outside == (0, 100, 255)


@pytest.mark.parametrize("backdrop", [(255, 255, 255), (0, 0, 0), (255, 0, 128)])
def test_premultiplied_alpha_comes_back_on_any_backdrop(backdrop: tuple[int, int, int]) -> None:
    """Against Pillow's own compositing of the object that was not premultiplied."""
    for name, _, picture in archive.read_pool(archive.FOREGROUNDS, 40):
        expected = Image.new("RGBA", picture.size, (*backdrop, 255))
        expected.alpha_composite(picture)
        ours = composite_on(to_planes(crop_and_resize(picture, 64, "lanczos"))[None], backdrop)[0]
        difference = np.abs(ours.astype(int) - np.asarray(expected.convert("RGB")).transpose(2, 0, 1))
        assert difference.max() <= 2, name


@pytest.mark.parametrize("backdrop", [0, 255])
def test_resizing_leaves_no_halo_from_hidden_colours(backdrop: int) -> None:
    """A red disc whose transparent surroundings are coloured green: no resize may let green through."""
    across, down = np.meshgrid(np.arange(60), np.arange(60))
    inside = (across - 30) ** 2 + (down - 30) ** 2 < 20**2
    pixels = np.where(inside[..., None], (255, 0, 0, 255), (0, 255, 0, 0)).astype(np.uint8)
    planes = to_planes(crop_and_resize(Image.fromarray(pixels), 16, "lanczos"))
    assert (planes[1] == 0).all()
    red, green, _ = composite_on(planes[None], (backdrop,) * 3)[0].astype(int)
    if backdrop == 0:
        assert (green == 0).all()
    else:
        assert (red == 255).all(), "from red to white, red is full all the way"


def test_a_missing_archive_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(archive, "ARCHIVES", {px: tmp_path / f"demo-{px}.zip" for px in archive.ARCHIVES})
    archive.archive_sha256.cache_clear()
    for size_px in (8, 128):
        with pytest.raises(DataError, match=r"demo-(64|128)\.zip: .* install mitlgan again"):
            demo_pack("bg", size_px)
    archive.archive_sha256.cache_clear()


def test_enlarging_is_allowed_and_said() -> None:
    assert demo_pack("bg", 160, count=3).manifest["made_by"]["note"] == "enlarged from 128 px"
    for size_px in (64, 65, 128):
        assert demo_pack("bg", size_px, count=3).manifest["made_by"]["note"] == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"role": "face"}, "choose fg, bg or scene"),
        ({"split": "dev"}, "choose train, validation, test"),
        ({"role": "fg", "split": "validation"}, "all for train; choose that"),
        ({"role": "bg", "split": "test"}, "all for train or validation; choose that"),
        ({"size_px": 2}, "choose 4 to 1024"),
        ({"resize": "spline"}, "choose lanczos, bicubic"),
        ({"count": 0}, "count: 0"),
        ({"role": "bg", "count": 5000}, "1 to 1540"),
    ],
)
def test_refuses_what_does_not_exist(arguments: dict[str, object], said: str) -> None:
    values: dict[str, object] = {"role": "scene", "size_px": 8, **arguments}
    with pytest.raises(UsageError, match=said):
        demo_pack(values.pop("role"), values.pop("size_px"), **values)  # type: ignore[arg-type]
