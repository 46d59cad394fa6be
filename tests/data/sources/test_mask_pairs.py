"""Files that may be masks by their names are told from pictures by their pixels, in all the layouts in which sets are shipped."""

from __future__ import annotations

import io
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitlgan.data.decode.image_file import ImageHeader, UnreadableImageError, parse_header
from mitlgan.data.sources.image_source import open_source
from mitlgan.data.sources.mask_candidates import find_candidates
from mitlgan.data.sources.mask_pairs import MAX_LOOKED_AT, MAX_LOOKED_AT_ACROSS, MaskSearch, search_masks

COUNT = 6
SIZE = (40, 32)
LAYOUTS = {
    "other pictures": (["data/{i}.png"], ["mask/{i}.png"]),
    "frames": (["frames/{i}.png"], ["masks/{i}.png"]),
    "sources": (["source/{i}.png"], ["masks/{i}.png"]),
    "AIM-500": (["original/o_{i}.jpg"], ["mask/o_{i}.png", "trimap/o_{i}.png"]),
    "AM-2k": (["train/original/m_{i}.jpg", "validation/original/v_{i}.jpg"], ["train/mask/m_{i}.png", "validation/trimap/v_{i}.png"]),
    "P3M": (["train/blurred_image/p_{i}.jpg"], ["train/mask/p_{i}.png"]),
    "Composition-1k": (["train/fg/{i}.jpg", "train/bg/{i}.jpg"], ["train/alpha/{i}.png"]),
    "DIS5K": (["DIS-TR/im/{i}.jpg"], ["DIS-TR/gt/{i}.png"]),
    "VideoMatte": (["fgr/0000/{i:04d}.jpg"], ["pha/0000/{i:04d}.jpg"]),
    "KITTI": (["training/image_2/00{i}_10.png"], ["training/semantic/00{i}_10.png", "training/instance/00{i}_10.png"]),
    "CamVid": (["701_StillsRaw_full/{i:04d}.png"], ["LabeledApproved_full/{i:04d}_L.png"]),
    "nnU-Net": (["imagesTr/{i:03d}_0000.png"], ["labelsTr/{i:03d}.png"]),
    "folders of masks within": (["images/{i}.png"], ["labels/pixel_level_labels_colored/{i}.png"]),
    "Mapillary": (["training/images/{i}.jpg"], ["training/v2.0/labels/{i}.png", "training/v2.0/instances/{i}.png"]),
    "a folder per picture": (["{i}/image.png"], ["{i}/mask.png"]),
    "labelme": (["{i}_json/img.png"], ["{i}_json/label.png"]),
    "DSB-2018": (["stage1/{i}/images/{i}.png"], ["stage1/{i}/masks/{i}a.png", "stage1/{i}/masks/f{i}.png"]),
    "a folder of masks per picture": (["{i}.jpg"], ["{i}_masks/0.png", "{i}_masks/1.png"]),
    "a folder called as a picture's number": (["frames_4/{i}.png"], ["masks_4/{i}.png"]),
    "such a folder by name": (["cat{i}x.jpg"], ["cat{i}x_masks/0.png"]),
    "a word before": (["{i:03d}.jpg"], ["mask_{i:03d}.png"]),
    "a word between": (["cat_image_{i}.jpg"], ["cat_mask_{i}.png"]),
    "words before": (["images/img_{i}.jpg"], ["masks/mask_{i}.png"]),
    "words without a separator": (["image{i}.jpg"], ["mask{i}.png"]),
    "a letter before": (["image/{i:03d}.jpg"], ["alpha/a_{i:03d}.png"]),
    "beside in another folder": (["pictures/{i}.jpg"], ["out/{i}_mask.png"]),
    "next to depth": (["color/{i}.png", "depth/{i}.png"], ["mask/{i}.png"]),
    "next to splits": (["train/{i}.png", "test/{i}.png"], ["gt/{i}.png"]),
}
CLASSES = {
    "and its contrary": ["mask/{i}.png", "no_mask/{i}.png", "incorrect/{i}.png"],
    "among others": ["hats/{i}.png", "mask/{i}.png", "shoes/{i}.png"],
    "by split": [f"{split}/{name}/{{i}}.png" for split in ("train", "test") for name in ("hats", "cans", "label", "gt")],
    "of pictures' words": ["source/{i}.png", "fg/{i}.png", "data/{i}.png", "bg/{i}.png"],
    "of both": ["with_mask/{i}.png", "without_mask/{i}.png"],
    "of other names": ["hats/x{i}a.png", "mask/m.png", "mask/n.png"],
}
Make = Callable[[int, str], bytes]


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG" if suffix == "jpg" else "PNG")
    return file.getvalue()


