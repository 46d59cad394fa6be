"""Masks with the very name of their picture, `0.png` beside `0.jpg`, are no pictures; other twins are taken, in one split, and said."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import images
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.curate.reference_sets import find_held_out_packs
from mitlgan.data.decode.image_file import HEADER_BYTES, ImageHeader, UnreadableImageError, parse_header
from mitlgan.data.sources.image_source import ImageSource, open_source
from mitlgan.data.sources.mask_twins import (
    MAX_JUDGED,
    MAX_LOOKED_AT,
    MAX_LOOKED_AT_IN_ALL,
    describe_twins,
    find_twins,
    match_twin_masks,
    twin_stem,
)
from mitlgan.errors import UsageError

SIZE = (96, 64)


def photo(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    noise = np.random.default_rng(seed).integers(-9, 10, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(images.smooth(seed, size)) + noise).clip(0, 255).astype(np.uint8))


def matte(seed: int, mode: str = "L", size: tuple[int, int] = SIZE) -> Image.Image:
    """A white object with soft edges on black."""
    large = Image.new("L", (size[0] * 4, size[1] * 4))
    left, top = 40 + seed * 7 % 60, 30 + seed * 5 % 40
    ImageDraw.Draw(large).ellipse((left, top, left + 180, top + 150), fill=255)
    return large.resize(size, Image.Resampling.BOX).convert(mode)


def class_mask(seed: int) -> Image.Image:
    """Palette numbers of three classes with borders of 255, as in Pascal VOC."""
    picture = Image.new("P", SIZE)
    picture.putpalette([value for index in range(256) for value in (index * 37 % 256, index * 91 % 256, index * 53 % 256)])
    draw = ImageDraw.Draw(picture)
    for number in (1, 5, 15):
        left = (seed * 11 + number * 13) % 60
        draw.rectangle((left, 8 + number, left + 30, 40 + number), fill=number, outline=255)
    return picture


def cut_out(seed: int) -> Image.Image:
    picture = photo(seed).convert("RGBA")
    picture.putalpha(matte(seed))
    return picture


def on_white(seed: int) -> Image.Image:
    return Image.composite(photo(seed), Image.new("RGB", SIZE, "white"), matte(seed))


def logo(seed: int) -> Image.Image:
    picture = Image.new("RGB", SIZE, (240, 240, 90))
    ImageDraw.Draw(picture).rectangle((10 + seed, 10, 50 + seed, 50), fill=(200, 30, 30))
    return picture


def colors(seed: int, count: int) -> list[tuple[int, ...]]:
    return [tuple(color) for color in np.random.default_rng(seed + 900).integers(1, 256, (count, 3)).tolist()]


def flat_picture(seed: int, ground: tuple[int, ...] | None = None) -> Image.Image:
    """Three rectangles in colours of its own, as a logo."""
    picture = Image.new("RGB", SIZE, ground or colors(seed, 4)[3])
    for number, color in enumerate(colors(seed, 3)):
        left = (seed * 7 + number * 19) % 50
        ImageDraw.Draw(picture).rectangle((left, 5 + number * 9, left + 25, 30 + number * 9), fill=color)
    return picture


def pixel_art(seed: int, palette_seed: int) -> Image.Image:
    """Squares in eight colours."""
    fields = np.array(colors(palette_seed, 8), np.uint8)[np.random.default_rng(seed).integers(0, 8, (8, 12))]
    return Image.fromarray(fields).resize(SIZE, Image.Resampling.NEAREST)


def see_through_logo(seed: int) -> Image.Image:
    picture = Image.new("RGBA", SIZE)
    ImageDraw.Draw(picture).rectangle((10 + seed, 10, 50 + seed, 50), fill=(200, 30, 30, 255))
    return picture


def opaque_logo(seed: int) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", SIZE, "white"), see_through_logo(seed)).convert("RGB")


def crack(seed: int) -> Image.Image:
    """A mask of a tiny object."""
    picture = Image.new("L", SIZE)
    picture.paste(255, (seed, 9, seed + 12, 11))
    return picture


MASKS: dict[str, tuple[Callable[[int], Image.Image], str]] = {
    "grey": (matte, ".png"),
    "in three channels": (lambda seed: matte(seed, "RGB"), ".png"),
    "opaque": (lambda seed: matte(seed, "RGBA"), ".png"),
    "of one bit": (lambda seed: matte(seed).convert("1", dither=Image.Dither.NONE), ".png"),
    "of classes": (class_mask, ".png"),
    "of 0 and 1": (lambda seed: matte(seed).point(lambda level: level // 128), ".bmp"),
    "as GIF": (matte, ".gif"),
    "as JPEG": (matte, ".jpeg"),
    "of tiny objects": (crack, ".png"),
    "black on white": (lambda seed: matte(seed).point(lambda level: 255 - level), ".png"),
}
PICTURES: dict[str, tuple[Callable[[int], Image.Image], str]] = {
    "cut-outs": (cut_out, ".png"),
    "cut-outs on white": (on_white, ".png"),
    "copies": (photo, ".png"),
    "grey copies": (lambda seed: photo(seed).convert("L"), ".png"),
    "GIF copies": (lambda seed: photo(seed).quantize(64), ".gif"),
    "other photographs": (lambda seed: photo(seed + 500), ".png"),
    "logos": (flat_picture, ".png"),
    "logos on white": (lambda seed: flat_picture(seed, (255, 255, 255)), ".png"),
    "logos on black": (lambda seed: flat_picture(seed, (0, 0, 0)), ".png"),
    "pixel art": (lambda seed: pixel_art(seed, seed), ".png"),
    "pixel art of one palette": (lambda seed: pixel_art(seed, 0), ".png"),
    "blank files": (lambda seed: Image.new("RGB", SIZE, "white"), ".png"),
    "mattes of another size": (lambda seed: matte(seed, size=(48, 32)), ".png"),
}


def write(folder: Path, count: int, make: Callable[[int], Image.Image], suffix: str, first: Callable[[int], Image.Image] = photo) -> Path:
    folder.mkdir(parents=True)
    for seed in range(count):
        first(seed).save(folder / f"{seed}.jpg", quality=90)
        make(seed).save(folder / f"{seed}{suffix}")
    return folder


def stored(folder: Path, form: str) -> Path:
    if form == "folder":
        return folder
    files, path = sorted(folder.rglob("*.*"), key=lambda file: (file.suffix, file.name)), folder.with_suffix(f".{form}")
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, "w:gz") as archive:
            for file in files:
                archive.add(file, str(file.relative_to(folder)))
    return path


def taken(source: ImageSource) -> set[str]:
    return {entry.name for entry in source.entries}


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
@pytest.mark.parametrize("kind", MASKS)
def test_masks_are_left_out_whatever_they_look_like(tmp_path: Path, kind: str, form: str) -> None:
    make, suffix = MASKS[kind]
    write(tmp_path / "in" / "Imgs", 12, make, suffix)
    source = open_source(stored(tmp_path / "in", form))
    assert taken(source) == {f"Imgs/{number}.jpg" for number in range(12)}
    assert {left.name for left in source.leftovers.named} == {f"Imgs/{number}{suffix}" for number in range(12)}
    (line,) = source.leftovers.describe()
    assert line.startswith("12 masks of other pictures left out: no picture to train on")


@pytest.mark.parametrize("kind", PICTURES)
def test_other_twins_are_taken_and_said_in_one_line(tmp_path: Path, kind: str) -> None:
    make, suffix = PICTURES[kind]
    source = open_source(write(tmp_path / "in", 12, make, suffix))
    assert len(source.entries) == 24
    (line,) = source.leftovers.describe()
    assert line.startswith(f"12 names are those of several pictures in one folder, such as {'0' + min(suffix, '.jpg')!r} and ")


def test_a_logo_is_no_mask_of_its_jpeg(tmp_path: Path) -> None:
    assert len(open_source(write(tmp_path / "in", 6, logo, ".png", first=logo)).entries) == 12


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".gif"])
def test_a_logo_is_no_mask_of_its_see_through_version(tmp_path: Path, suffix: str) -> None:
    for seed in range(10):
        see_through_logo(seed).save(tmp_path / f"{seed}.png")
        opaque_logo(seed).save(tmp_path / f"{seed}{suffix}")
    assert len(open_source(tmp_path).entries) == 20


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
@pytest.mark.parametrize(("mask_count", "photo_count"), [(80, 20), (20, 60), (20, 3)])
def test_each_folder_is_judged_by_itself(tmp_path: Path, mask_count: int, photo_count: int, form: str) -> None:
    write(tmp_path / "in" / "saliency", mask_count, matte, ".png")
    write(tmp_path / "in" / "edited", photo_count, lambda seed: photo(seed + 500), ".png")
    source = open_source(stored(tmp_path / "in", form))
    assert {left.name for left in source.leftovers.named} == {f"saliency/{number}.png" for number in range(mask_count)}
    assert len(source.entries) == mask_count + 2 * photo_count
    assert source.leftovers.remarks[0].startswith(f"{photo_count} names are those of several pictures")


@pytest.mark.parametrize("photos", [{3, 8, 13}, {7}, set(range(5, 15))])
def test_photographs_among_masks_stay(tmp_path: Path, photos: set[int]) -> None:
    """Number 7 of 15 is looked at, with seven others."""
    place = write(tmp_path / "in", 15, lambda seed: photo(seed + 300) if seed in photos else matte(seed), ".png")
    source = open_source(place)
    assert {left.name for left in source.leftovers.named} == {f"{number}.png" for number in set(range(15)) - photos}
    assert source.leftovers.remarks[0].startswith("1 name is that" if len(photos) == 1 else f"{len(photos)} names are those")


def test_a_mask_of_a_flat_picture_stays_and_leaves_no_doubt_about_the_others(tmp_path: Path) -> None:
    count = MAX_JUDGED + MAX_LOOKED_AT + 1
    place = write(tmp_path / "in", count, matte, ".png", first=lambda seed: photo(seed) if seed else Image.new("RGB", SIZE, "white"))
    source = open_source(place)
    assert {left.name for left in source.leftovers.named} == {f"{number}.png" for number in range(1, count)}
    assert source.leftovers.remarks[0].startswith("1 name is that of several pictures")


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_flat_twins_are_pictures(tmp_path: Path, count: int) -> None:
    place = write(tmp_path / "in", count, matte, ".png")
    for seed in range(10, 20):
        photo(seed).save(place / f"{seed}.jpg")
    source = open_source(place)
    assert len(source.entries) == 2 * count + 10
    assert len(source.leftovers.remarks) == 1


def test_the_line_is_printed_where_pictures_are_packed(tmp_path: Path) -> None:
    place = write(tmp_path / "in", 3, cut_out, ".png")
    packed = pack_folder(place, tmp_path / "a.npy", size_px=16)
    line, transparency = packed.manifest["leftovers"]["remarks"]
    assert transparency.startswith("the transparency of 3 of 6 pictures")
    assert line.startswith("3 names are those of several pictures in one folder, such as '0.jpg' and '0.png': all are taken")


def test_a_few_that_are_blank_change_nothing(tmp_path: Path) -> None:
    place = write(tmp_path / "in", 12, matte, ".png")
    Image.new("L", SIZE).save(place / "0.png")
    assert taken(open_source(place)) == {f"{number}.jpg" for number in range(12)}


@pytest.mark.parametrize("number", [0, 1, 31])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no picture", "not a picture"),
        (b"", "empty file"),
        (images.encoded(matte(1, size=(192, 128)), "PNG"), "192 x 128 px are more than"),
        (images.encoded(matte(1, size=(404, 4)), "PNG"), "404 x 4 px: nothing to see"),
    ],
)
def test_an_unreadable_file_beside_masks_has_a_reason_of_its_own(
    tmp_path: Path, content: bytes, reason: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number 0 is among those that are looked at; 1 and 31 are not."""
    monkeypatch.setattr("mitlgan.data.decode.image_file.MAX_PIXELS", 10_000)
    place = write(tmp_path / "in", 60, matte, ".png")
    (place / f"{number}.png").write_bytes(content)
    assert masks_of(place) == {f"{other}.png" for other in range(60) if other != number}
    skipped = {one["name"]: one["reason"] for one in pack_folder(place, tmp_path / "a.npy", size_px=16).manifest["skipped"]}
    assert skipped[f"{number}.png"].startswith(reason)


