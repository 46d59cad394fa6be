"""`data augment`: as many as asked, decided by the seed, mattes along."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import images
from PIL import Image, ImageDraw

from mitlgan.data.build.journal import JOURNAL_FILE
from mitlgan.data.build.offline_augment import AugmentSettings, Warp, augment_pictures, draw_warp, warp
from mitlgan.data.sources.file_classifier import MATTE_SUFFIX
from mitlgan.errors import DataError, UsageError
from mitlgan.images.pixels import to_uint8


def matte_beside(picture: Path) -> Path:
    return picture.with_name(picture.stem + MATTE_SUFFIX)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_factor_seed_and_the_unchanged_first(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 3, size=(30, 20))
    assert (
        augment_pictures(place, tmp_path / "a", AugmentSettings(factor=5)).items() >= {"pictures": 3, "made": 15, "mattes": 0, "unreadable": 0}.items()
    )
    augment_pictures(place, tmp_path / "b", AugmentSettings(factor=5))
    augment_pictures(place, tmp_path / "c", AugmentSettings(factor=5, seed=1))
    first, second, other = (content(tmp_path / name) for name in "abc")
    assert len(first) == 15
    assert first == second
    assert sum(first[name] == other[name] for name in first) == 3  # the unchanged ones
    assert len(set(first.values())) == 15
    for index in range(3):
        (unchanged,) = (tmp_path / "a").glob(f"{index:04d}-*-00.png")
        assert Image.open(unchanged).tobytes() == images.smooth(index, (30, 20)).tobytes()


def test_the_matte_goes_along(tmp_path: Path) -> None:
    """The object is where the matte is, in every copy."""
    (tmp_path / "in").mkdir()
    matte = Image.new("L", (64, 64))
    ImageDraw.Draw(matte).rectangle((10, 20, 30, 50), fill=255)
    picture = Image.new("RGB", (64, 64), (0, 0, 200))
    picture.paste((250, 250, 0), mask=matte)
    picture.save(tmp_path / "in" / "a.png")
    matte.save(matte_beside(tmp_path / "in" / "a.png"))
    augment_pictures(tmp_path / "in", tmp_path / "out", AugmentSettings(factor=12))
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
    augment_pictures(tmp_path / "in", tmp_path / "out", AugmentSettings(factor=8, degrees=45))
    for path in (tmp_path / "out").glob("*.png"):
        pixels = np.asarray(Image.open(path))
        if pixels.shape[2] == 3:
            assert pixels.min() >= 253
        else:
            assert pixels[..., :3][pixels[..., 3] > 60].min() > 240
            assert pixels[0, 0, 3] == 0


def test_changes_are_within_their_limits() -> None:
    settings = AugmentSettings(degrees=7, shear_degrees=3, distortion=0.02, flip=False)
    changes = [draw_warp(settings, "a", copy) for copy in range(200)]
    assert max(abs(change.degrees) for change in changes) <= 7
    assert max(max(map(abs, change.shear)) for change in changes) <= 3
    assert max(float(change.shifts.abs().max()) for change in changes) <= 0.02
    assert not any(change.flip for change in changes)
    assert 70 < sum(change.mirror for change in changes) < 130
    assert draw_warp(settings, "a", 1).degrees != draw_warp(settings, "b", 1).degrees


def test_copies_stand_upright_unless_flips_are_asked_for(tmp_path: Path) -> None:
    """Objects have an up and a down: red is above blue in every copy, but for half of those of `flip`, as in the thesis."""
    place = tmp_path / "in"
    place.mkdir()
    picture = Image.new("RGB", (40, 40), "red")
    picture.paste("blue", (0, 20, 40, 40))
    picture.save(place / "a.png")
    upright = {}
    for flip in (False, True):
        settings = AugmentSettings(factor=24) if not flip else AugmentSettings(factor=24, flip=True)
        augment_pictures(place, tmp_path / f"out-{flip}", settings)
        tops = [np.asarray(Image.open(path))[8, 20] for path in sorted((tmp_path / f"out-{flip}").glob("*.png"))]
        upright[flip] = sum(int(top[0]) > int(top[2]) for top in tops)
    assert upright[False] == 24
    assert 6 < upright[True] < 18


def test_a_folder_with_flipped_copies_is_left_as_it_is(tmp_path: Path) -> None:
    """Earlier versions flipped by default: their folders are neither continued nor mixed with upright copies."""
    place, out = images.fill(tmp_path / "in", 2), tmp_path / "out"
    augment_pictures(place, out, AugmentSettings(flip=True))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    refused = r"^--out .*: was made with other settings \(with --flip, now without it\); give another folder, or remove"
    with pytest.raises(UsageError, match=refused) as caught:
        augment_pictures(place, out, AugmentSettings())
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    augment_pictures(place, out, AugmentSettings(flip=True))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_bad_files_and_other_work(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 1)
    (place / "bad.png").write_bytes(b"")
    counts = augment_pictures(place, tmp_path / "out", AugmentSettings(factor=2))
    assert counts.items() >= {"pictures": 1, "made": 2, "mattes": 0, "unreadable": 1}.items()
    assert counts["skipped"] == [{"name": "bad.png", "reason": "empty file"}]
    with pytest.raises(UsageError, match=r"was made with other settings \(--factor 2, now 3\)"):
        augment_pictures(place, tmp_path / "out", AugmentSettings(factor=3))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no")
    with pytest.raises(DataError, match="none of 1 files"):
        augment_pictures(tmp_path / "bad", tmp_path / "out2", AugmentSettings())


class Killed(BaseException):
    pass


def test_stopped_it_goes_on(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 4)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise Killed

    augment_pictures(place, tmp_path / "whole", AugmentSettings())
    with pytest.raises(Killed):
        augment_pictures(place, tmp_path / "cut", AugmentSettings(), stop)
    augment_pictures(place, tmp_path / "cut", AugmentSettings())
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


@pytest.mark.parametrize("stopped", [False, True])
def test_files_that_are_gone_are_made_again_and_the_others_left_alone(stopped: bool, tmp_path: Path) -> None:
    place, out, said = images.fill(tmp_path / "in", 3), tmp_path / "out", list[str]()
    Image.new("L", Image.open(place / "0000.png").size, 90).save(matte_beside(place / "0000.png"))
    (place / "bad.png").write_bytes((place / "0000.png").read_bytes()[:60])

    def stop(done: int, _: int) -> None:
        if stopped and done == 3:
            raise Killed

    with suppress(Killed):
        augment_pictures(place, out, AugmentSettings(factor=2), stop)
    first = content(out)
    for name in list(first)[::2]:
        (out / name).unlink()
    kept = list(first)[1]
    (out / kept).write_bytes(b"edited by the user")
    again = augment_pictures(place, out, AugmentSettings(factor=2), say=said.append)
    whole = augment_pictures(place, tmp_path / "whole", AugmentSettings(factor=2))
    assert content(out) == content(tmp_path / "whole") | {kept: b"edited by the user"}
    assert again == whole
    assert len(content(out)) == again["made"] + again["mattes"] == 8
    assert f"{len(list(first)[::2])} files of an earlier call were gone from {out} and are made again" in said
    said.clear()
    augment_pictures(place, out, AugmentSettings(factor=2), say=said.append)
    assert not [line for line in said if "gone" in line]


SHAPES = [(2, 2), (128, 128), (160, 90), (100, 400), (512, 64), (1000, 100), (9, 700)]
FAR = {
    "usual": AugmentSettings(factor=8),
    "turned": AugmentSettings(factor=8, degrees=180, shear_degrees=0, distortion=0),
    "sheared": AugmentSettings(factor=8, degrees=0, shear_degrees=60, distortion=0),
    "distorted": AugmentSettings(factor=8, degrees=0, shear_degrees=0, distortion=0.2),
    "all": AugmentSettings(factor=8, degrees=180, shear_degrees=60, distortion=0.2),
}


@pytest.mark.parametrize("settings", FAR.values(), ids=FAR)
def test_a_picture_of_one_colour_stays_so_whatever_its_shape_and_however_far_it_is_changed(settings: AugmentSettings) -> None:
    for number, (width, height) in enumerate(SHAPES):
        for colour in ((255, 255, 255), (200, 30, 120), (0, 0, 0)):
            planes = torch.tensor(colour).view(3, 1, 1).expand(3, height, width) / 127.5 - 1
            for copy in range(1, settings.factor):
                made = to_uint8(warp(planes, draw_warp(settings, str(number), copy), edge="reflect"))
                assert made.shape == (3, height, width)
                assert (made == torch.tensor(colour).view(3, 1, 1)).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_files_of_one_colour_stay_so_with_their_mattes(tmp_path: Path, mode: str) -> None:
    (tmp_path / "in").mkdir()
    picture = Image.new("RGB", (20, 130), (90, 90, 90))
    (picture.quantize(2) if mode == "P" else picture.convert(mode)).save(tmp_path / "in" / "a.png")
    Image.new("L", (20, 130), 255).save(matte_beside(tmp_path / "in" / "a.png"))
    augment_pictures(tmp_path / "in", tmp_path / "out", FAR["all"])
    made = sorted((tmp_path / "out").glob("*.png"))
    assert len(made) == 16
    for path in made:
        assert (np.asarray(Image.open(path)) == (255 if ".matte." in path.name else 90)).all(), path.name


def test_beyond_its_edge_a_picture_goes_on_mirrored_again_and_again() -> None:
    """Sheared by 60 degrees, each column moves along itself by 1.73 times its distance from the centre: far beyond a picture of 8 px height."""
    width, height = 41, 8
    column = np.random.default_rng(0).integers(0, 256, height)
    planes = torch.from_numpy(np.repeat(column[:, None], width, 1)).float()[None].expand(3, -1, -1) / 127.5 - 1
    change = Warp(mirror=False, flip=False, degrees=0, shear=(0.0, math.degrees(math.atan(2.0))), shifts=torch.zeros(1, 2, 4, 4))  # by 2 px a column
    made = to_uint8(warp(planes, change, edge="reflect"))[0].numpy()
    period = np.concatenate([column, column[::-1]])
    for x in range(width):
        assert (made[:, x] == period[(np.arange(height) - 2 * (x - width // 2)) % (2 * height)]).all()


def test_nothing_done_changes_nothing_and_half_a_turn_is_one() -> None:
    planes = torch.from_numpy(np.array(images.smooth(1, (37, 90)))).permute(2, 0, 1)
    still = Warp(mirror=False, flip=False, degrees=0, shear=(0, 0), shifts=torch.zeros(1, 2, 4, 4))
    floats = planes.float() / 127.5 - 1
    for edge in ("reflect", "constant"):
        assert torch.equal(to_uint8(warp(floats, still, edge=edge)), planes)
        assert torch.equal(to_uint8(warp(floats, replace(still, degrees=180), edge=edge)), planes.flip(1, 2))


def test_a_cut_out_gets_neither_wedges_nor_dark_rims_and_a_picture_with_little_transparency_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cut_out = Image.new("RGBA", (160, 40))  # black, where it cannot be seen
    ImageDraw.Draw(cut_out).ellipse((50, 4, 110, 36), fill=(240, 200, 255, 255))
    cut_out.save(tmp_path / "in" / "cut-out.png")
    photograph = Image.new("RGBA", (160, 40), (240, 200, 255, 255))
    photograph.putpixel((159, 39), (0, 0, 0, 0))
    photograph.save(tmp_path / "in" / "photograph.png")
    augment_pictures(tmp_path / "in", tmp_path / "out", FAR["all"])
    for path in (tmp_path / "out").glob("*.png"):
        pixels = np.asarray(Image.open(path)).astype(int)
        alpha = pixels[..., 3]
        assert np.abs(pixels[..., :3][alpha > 100] - (240, 200, 255)).max() <= 3
        assert (alpha < 128).mean() < 0.02 if "photograph" in path.name else 0.02 < (alpha > 127).mean() < 0.5


def test_a_file_of_ones_own_in_the_place_of_a_copy_is_not_written_over(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 4)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise Killed

    augment_pictures(place, tmp_path / "whole", AugmentSettings())
    with pytest.raises(Killed):
        augment_pictures(place, tmp_path / "cut", AugmentSettings(), stop)
    last = sorted(content(tmp_path / "whole"))[-1]
    (tmp_path / "cut" / last).write_bytes(b"mine")
    with pytest.raises(UsageError, match=rf"^--out .*{last}: is another file than the one that is to be written there; move it away"):
        augment_pictures(place, tmp_path / "cut", AugmentSettings())
    assert (tmp_path / "cut" / last).read_bytes() == b"mine"
    (tmp_path / "cut" / last).unlink()
    augment_pictures(place, tmp_path / "cut", AugmentSettings())
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


SAME: dict[str, Any] = {"mirror": False, "flip": False, "degrees": 0, "shear_degrees": 0, "distortion": 0}


BY_DEGREES: list[dict[str, Any]] = [{"degrees": 10}, {"shear_degrees": 6}, {"distortion": 0.03}]
TURNS: list[dict[str, Any]] = [{}, {"mirror": True}, {"flip": True}, {"mirror": True, "flip": True}]


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    for number in range(3):
        Image.effect_noise((16, 16), 80).convert("RGB").save(place / f"{number}.png")
    return place


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("change", [{}, *BY_DEGREES])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_of_a_picture_are_the_same(noise: Path, tmp_path: Path, turn: dict[str, Any], change: dict[str, Any], seed: int) -> None:
    """Up to the factor that the allowed changes give; above it, nothing is written."""
    most = 9 if change else 2 ** len(turn)
    for factor in range(1, most + 1):
        out = tmp_path / f"out-{factor}"
        assert augment_pictures(noise, out, AugmentSettings(**{**SAME, **turn, **change, "factor": factor, "seed": seed}))["made"] == 3 * factor
        assert len(set(content(out).values())) == 3 * factor
    if change:
        return
    reason = "all copies would be the same as their original" if most == 1 else f"at most {most} pictures made of one differ"
    with pytest.raises(UsageError, match=rf"^--factor {most + 1}: .*{reason}; .* or give --factor {most}$") as caught:
        augment_pictures(noise, tmp_path / "more", AugmentSettings(**{**SAME, **turn, "factor": most + 1}))
    assert caught.value.exit_code == 2
    assert not (tmp_path / "more").exists()
    assert all(f"--{name}" in str(caught.value) for name in (*turn, "degrees", "shear", "distortion"))


@pytest.mark.parametrize(("change", "goes_on"), [({"degrees": 10}, True), ({"mirror": True, "factor": 2}, False), ({"factor": 1}, True)])
def test_work_of_the_version_before_goes_on_if_its_files_are_the_same(noise: Path, tmp_path: Path, change: dict[str, Any], goes_on: bool) -> None:
    settings, out = AugmentSettings(**{**SAME, **change}), tmp_path / "out"
    augment_pictures(noise, out, settings)
    before, journal = content(out), out / JOURNAL_FILE
    header, *lines = map(json.loads, journal.read_text().splitlines())
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in ({**header, "version": 4}, *lines[:1])))
    if goes_on:
        assert augment_pictures(noise, out, settings)["pictures"] == 3
        assert [json.loads(line) for line in journal.read_text().splitlines()] == [header, *lines]
        assert content(out) == before
        return
    with pytest.raises(UsageError, match="holds work of another version of mitlgan"):
        augment_pictures(noise, out, settings)


@pytest.mark.parametrize(
    ("change", "is_repeated"),
    [
        ({"degrees": 0.001}, True),
        ({"shear_degrees": 0.001}, True),
        ({"distortion": 1e-5}, True),
        ({"degrees": 10.0}, False),
        ({"distortion": 0.03}, False),
    ],
)
def test_copies_that_repeat_others_are_counted_and_said(noise: Path, tmp_path: Path, change: dict[str, float], is_repeated: bool) -> None:
    settings = AugmentSettings(factor=4, **({"degrees": 0.0, "shear_degrees": 0.0, "distortion": 0.0} | change))
    said: list[str] = []
    augment_pictures(noise, tmp_path / "out", settings, say=said.append)
    stems = {name.rpartition("-")[0] for name in content(tmp_path / "out")}
    made = [[data for name, data in content(tmp_path / "out").items() if name.rpartition("-")[0] == stem] for stem in stems]
    repeated = sum(len(files) - len(set(files)) for files in made)
    assert bool(repeated) == is_repeated
    line = f"pictures made that are the same as another one of their original: {repeated:,}; "
    assert [text.startswith(line) and text.endswith("raise these, or lower --factor") for text in said] == [True] * is_repeated
    before, (gone, *_) = content(tmp_path / "out"), sorted((tmp_path / "out").glob("*-01.png"))
    journal = tmp_path / "out" / JOURNAL_FILE
    journal.write_text(re.sub(r', "repeated": \d+', "", journal.read_text()))
    gone.unlink()
    augment_pictures(noise, tmp_path / "out", settings)  # a line of an earlier call says nothing of it
    assert content(tmp_path / "out") == before


def _symmetric(of_both_axes: bool) -> Image.Image:
    picture = Image.new("RGB", (64, 64), (250, 240, 20))
    ImageDraw.Draw(picture).ellipse((12, 12, 51, 51 if of_both_axes else 40), fill=(200, 30, 30))
    return picture


BY_DEGREES = (
    "these have one colour, are symmetric, or --degrees, --shear and --distortion change too little at their size: raise these, or lower --factor"
)
RAISE = "raise --degrees, --shear or --distortion, or lower --factor"
REPEATS: dict[str, tuple[Image.Image, dict[str, Any], int, str]] = {
    "symmetric, mirrored": (_symmetric(True), {"factor": 2}, 1, f"these are symmetric, so that fewer differ by --mirror alone: {RAISE}"),
    "of one colour, mirrored": (Image.new("RGB", (64, 64)), {"factor": 2}, 1, f"these are symmetric, so that fewer differ by --mirror alone: {RAISE}"),
    "of one axis, mirrored and flipped": (
        _symmetric(False), {"factor": 4, "flip": True}, 2, f"these are symmetric, so that fewer differ by --mirror and --flip alone: {RAISE}",
    ),
    "of one axis, flipped": (_symmetric(False), {"factor": 2, "mirror": False, "flip": True}, 0, ""),
    "of one colour, turned": (Image.new("RGB", (64, 64)), {"factor": 3, "degrees": 9.0}, 2, BY_DEGREES),
    "turned too little": (_symmetric(True), {"factor": 2, "degrees": 0.001, "mirror": False}, 1, BY_DEGREES),
}  # fmt: skip


@pytest.mark.parametrize(("picture", "change", "repeated", "reason"), REPEATS.values(), ids=REPEATS)
def test_why_copies_repeat_others_is_true_of_what_was_asked(
    picture: Image.Image, change: dict[str, Any], repeated: int, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "0.png")
    settings = AugmentSettings(**({"degrees": 0.0, "shear_degrees": 0.0, "distortion": 0.0} | change))
    said: list[str] = []
    augment_pictures(tmp_path / "in", tmp_path / "out", settings, say=said.append)
    expected = [f"pictures made that are the same as another one of their original: {repeated:,}; {reason}"] if repeated else []
    assert said == expected