@cache
def photo(seed: int, suffix: str = "png", mode: str = "RGB", size: tuple[int, int] = SIZE) -> bytes:
    noise = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8))
    return encoded(np.asarray(noise.resize(size, Image.Resampling.BICUBIC).convert(mode)), suffix)


@cache
def mask(seed: int, suffix: str = "png", softness_px: float = 0.0) -> bytes:
    y, x = np.indices(SIZE[::-1])
    distance = 9 - np.hypot(x - 16 - seed % 9, y - 16)
    return encoded((255 * (distance / softness_px + 0.5).clip(0, 1) if softness_px else 255 * (distance > 0)).astype(np.uint8), suffix)


def fill(patterns: list[str], make: Make = photo, count: int = COUNT) -> dict[str, bytes]:
    names = [pattern.format(i=i) for pattern in patterns for i in range(count)]
    return {name: make(number, name[-3:]) for number, name in enumerate(names)}


def search(files: dict[str, bytes], reads: Counter[str] | None = None, order: int | None = None) -> MaskSearch:
    def read(name: str) -> bytes:
        if reads is not None:
            reads[name] += 1
        if not files[name]:
            raise UnreadableImageError("damaged")
        return files[name]

    def header(name: str) -> ImageHeader:
        return parse_header(files[name], len(files[name]))

    names = sorted(files)
    return search_masks(names if order is None else random.Random(order).sample(names, len(names)), read, header)


@pytest.mark.parametrize(("pictures", "masks"), LAYOUTS.values(), ids=LAYOUTS)
def test_masks_are_left_out_and_all_pictures_stay(pictures: list[str], masks: list[str]) -> None:
    others = fill(masks, mask)
    result = search({**fill(pictures), **others})
    assert sorted(result.masks) == sorted(others)
    assert not result.doubtful


@pytest.mark.parametrize(("pictures", "masks"), LAYOUTS.values(), ids=LAYOUTS)
def test_photographs_of_such_names_stay(pictures: list[str], masks: list[str]) -> None:
    assert not search({**fill(pictures), **fill(masks, lambda seed, suffix: photo(seed + 500, suffix))}).masks


@pytest.mark.parametrize("patterns", CLASSES.values(), ids=CLASSES)
def test_classes_that_are_called_so_stay_without_a_word(patterns: list[str]) -> None:
    result = search(fill(patterns))
    assert (dict(result.masks), result.doubtful) == ({}, ())


MIXED = {
    "in part": {f"mask/{i}.png": photo(90 + i) for i in (1, 4, 5, 9)},
    "in another format": {f"mask/{i}.jpg": photo(90 + i, "jpg") for i in (1, 4)},
    "grey": {f"mask/{i}.png": photo(90 + i, mode="L") for i in (1, 4, 5)},
}


@pytest.mark.parametrize("strays", MIXED.values(), ids=MIXED)
def test_a_folder_of_masks_and_photographs_stays_in_doubt_as_a_whole(strays: dict[str, bytes]) -> None:
    files = {**fill(["mask/{i}.png"], mask, 12), **strays}
    result = search({**fill(["data/{i}.jpg"], count=12), **files})
    assert (dict(result.masks), result.doubtful) == ({}, tuple(sorted(files)))


def test_soft_mattes_are_masks_among_hard_ones_and_in_doubt_alone() -> None:
    pictures, soft = fill(["fg/{i}.jpg"], count=8), fill(["alpha/{i}.png"], lambda seed, _: mask(seed, softness_px=12.0), 8)
    assert search({**pictures, **soft}).doubtful == tuple(sorted(soft))
    assert set(search({**pictures, **soft, **fill(["alpha/{i}.png"], mask, 5)}).masks) == soft.keys()