def test_pictures_without_a_mask_stay(tmp_path: Path) -> None:
    place = write(tmp_path / "in", 4, matte, ".png")
    photo(90).save(place / "alone.png")
    photo(91).save(place / "alone.jpg.png")
    assert taken(open_source(place)) == {"0.jpg", "1.jpg", "2.jpg", "3.jpg", "alone.png", "alone.jpg.png"}


class Contents:
    """Files in memory, equal but for some; counts what is read of them."""

    def __init__(self, **others: Image.Image) -> None:
        pictures = {"jpg": photo(1), "png": matte(1), **others}
        self._contents = {name: images.encoded(picture, "JPEG" if name == "jpg" else "PNG") for name, picture in pictures.items()}
        self.reads: list[str] = []
        self.headers: list[str] = []

    def content(self, name: str) -> bytes:
        own = twin_stem(name).replace("/", "_")
        return self._contents[own if own in self._contents and name.endswith(".png") else name[-3:]]

    def match(self, names: list[str]) -> dict[str, str]:
        self.reads.clear()
        self.headers.clear()

        def read(name: str) -> bytes:
            self.reads.append(name)
            return self.content(name)

        def read_header(name: str) -> ImageHeader:
            self.headers.append(name)
            return parse_header(self.content(name), len(self.content(name)))

        return match_twin_masks(find_twins(names), names, read, read_header)


def numbered(folders: int, count: int) -> list[str]:
    return [f"{folder}/{number}.{suffix}" for folder in range(folders) for suffix in ("jpg", "png") for number in range(count)]


def test_of_many_twins_few_are_looked_at() -> None:
    names = [f"{number}.{suffix}" for suffix in ("jpg", "png") for number in range(1000)]
    files = Contents()
    assert files.match(names) == {f"{number}.png": f"{number}.jpg" for number in range(1000)}
    assert len(files.reads) == 2 * MAX_LOOKED_AT
    assert files.reads == sorted(files.reads, key=names.index)  # forwards, as a compressed archive is read
    assert len(files.headers) == len(set(files.headers)) <= 2000


def test_many_folders_and_many_in_doubt_are_not_all_decoded() -> None:
    files = Contents(**{"0_0": photo(1)})
    names = numbered(50, 9)
    assert set(files.match(names)) == {name for name in names if name.endswith("png") and name != "0/0.png"}
    assert len(files.reads) <= 2 * (MAX_LOOKED_AT_IN_ALL + 9)
    names = numbered(1, MAX_JUDGED + MAX_LOOKED_AT + 1)
    assert len(files.match(names)) == MAX_JUDGED + MAX_LOOKED_AT
    assert len(files.reads) == 2 * MAX_LOOKED_AT
    names = numbered(1000, 1)
    assert len(files.match(names)) == 999
    assert len(files.reads) == 2 * MAX_LOOKED_AT_IN_ALL