def clip_art(seed: int, _: str) -> bytes:
    """Two squares in colours of its own."""
    colors = np.random.default_rng(seed).integers(1, 256, (3, 3)).astype(np.uint8)
    pixels = np.broadcast_to(colors[0], (*SIZE[::-1], 3)).copy()
    pixels[4:16, 5:20], pixels[18:30, 10:36] = colors[1], colors[2]
    return encoded(pixels, "png")


@pytest.mark.parametrize("make", [lambda seed, _: photo(seed, mode="L"), lambda seed, _: photo(seed, size=(20, 48)), clip_art])
def test_grey_photographs_others_and_clip_arts_are_no_masks(make: Make) -> None:
    assert not search({**fill(["hats/{i}.jpg"]), **fill(["mask/{i}.png"], make)}).masks


STRAYS = {
    "a cover": (["cover.png"], ["masks/{i}.png"]),
    "a cover of another size": (["wide.png"], ["masks/{i}.png"]),
    "a picture of their prefix": (["icon.png"], ["labelled/icon_{i}.png"]),
    "two of their prefixes": (["icon.png", "logo.png"], ["labelled/icon_{i}.png", "labelled/logo_{i}.png"]),
    "covers of their size": (["ale.png", "rum.png", "gin.png"], ["ale_labels/{i}.png", "rum_labels/{i}.png", "gin_labels/{i}.png"]),
    "a cover in each of two folders": (["a/cover.png", "b/cover.png"], ["a/masks/{i}.png", "b/masks/{i}.png"]),
}


@pytest.mark.parametrize(("pictures", "icons"), STRAYS.values(), ids=STRAYS)
def test_icons_are_no_masks_of_one_stray_picture(pictures: list[str], icons: list[str]) -> None:
    strays = {name: photo(number, size=(80, 64) if "wide" in name else SIZE) for number, name in enumerate(pictures)}
    result = search({**strays, **fill(icons, mask)})
    assert (dict(result.masks), bool(result.doubtful)) == ({}, "wide" not in pictures[0])


@pytest.mark.parametrize("patterns", [["hats/{i}.png", "shoes/{i}.png"], ["hats/{i}.png", "shoes/{i}.jpg", "coats/{i}.png"]])
def test_icons_of_the_names_of_several_classes_stay_in_doubt(patterns: list[str]) -> None:
    icons = fill(["mask/{i}.png"], mask)
    result = search({**fill(patterns), **icons})
    assert (dict(result.masks), result.doubtful) == ({}, tuple(sorted(icons)))


def letter(width: int, suffix: str = "png", softness_px: float = 0.0) -> bytes:
    """An upright stroke, which looks as even as a mask from 7 px on."""
    distance = width / 2 - np.abs(np.indices(SIZE[::-1])[1] - 12 - width / 2 + 0.5)
    return encoded((255 * (1 - (distance / (softness_px or 1e-6) + 0.5).clip(0, 1))).astype(np.uint8), suffix)


@pytest.mark.parametrize("folders", [["alpha/{i}", "beta/{i}"], ["alpha_{i}", "beta_{i}"], ["alpha/{i}", "beta/{i}", "gamma/{i}"]])
@pytest.mark.parametrize("kind", ["png", "jpg", "soft"])
def test_a_class_of_letters_stays_as_a_whole(folders: list[str], kind: str) -> None:
    suffix = "png" if kind == "soft" else kind
    alpha, *others = (fill([f"{folder}.{suffix}"], lambda seed, _: letter(7 + seed % 2, suffix), 12) for folder in folders)
    for number, name in enumerate(name for other in others for name in other):
        others[0][name] = letter((3, 4, 5, 9)[number % 4], suffix, 6.0 if kind == "soft" and number % 2 else 0.0)
    result = search({**alpha, **{name: content for other in others for name, content in other.items()}, **others[0]})
    assert not result.masks