def spread(place: Path, folders: int, count: int, make: Callable[[int], Image.Image] = matte) -> Path:
    for number in range(folders):
        write(place / f"{number:03}", count, lambda seed, number=number: make(number * count + seed), ".png")
    return place


def masks_of(place: Path) -> set[str]:
    source = open_source(place)
    masks = {left.name for left in source.leftovers.named if left.kind == "mask of another picture"}
    assert not masks & taken(source)
    return masks


@pytest.mark.parametrize(("folders", "count"), [(10, 4), (33, 4), (60, 2), (50, 1), (140, 1)])
def test_masks_of_many_small_folders_are_judged_together(tmp_path: Path, folders: int, count: int) -> None:
    place = spread(tmp_path / "in", folders, count)
    assert masks_of(place) == {f"{folder:03}/{number}.png" for folder in range(folders) for number in range(count)}


@pytest.mark.parametrize("make", [cut_out, flat_picture, PICTURES["other photographs"][0], PICTURES["logos on black"][0]])
@pytest.mark.parametrize("folders", [20, 130])
def test_pictures_in_many_small_folders_stay(tmp_path: Path, folders: int, make: Callable[[int], Image.Image]) -> None:
    assert masks_of(spread(tmp_path / "in", folders, 1, make)) == set()


@pytest.mark.parametrize("make", [cut_out, flat_picture, PICTURES["other photographs"][0]])
@pytest.mark.parametrize(("folders", "count"), [(130, 1), (40, 2)])
def test_folders_of_masks_and_folders_of_pictures_are_told_apart(tmp_path: Path, folders: int, count: int, make: Callable[[int], Image.Image]) -> None:
    place = spread(tmp_path / "in", folders, count, lambda seed: make(seed) if seed // count % 3 == 0 else matte(seed))
    assert masks_of(place) == {f"{folder:03}/{number}.png" for folder in range(folders) if folder % 3 for number in range(count)}


@pytest.mark.parametrize(("train", "test"), [((34, 2), (9, 4)), ((130, 1), (2, 1)), ((1, 12), (1, 2)), ((3, 1), (20, 2))])
@pytest.mark.parametrize("names", [("train", "test"), ("seg_train", "seg_test")])
def test_a_split_has_the_pictures_that_it_has_when_it_is_named_itself(
    tmp_path: Path, train: tuple[int, int], test: tuple[int, int], names: tuple[str, str]
) -> None:
    for name, (folders, count) in zip(names, (train, test), strict=True):
        spread(tmp_path / name, folders, count)
    whole = taken(open_source(tmp_path))
    assert whole == {f"{name}/{one}" for name in names for one in taken(open_source(tmp_path / name))}
    assert len(whole) < 2 * (train[0] * train[1] + test[0] * test[1])


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (kind, PICTURES[other][0])
        for kind in ("grey", "in three channels", "opaque", "of one bit", "of classes")
        for other in ("other photographs", "grey copies", "cut-outs", "logos", "mattes of another size")
        if (kind, other) != ("in three channels", "logos")  # the limit that the module's docstring names
    ],
)
def test_pictures_that_no_sample_meets_stay_among_masks(tmp_path: Path, kind: str, make: Callable[[int], Image.Image]) -> None:
    """Of 60, number 25 and 42 are looked at, and none between them."""
    place = write(tmp_path / "in", 60, lambda seed: make(seed) if 26 <= seed < 33 else MASKS[kind][0](seed), ".png")
    assert masks_of(place) == {f"{number}.png" for number in range(60) if not 26 <= number < 33}


def test_photographs_among_masks_as_jpeg_stay(tmp_path: Path) -> None:
    place = write(tmp_path / "in", 60, lambda seed: photo(seed + 500) if 26 <= seed < 33 else matte(seed), ".jpeg")
    assert masks_of(place) == {f"{number}.jpeg" for number in range(60) if not 26 <= number < 33}


@pytest.mark.parametrize("count", [264, 265, 300])
def test_a_stray_photograph_or_doubt_in_another_folder_changes_no_verdict(count: int) -> None:
    names = [*numbered(1, count), *(f"1/{number}.{suffix}" for suffix in ("jpg", "png") for number in range(8))]
    own = {f"1/{number}.png" for number in range(8) if number != 3}
    stray = Contents(**{"0_0": photo(2), "1_3": photo(3)}).match(names)
    assert set(stray) == own | {f"0/{number}.png" for number in range(1, count)}
    mixed = Contents(**{f"0_{number}": photo(2) for number in range(0, count, 2)}, **{"1_3": photo(3)})
    assert set(mixed.match(names)) == own | {f"0/{number}.png" for number in range(1, count, 2)}
    assert len(mixed.reads) <= 4 * MAX_LOOKED_AT + count // 2  # the photographs are small files, which are decoded; none of the others is


@pytest.mark.parametrize(("stray_count", "is_extended"), [(1, True), (20, True), (100, False)])
def test_pictures_that_only_their_pixels_tell_are_judged_by_a_sample(stray_count: int, is_extended: bool) -> None:
    """Flat pictures of the form of the masks, in levels of their own: of many, an even sample is judged, and the rest follows if nearly all are."""
    count = 1000
    strays = {round(number * (count - 1) / max(1, stray_count - 1)) for number in range(stray_count)}
    files = Contents(png=matte(1, "RGB"), **{f"0_{number}": flat_picture(number) for number in strays})
    masks = {int(name[2:-4]) for name in files.match(numbered(1, count))}
    assert 0 not in masks  # it is decoded
    assert len(files.reads) <= 2 * (MAX_JUDGED + MAX_LOOKED_AT)
    judged = {int(name[2:-4]) for name in files.reads if name.endswith(".png")}
    assert masks & judged == judged - strays
    assert len(masks - judged) == (count - len(judged) if is_extended else 0)


def test_of_many_heavier_masks_a_photograph_among_them_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of many small objects are far heavier than those that are looked at first, and too many to judge all; the photograph is not sampled."""
    monkeypatch.setattr("mitlgan.data.sources.mask_twins.MAX_JUDGED", MAX_LOOKED_AT)
    looked_at = {0, 14, 28, 42, 57, 71, 85, 99}
    squares = np.random.default_rng(0).integers(0, 2, (8, 12), np.uint8) * 255
    fine = {f"0_{number}": Image.fromarray(squares ^ np.uint8(number % 2 * 255)).resize(SIZE, Image.Resampling.NEAREST) for number in range(30, 57)}
    others = {name: picture for name, picture in fine.items() if int(name[2:]) not in looked_at} | {"0_31": photo(2).convert("L")}
    files = Contents(png=crack(1), **others)
    assert set(files.match(numbered(1, 100))) == {f"0/{number}.png" for number in range(100) if number != 31}
    assert "0/31.png" not in files.reads
    assert len(files.reads) == 4 * MAX_LOOKED_AT
    header = parse_header(files.content("0/31.png"), len(files.content("0/31.png")))
    assert header.form == "PNG L"
    assert header.bytes_per_pixel < 1  # it might be flat


@pytest.mark.parametrize(("count", "first"), [(60, 4), (60, 8), (200, 5)])
@pytest.mark.parametrize("kind", ["grey", "in three channels", "of classes", "of tiny objects"])
def test_masks_of_which_most_are_empty_are_left_out(tmp_path: Path, kind: str, count: int, first: int) -> None:
    make = MASKS[kind][0]
    mode = make(0).mode

    def mostly_empty(seed: int) -> Image.Image:
        if seed % 9 == first:
            return make(seed % 60)
        empty = make(0)
        empty.paste(0 if mode in ("L", "P") else (0, 0, 0), (0, 0, *SIZE))
        return empty

    assert masks_of(write(tmp_path / "in", count, mostly_empty, ".png")) == {f"{number}.png" for number in range(count)}


def test_an_empty_mask_of_a_dark_photograph_is_a_mask(tmp_path: Path) -> None:
    place = write(
        tmp_path / "in",
        12,
        lambda seed: matte(seed) if seed else Image.new("L", SIZE),
        ".png",
        first=lambda seed: photo(seed) if seed else photo(seed).point(lambda level: level // 25),
    )
    assert masks_of(place) == {f"{number}.png" for number in range(12)}


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_unreadable_files_where_a_sample_meets_them_hide_no_masks(tmp_path: Path, suffix: str) -> None:
    place = write(tmp_path / "in", 20, matte, ".png")
    unreadable = {f"{number}{suffix}" for number in sorted(file.stem for file in place.glob("*.png"))[::2]}
    for name in unreadable:
        (place / name).write_bytes(b"no picture")
    assert masks_of(place) == {f"{number}.png" for number in range(20)} - unreadable


def test_what_cannot_be_read_is_no_mask() -> None:
    def read(name: str) -> bytes:
        raise UnreadableImageError(name)

    def read_header(name: str) -> ImageHeader:
        raise UnreadableImageError(name)

    twins = find_twins(["a.jpg", "a.png"])
    assert match_twin_masks(twins, ["a.jpg", "a.png"], read, read_header) == {}
    assert describe_twins(twins, {})[0].startswith("1 name is that of several pictures")


def test_twins_differ_in_the_suffix_of_a_picture_alone() -> None:
    names = ["x/a.jpg", "y/a.png", "b.JPG", "b.jpg", "b.png", "frame.1", "frame.2", "c.0.png", "c.1.png", "x/d.webp", "x/d.tif"]
    assert find_twins(names) == [["b.JPG", "b.jpg", "b.png"], ["x/d.webp", "x/d.tif"]]
    assert [twin_stem(name) for name in ("a/b.c.PNG", "frame.1", "plain")] == ["a/b.c", "frame.1", "plain"]


def test_twins_are_held_out_together(tmp_path: Path) -> None:
    place = write(tmp_path / "in", 40, PICTURES["other photographs"][0], ".png")
    packed = prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8, holdout="25%"))
    held_out = [twin_stem(line["name"]) for line in find_held_out_packs(packed.path)["test"].sources()]
    training = [twin_stem(line["name"]) for line in packed.sources()]
    assert len(training) + len(held_out) == 80
    assert len(held_out) >= 6
    assert not set(held_out) & set(training)


def test_masks_by_name_are_no_twins(tmp_path: Path) -> None:
    """What a folder's name says is a mask, and is no photograph in colours, is left out before twins are looked at."""
    place = write(tmp_path / "in" / "images", 3, photo, ".png").parent
    shutil.copytree(place / "images", place / "masks")
    for path in (place / "masks").iterdir():
        Image.open(path).convert("L").point(lambda level: 255 * (level > 127)).save(path)
    source = open_source(place)
    assert taken(source) == {f"images/{number}.{suffix}" for number in range(3) for suffix in ("jpg", "png")}
    assert source.leftovers.remarks[0].startswith("3 names are those of several pictures")