@pytest.mark.parametrize("make", ["dark", "small on white"])
def test_masks_of_photographs_of_few_levels_are_left_out(make: str) -> None:
    def picture(seed: int, _: str) -> bytes:
        noise = np.random.default_rng(seed).normal(0, 6, SIZE[::-1])
        if make == "dark":
            return encoded((12 + noise).clip(0, 255).astype(np.uint8), "png")
        return encoded(np.pad((200 + noise).clip(0, 254).astype(np.uint8)[12:20, 12:22], ((12, 12), (14, 16)), constant_values=255), "png")

    masks = fill(["mask/{i}.png"], mask)
    assert set(search({**fill(["data/{i}.png"], picture), **masks}).masks) == masks.keys()


def test_the_order_of_the_files_decides_nothing() -> None:
    files = {**fill(["data/{i}.png", "more/{i}.png"], count=30), **fill(["mask/{i}.png"], mask, 30), "mask/7.png": photo(99)}
    results = []
    for order in range(3):
        reads = Counter[str]()
        result = search(files, reads, order)
        results.append((result.masks, result.doubtful, reads))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("patterns", [("mask/IMG_2024_{i}.jpg", "hat/IMG_2024_9{i}.jpg"), ("label_2024_{i}.jpg", "bottle_2024_9{i}.jpg")])