def encoded_as(picture: Image.Image, suffix: str, profile_bytes: int = 0) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {".webp": {"lossless": True}, ".tif": {"compression": "tiff_lzw"}}.get(suffix, {})
    if profile_bytes:
        options["icc_profile"] = np.random.default_rng(0).bytes(profile_bytes)
    picture.save(buffer, {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper()), **options)
    return buffer.getvalue()


class Twins:
    """A photograph beside each file; counts what is read."""

    def __init__(self, files: dict[str, bytes], size: tuple[int, int] = SIZE) -> None:
        photos = {number: encoded_as(photo(number, size), ".jpg") for number in range(5)}
        self._contents = files | {twin_stem(name) + ".jpg": photos[number % 5] for number, name in enumerate(files)}
        self.reads: list[str] = []
        self.headers: list[str] = []

    def masks(self, names: list[str] | None = None) -> set[str]:
        names = sorted(self._contents) if names is None else names

        def read(name: str) -> bytes:
            self.reads.append(name)
            return self._contents[name]

        def read_header(name: str) -> ImageHeader:
            self.headers.append(name)
            return parse_header(self._contents[name][:HEADER_BYTES], len(self._contents[name]))

        return set(match_twin_masks(find_twins(names), names, read, read_header))


UNTOLD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    ".jpeg": ({"format": "JPEG", "quality": 95}, {"quality": 60}),
    ".webp": ({"format": "WEBP", "quality": 95}, {"quality": 60}),
    ".bmp": ({"format": "BMP"}, {}),
}
"""How masks are saved, and what is other for the photographs among them."""


def untold_twins(suffix: str, count: int, photos: set[int]) -> Twins:
    """Masks, and photographs on white that are about as light, each beside a photograph."""
    options, others = UNTOLD[suffix]

    def content(seed: int) -> bytes:
        buffer = io.BytesIO()
        picture = Image.composite(images.smooth(seed, SIZE), Image.new("RGB", SIZE, "white"), matte(seed)) if seed in photos else matte(seed, "RGB")
        picture.save(buffer, **options | (others if seed in photos else {}))
        return buffer.getvalue()

    return Twins({f"{seed:03}{suffix}": content(seed) for seed in range(count)})


@pytest.mark.parametrize("photos", [set(), {31}, set(range(26, 33)), set(range(1, 60, 3))])
@pytest.mark.parametrize("suffix", UNTOLD)
def test_photographs_as_light_as_masks_stay(suffix: str, photos: set[int]) -> None:
    """Of 60, number 25 and 42 are looked at, and none between them."""
    assert untold_twins(suffix, 60, photos).masks() == {f"{number:03}{suffix}" for number in set(range(60)) - photos}


CONTENTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "JPEG": ("JPEG", {"quality": 60}, ".jfi"),
    "JPEG under another name": ("JPEG", {"quality": 60}, ".png"),
    "JPEG in a TIFF": ("TIFF", {"compression": "jpeg", "quality": 60}, ".tif"),
    "LZW in a TIFF": ("TIFF", {"compression": "tiff_lzw"}, ".tif"),
    "uncompressed TIFF": ("TIFF", {}, ".tiff"),
    "PNG under another name": ("PNG", {}, ".jpeg"),
}


def rewritten(place: Path, make: Callable[[int], Image.Image], content: str) -> tuple[Path, str]:
    """Photographs with twins of that content under its name."""
    form, options, suffix = CONTENTS[content]
    place.mkdir()
    for seed in range(12):
        photo(seed).save(place / f"{seed}.jpg", quality=90)
        (place / f"{seed}{suffix}").write_bytes(images.encoded(make(seed), form, **options))
    return place, suffix


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("content", CONTENTS)
def test_masks_are_told_by_their_content_whatever_its_name_is(tmp_path: Path, content: str, mode: str) -> None:
    place, suffix = rewritten(tmp_path / "in", lambda seed: matte(seed, mode), content)
    assert masks_of(place) == {f"{seed}{suffix}" for seed in range(12)}