def test_names_are_matched_in_time_that_grows_as_their_number(patterns: tuple[str, str]) -> None:
    def count_calls(count: int) -> int:
        calls = 0

        def tick(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event == "c_call"

        names = [pattern.format(i=i) for pattern in patterns for i in range(count)]
        previous = sys.getprofile()
        sys.setprofile(tick)
        try:
            find_candidates(names, ())
        finally:
            sys.setprofile(previous)
        return calls

    assert count_calls(400) <= 2.5 * count_calls(200)


@pytest.mark.parametrize("count", [1, 2])
def test_few_grey_masks_are_enough(count: int) -> None:
    masks = fill(["mask/{i}.png"], mask, count)
    assert set(search({**fill(["data/{i}.png"], count=count), **masks}).masks) == masks.keys()


def test_a_damaged_or_an_empty_mask_hides_no_others() -> None:
    masks = {**fill(["mask/{i}.png"], mask), "mask/0.png": b"", "mask/3.png": encoded(np.zeros(SIZE[::-1], np.uint8), "png")}
    assert set(search({**fill(["data/{i}.png"]), **masks}).masks) == masks.keys()


def test_numbers_of_a_set_begin_at_0_too() -> None:
    """The zero of `0.png` is no zero before a number, so that one mask of 24 is not told by another rule than the others."""
    result = search({**fill(["images/{i}.png"]), **fill(["labels/colored_overlay/{i}.png"], lambda seed, _: photo(seed + 500))})
    assert len(result.doubtful) == COUNT


@pytest.mark.parametrize("pattern", ["mask/{i}.png", "{i}/mask.png"])
def test_of_many_few_are_looked_at(pattern: str) -> None:
    picture, one, reads = photo(1), mask(1), Counter[str]()
    names = [(f"data/{i}.png" if "/mask" not in pattern else f"{i}/image.png", pattern.format(i=i)) for i in range(500)]
    result = search({name: content for pair in names for name, content in zip(pair, (picture, one), strict=True)}, reads)
    assert len(result.masks) == 500
    assert sum(reads.values()) <= 2 * (MAX_LOOKED_AT if "/mask" not in pattern else MAX_LOOKED_AT_ACROSS)


def test_folder_archive_and_list_say_the_same(tmp_path: Path) -> None:
    files = {**fill(["train/data/{i}.png", "test/data/{i}.png"], count=3), **fill(["train/mask/{i}.png", "test/mask/{i}.png"], mask, 3)}
    for name, content in files.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    archives = [shutil.make_archive(str(tmp_path / "set"), form, tmp_path / "set") for form in ("zip", "gztar")]
    for spec in (tmp_path / "set", *archives):
        source = open_source(spec)
        assert sorted(entry.name for entry in source.entries) == sorted(name for name in files if "data" in name)
        assert [line[:31] for line in source.leftovers.describe(include_counts=False)] == ["6 masks of other pictures left "]
    (tmp_path / "set" / "list.txt").write_text("\n".join(files))
    source = open_source(tmp_path / "set" / "list.txt")
    (line,) = source.leftovers.describe()
    assert len(source.entries) == 12
    assert line.startswith("6 lines of the list seem to name masks of another picture (test/mask/0.png, ")
    (tmp_path / "set" / "list.txt").write_text("\n".join(name for name in files if "data" in name))
    assert open_source(tmp_path / "set" / "list.txt").leftovers.describe() == []


def test_what_stays_in_doubt_is_said_once(tmp_path: Path) -> None:
    for name, content in {**fill(["hats/{i}.png"]), **fill(["mask/{i}.png"], lambda seed, _: photo(seed + 500))}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    source = open_source(tmp_path)
    (line,) = source.leftovers.remarks
    assert len(source.entries) == 2 * COUNT
    assert line.startswith(
        "6 files have the names of masks of another picture, but may be pictures of their own (mask/0.png, mask/1.png, mask/2.png, ...)"
    )
    assert "--exclude of data prepare or data split (files of all splits are counted, and excluded ones)" in line


FLAT_CLASSES = {
    "in a split": ({"train/cat/{i}.png": 12, "train/dog/{i}.png": 12}, "train/label/{i}.png"),
    "in a folder called as one of pictures": ({"images/cat/{i}.png": 12, "images/dog/{i}.png": 12}, "images/mask/{i}.png"),
    "next to a smaller class": ({"cat/{i}.png": 12, "dog/{i}.png": 4}, "label/{i}.png"),
    "next to its contrary": ({"no_mask/{i}.png": 12}, "mask/{i}.png"),
    "next to its contrary in one word": ({"train/unlabeled/{i}.png": 12}, "train/labeled/{i}.png"),
    "next to its contrary, with names that say so, too": ({"nomask/nomask_{i}.png": 12}, "mask/mask_{i}.png"),
    "of DreamBooth": ({"class_images/{i}.png": 12}, "instance_images/{i}.png"),
    "of DreamBooth in one folder": ({"class_{i}.png": 12}, "instance_{i}.png"),
    "of DreamBooth by number": ({"regularization/{i}-3f2a.png": 12}, "instance/style ({i}).png"),
    "called as a cover": ({"wine.png": 1, "beer/{i}.png": 12}, "wine_labels/{i}.png"),
    "of a part of several": ({"intro/{i}.png": 12, "seg_02/{i}.png": 12}, "seg_01/{i}.png"),
}


@pytest.mark.parametrize(("others", "flat"), FLAT_CLASSES.values(), ids=FLAT_CLASSES)
def test_a_class_of_flat_pictures_stays(others: dict[str, int], flat: str) -> None:
    photos = {name: content for pattern, count in others.items() for name, content in fill([pattern], count=count).items()}
    assert not search({**photos, **fill([flat], mask, 12)}).masks


@pytest.mark.parametrize(("suffix", "numbers"), [("png", (3, 41, 77)), ("jpg", (41,))])
def test_few_photographs_in_a_large_folder_of_masks_keep_it(suffix: str, numbers: tuple[int, ...]) -> None:
    """Where the first bytes do not tell photographs, as in JPEG, more files are decoded."""
    files = {**fill([f"labels/{{i}}.{suffix}"], mask, 90), **{f"labels/{number}.{suffix}": photo(500 + number, suffix) for number in numbers}}
    result = search({**fill(["frames/{i}.png"], count=90), **files})
    assert (dict(result.masks), result.doubtful) == ({}, tuple(sorted(files)))


def test_a_mask_of_another_form_than_all_others_is_no_photograph() -> None:
    masks = {
        **fill(["labels/{i}.png"], mask, 40),
        "labels/5.png": encoded(np.indices(SIZE[::-1])[1][..., None].repeat(3, -1).astype(np.uint8) // 21, "png"),
    }
    assert search({**fill(["frames/{i}.png"], count=40), **masks}).masks.keys() == masks.keys()