@pytest.mark.parametrize("make", [photo, on_white, lambda seed: photo(seed).point(lambda level: level // 8), flat_picture], ids=range(4))
@pytest.mark.parametrize("content", CONTENTS)
def test_pictures_stay_whatever_their_content_and_name_are(tmp_path: Path, content: str, make: Callable[[int], Image.Image]) -> None:
    """Photographs, cut-outs on white, dark photographs, and logos."""
    place, _ = rewritten(tmp_path / "in", make, content)
    assert masks_of(place) == set()


@pytest.mark.parametrize("content", ["PNG under another name", "LZW in a TIFF"])
def test_low_numbers_of_classes_are_exact_where_their_content_is(tmp_path: Path, content: str) -> None:
    place, suffix = rewritten(tmp_path / "in", lambda seed: matte(seed).point(lambda level: level // 128), content)
    assert masks_of(place) == {f"{seed}{suffix}" for seed in range(12)}


@pytest.mark.parametrize("codec", ["jpeg", "tiff_lzw"])
def test_photographs_among_masks_as_tiff_stay(codec: str) -> None:
    def content(seed: int, codec: str) -> bytes:
        buffer = io.BytesIO()
        (on_white(seed) if 26 <= seed < 33 else matte(seed, "RGB")).save(buffer, "TIFF", compression=codec)
        return buffer.getvalue()

    twins = Twins({f"{seed:02}.tif": content(seed, codec if 26 <= seed < 33 else "tiff_lzw") for seed in range(60)})
    assert twins.masks() == {f"{seed:02}.tif" for seed in range(60) if not 26 <= seed < 33}


@pytest.mark.parametrize("limit", [20, 120])
@pytest.mark.parametrize("suffix", UNTOLD)
def test_of_many_masks_that_weight_does_not_tell_all_are_judged_once_a_photograph_is_met(
    suffix: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are too many to be judged are pictures."""
    monkeypatch.setattr("mitlgan.data.sources.mask_twins.MAX_JUDGED", MAX_LOOKED_AT)
    monkeypatch.setattr("mitlgan.data.sources.mask_twins.MAX_JUDGED_AFTER_STRAYS", limit)
    photos = {0, 30, 31, 32}  # the first is looked at
    twins = untold_twins(suffix, 120, photos)
    masks = twins.masks()
    judged = {name for name in twins.reads if name.endswith(suffix)}
    assert min(limit + 2 * MAX_LOOKED_AT, 120) <= len(judged) <= limit + 3 * MAX_LOOKED_AT
    assert masks == judged - {f"{number:03}{suffix}" for number in photos}


@pytest.mark.parametrize(("suffix", "profile_bytes"), [(".webp", 0), (".tif", 0), (".bmp", 0), (".ppm", 0), (".png", 70_000)])
def test_photographs_stay_whose_first_bytes_tell_nothing(suffix: str, profile_bytes: int) -> None:
    """The header of some files is behind their pixels or a profile, and uncompressed pixels weigh the same whatever they show."""
    size, photos = (200, 150), range(26, 33)
    content = {seed: encoded_as(matte(seed, "RGB", size), suffix) for seed in range(8)}
    other = encoded_as(photo(77, size), suffix, profile_bytes)
    files = {f"{number:02}{suffix}": other if number in photos else content[number % 8] for number in range(60)}
    assert Twins(files, size).masks() == {f"{number:02}{suffix}" for number in set(range(60)) - set(photos)}


@pytest.mark.parametrize(("mask", "other"), [(lambda seed: matte(seed, "RGB"), flat_picture), (class_mask, lambda seed: photo(seed).quantize(32))])
@pytest.mark.parametrize("folders", [40, pytest.param(70, marks=pytest.mark.slow)])
def test_pictures_behind_the_mask_of_the_first_stay(folders: int, mask: Callable[[int], Image.Image], other: Callable[[int], Image.Image]) -> None:
    names = [(folder, number) for folder in range(folders) for number in range(4)]
    files = {f"{folder:03}/{number}.png": encoded_as((other if number else mask)(4 * folder + number), ".png") for folder, number in names}
    assert not {name for name in Twins(files).masks() if not name.endswith("/0.png")}


def many_classes(seed: int, count: int) -> Image.Image:
    picture = Image.new("P", SIZE)
    picture.putpalette([value for index in range(256) for value in (index * 37 % 256, index * 91 % 256, index * 53 % 256)])
    draw, numbers = ImageDraw.Draw(picture), np.random.default_rng(seed)
    for number in numbers.choice(np.arange(1, count), size=4, replace=False):
        left, top = int(numbers.integers(0, 60)), int(numbers.integers(0, 30))
        draw.rectangle((left, top, left + 30, top + 25), fill=int(number))
    return picture


@pytest.mark.parametrize("classes", [21, 41, 151])
@pytest.mark.parametrize(("folders", "count"), [(33, 5), (20, 9), (10, 12)])
def test_masks_of_many_classes_in_small_folders_are_judged_together(folders: int, count: int, classes: int) -> None:
    masks = {f"{seed // count:03}/{seed % count}.png": many_classes(seed, classes) for seed in range(folders * count)}
    files = {name: encoded_as(mask, ".png") for name, mask in masks.items()}
    assert Twins(files).masks() == set(files)


@pytest.mark.parametrize(("suffix", "mode"), [(".png", "L"), (".png", "RGB"), (".bmp", "L"), (".bmp", "RGB"), (".gif", "L"), (".tif", "L")])
@pytest.mark.parametrize(
    ("count", "marked"), [(8, {0}), (8, {0, 3}), (12, {0, 6}), (20, {0, 9}), (60, set(range(1, 60, 5))), (100, {1, 2, 3, 4, 5, 6})]
)
def test_masks_most_of_which_are_blank_are_left_out(suffix: str, mode: str, count: int, marked: set[int]) -> None:
    blank = Image.new(mode, SIZE)
    files = {f"{number:03}{suffix}": encoded_as(matte(number, mode) if number in marked else blank, suffix) for number in range(count)}
    assert Twins(files).masks() == set(files)


def test_small_masks_that_are_heavy_are_left_out() -> None:
    """A small file may have more bytes of text than of pixels."""
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "x" * 25_000)
    buffer = io.BytesIO()
    matte(3).save(buffer, "PNG", pnginfo=text)
    files = {f"{number:02}.png": buffer.getvalue() if number in (5, 6, 20) else encoded_as(matte(number), ".png") for number in range(30)}
    assert Twins(files).masks() == set(files)


def test_each_stage_reads_all_folders_at_once_and_each_mask_once() -> None:
    """A compressed archive is read from its beginning for each step backwards."""
    files = Contents()
    names = sorted(numbered(150, 10), key=lambda name: (name[-3:], name))
    assert len(files.match(names)) == 1500
    assert not [name for name in files.headers if name.endswith("jpg")]
    reads = [names.index(name) for name in (*files.reads, *files.headers)]
    assert sum(after < before for before, after in pairwise(reads)) <= 1
    assert len(set(files.headers) | {name for name in files.reads if name.endswith("png")}) <= 1500


def test_one_mask_among_thousands_of_cut_outs_costs_little() -> None:
    files = Contents(**{"0_0": matte(1), "png": cut_out(1)})
    assert not files.match(numbered(2000, 2))
    assert len(files.reads) <= 2 * MAX_LOOKED_AT_IN_ALL


def test_other_verdicts_are_other_work_and_the_reason_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So no version of packs or of prepared pictures need be raised with the verdicts."""
    place, plain = write(tmp_path / "twins", 6, matte, ".png"), images.fill(tmp_path / "plain", 6)
    for source in (place, plain):
        prepare_pack(source, tmp_path / "out" / source.name, PrepareSettings(size_px=8))
    before = open_source(place).listing_sha256(), open_source(plain).listing_sha256()
    monkeypatch.setattr("mitlgan.data.sources.mask_pairs.match_twin_masks", lambda *_: {})
    assert open_source(place).listing_sha256() != before[0]
    assert open_source(plain).listing_sha256() == before[1]
    assert len(prepare_pack(plain, tmp_path / "out" / "plain", PrepareSettings(size_px=8))) == 6
    with pytest.raises(UsageError, match="or are taken otherwise by this version"):
        prepare_pack(place, tmp_path / "out" / "twins", PrepareSettings(size_px=8))
