"""Photographs with names of masks stay, masks with other names than known ones are left out or said, and sets of drawings are not mentioned."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from mitlgan.data.decode.image_file import ImageHeader, parse_header
from mitlgan.data.sources.mask_pairs import MaskSearch, search_masks

COUNT, SIDE_PX = 8, 64
COLORS = np.random.default_rng(7).integers(0, 256, (12, 3)).astype(np.uint8)
Make = Callable[[int], Image.Image]


def noise(seed: int) -> Image.Image:
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8))
    return small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)


def other(seed: int) -> Image.Image:
    return noise(seed + 500)


def blurred(seed: int) -> Image.Image:
    return noise(seed).filter(ImageFilter.GaussianBlur(3))


def on_white(seed: int) -> Image.Image:
    """A thing in many colours on white, as of a shop."""
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    picture.paste(other(seed).resize((20 + seed % 8, 24)), (18, 20))
    return picture


def regions(seed: int, count: int = 2) -> np.ndarray:
    y, x = np.indices((SIDE_PX, SIDE_PX))
    numbers = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    for index in range(count):
        numbers[np.hypot(x - 14 - 5 * (seed % 5) - 9 * index, y - 20 - 13 * index) < 14] = 1 + (seed + index) % 3
    return numbers


def hard(seed: int) -> Image.Image:
    return Image.fromarray(np.where(regions(seed) > 0, 255, 0).astype(np.uint8))


def soft(seed: int) -> Image.Image:
    return hard(seed).filter(ImageFilter.GaussianBlur(4))


def hairy(seed: int) -> Image.Image:
    """A soft matte with noise along its edge, as of hair."""
    levels = np.asarray(soft(seed)).astype(float)
    edge = (levels > 10) & (levels < 245)
    return Image.fromarray((levels + edge * np.random.default_rng(seed).normal(0, 40, levels.shape)).clip(0, 255).astype(np.uint8))


def colored(seed: int) -> Image.Image:
    return Image.fromarray(COLORS[regions(seed)])


def large_colored(seed: int) -> Image.Image:
    return colored(seed).resize((4 * SIDE_PX, 4 * SIDE_PX), Image.Resampling.BICUBIC)


def objects(seed: int) -> Image.Image:
    """Each object in a colour of its own."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 3)).astype(np.uint8)[regions(seed)])


def cells(seed: int) -> Image.Image:
    """Many small objects on black, each in a colour of its own."""
    return _scattered(seed, 120, 2)


def few_cells(seed: int) -> Image.Image:
    return _scattered(seed, 30, 4)


def _scattered(seed: int, count: int, radius: int) -> Image.Image:
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (2 * SIDE_PX, 2 * SIDE_PX))
    for _ in range(count):
        x, y = (int(at) for at in random.integers(0, 2 * SIDE_PX, 2))
        color = [int(level) for level in random.integers(40, 256, 3)]
        ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(color))
    return picture


def mosaic(seed: int) -> Image.Image:
    """Many even regions without a ground, each in a colour of its own."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3)).astype(np.uint8)).resize((144, 144), Image.Resampling.NEAREST)


def heat(seed: int) -> Image.Image:
    levels = np.asarray(soft(seed)) / 255
    return Image.fromarray((np.stack([np.clip(1.5 - abs(4 * levels - peak), 0, 1) for peak in (3, 2, 1)], axis=-1) * 255).astype(np.uint8))


def coordinates(seed: int) -> Image.Image:
    """Positions on an object, as colours."""
    y, x = np.indices((SIDE_PX, SIDE_PX))
    return Image.fromarray((np.stack([np.full_like(x, 9), 3 * x, 3 * y], axis=-1) * (regions(seed) > 0)[..., None]).astype(np.uint8))


def soft_line(seed: int) -> Image.Image:
    picture = Image.new("RGB", (2 * SIDE_PX, 2 * SIDE_PX))
    ImageDraw.Draw(picture).line([(10, 5 * seed), (118, 110 - 3 * seed)], fill=(200, 40, 90), width=3)
    return picture.filter(ImageFilter.GaussianBlur(1.5))


def deep(seed: int) -> Image.Image:
    return Image.fromarray(regions(seed).astype(np.uint16) * 9001)


def numbers(seed: int) -> Image.Image:
    return Image.fromarray(regions(seed) + (regions(seed) > 0) * np.uint8(seed % 20))


def lines(seed: int) -> Image.Image:
    strokes = np.full((SIDE_PX, SIDE_PX), 255, np.uint8)
    strokes[8 + seed : 14 + seed, 6:50] = strokes[6:56, 10 + seed : 16 + seed] = 0
    return Image.fromarray(strokes)


@cache
def content(make: Make, seed: int, suffix: str) -> bytes:
    file = io.BytesIO()
    make(seed).save(
        file, {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "gif": "GIF", "tif": "TIFF"}[suffix], **({"quality": 85} if suffix == "jpg" else {})
    )
    return file.getvalue()


def fill(layout: dict[str, Make], count: int = COUNT) -> dict[str, bytes]:
    return {pattern.format(i=i): content(make, i, pattern[-3:]) for pattern, make in layout.items() for i in range(count)}


def search(files: dict[str, bytes], reads: Counter[str] | None = None) -> MaskSearch:
    def read(name: str) -> bytes:
        if reads is not None:
            reads[name] += 1
        return files[name]

    def header(name: str) -> ImageHeader:
        return parse_header(files[name], len(files[name]))

    return search_masks(sorted(files), read, header)


PHOTOGRAPHS: dict[str, tuple[dict[str, Make], str]] = {
    "restoration": ({"input/{i}.png": blurred, "gt/{i}.png": noise}, "gt"),
    "restoration by split": ({"train/input/{i}.png": blurred, "train/gt/{i}.png": noise, "val/input/{i}.png": other, "val/gt/{i}.png": other}, "gt"),
    "restoration in one folder": ({"{i}_img.png": blurred, "{i}_gt.png": noise}, "_gt"),
    "lipsticks": ({"lip{i}.jpg": noise, "lip{i}_matte.jpg": other}, "_matte"),
    "cars": ({"car{i}.jpg": noise, "car{i}_gt.jpg": other}, "_gt"),
    "labels": ({"images/{i}.jpg": noise, "labels/{i}.jpg": other}, "labels"),
    "labels on white": ({"images/{i}.png": noise, "labels/{i}.png": on_white}, "labels"),
    "bicycles": ({"images/{i}.jpg": noise, "seg/{i}.jpg": other}, "seg"),
    "annotations": ({"images/{i}.jpg": noise, "annotations/{i}.jpg": noise}, "annotations"),
}


@pytest.mark.parametrize(("layout", "word"), PHOTOGRAPHS.values(), ids=PHOTOGRAPHS)
@pytest.mark.parametrize("count", [1, COUNT])
def test_photographs_with_the_names_of_masks_stay_and_are_said(layout: dict[str, Make], word: str, count: int) -> None:
    files = fill(layout, count)
    result = search(files)
    assert (dict(result.masks), result.doubtful) == ({}, tuple(sorted(name for name in files if word in name)))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("make", [hard, soft, hairy, colored, large_colored, objects, deep, numbers])
@pytest.mark.parametrize("pattern", ["labels/{i}", "images/{i}_mask", "masks/{i}"])
def test_masks_of_all_kinds_are_left_out_by_such_names(pattern: str, make: Make, suffix: str) -> None:
    if suffix == "jpg" and make in (deep, objects):
        pytest.skip("not of that format, or not the same colours")
    masks = fill({f"{pattern}.{suffix}": make})
    assert search({**fill({"images/{i}.jpg": noise}), **masks}).masks.keys() == masks.keys()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("make", [cells, few_cells, mosaic, heat, coordinates, soft_line])
@pytest.mark.parametrize("pattern", ["gt/{i}", "images/{i}_gt", "masks/{i}"])
def test_masks_in_colours_of_their_own_are_no_photographs(pattern: str, make: Make, suffix: str) -> None:
    if suffix == "jpg" and make is mosaic:
        pytest.skip("noise all over it")
    masks = fill({f"{pattern}.{suffix}": make})
    assert search({**fill({"images/{i}.jpg": noise}), **masks}).masks.keys() == masks.keys()


def test_a_few_dense_masks_among_ordinary_ones_are_no_photographs() -> None:
    masks = fill({"masks/{i}.png": lambda seed: cells(seed) if seed % 3 == 0 else objects(seed)})
    assert search({**fill({"images/{i}.png": noise}), **masks}).masks.keys() == masks.keys()


@pytest.mark.parametrize(
    ("is_photograph", "stay"), [(lambda i: i == 0, {0}), (lambda i: i % 5 > 0, set(range(100))), (lambda _: True, set(range(100)))]
)
def test_of_very_many_named_masks_a_sample_decides(is_photograph: Callable[[int], bool], stay: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitlgan.data.sources.named_masks.MAX_JUDGED", 90)
    reads = Counter[str]()
    masks = {f"masks/{i:02}.png": content(other if is_photograph(i) else hard, i % COUNT, "png") for i in range(100)}
    result = search({**{f"images/{i:02}.jpg": content(noise, i % COUNT, "jpg") for i in range(100)}, **masks}, reads)
    assert {*masks} - {*result.masks} == {f"masks/{i:02}.png" for i in stay}
    assert sum(name.startswith("masks/") for name in reads) <= 72


def test_photographs_among_named_masks_stay_one_by_one() -> None:
    files = {**fill({"images/{i}.jpg": noise, "gt/{i}.png": hard}), "gt/3.png": content(other, 3, "png"), "gt/7.png": content(other, 7, "png")}
    result = search(files)
    assert result.doubtful == ("gt/3.png", "gt/7.png")
    assert len(result.masks) == COUNT - 2


def test_files_called_as_mattes_are_mattes_whatever_they_show() -> None:
    mattes = fill({"{i}.matte.png": other})
    assert search({**fill({"{i}.png": noise}), **mattes}).masks.keys() == mattes.keys()


LEFT_OUT: dict[str, tuple[dict[str, Make], dict[str, Make]]] = {
    "OneTrainer": ({"cat{i}.jpg": noise}, {"cat{i}-masklabel.png": hard}),
    "a joined word": ({"cat{i}.jpg": noise}, {"cat{i}_binmask.png": hard}),
    "a joined word before": ({"IMG{i}.jpg": noise}, {"maskIMG{i}.png": hard}),
    "folders of joined words": ({"images/{i}.jpg": noise}, {"trainmasks/{i}.png": hard}),
    "a joined folder": ({"img/{i}.jpg": noise}, {"imagemasks/{i}.png": hard}),
    "two folders each": ({"png_images/IMAGES/img_{i:04d}.png": noise}, {"png_masks/MASKS/seg_{i:04d}.png": numbers}),
    "VITON-HD": (
        {"image/{i:05d}_00.jpg": noise, "cloth/{i:05d}_00.jpg": on_white},
        {"image-parse-v3/{i:05d}_00.png": colored, "image-parse-agnostic-v3.2/{i:05d}_00.png": colored},
    ),
    "iSAID": ({"images/P{i:04d}.png": noise}, {"Semantic_masks/images/P{i:04d}_instance_color_RGB.png": colored}),
    "A2D2": ({"camera/front/2018_camera_frontcenter_{i:09d}.png": noise}, {"label/front/2018_label_frontcenter_{i:09d}.png": colored}),
    "DressCode": ({"images/{i:06d}_0.jpg": noise, "images/{i:06d}_1.jpg": on_white}, {"label_maps/{i:06d}_4.png": colored}),
    "GlaS": ({"train_{i}.bmp": noise}, {"train_{i}_anno.bmp": numbers}),
    "CIHP": ({"Images/{i:07d}.jpg": noise}, {"Category_ids/{i:07d}.png": numbers, "Human_ids/{i:07d}.png": numbers}),
    "DeepCrack": ({"train_img/a{i}-1.jpg": noise}, {"train_lab/a{i}-1.png": hard}),
    "DRIVE": ({"images/{i:02d}_training.tif": noise}, {"1st_manual/{i:02d}_manual1.gif": hard}),
    "CHASE": ({"Image_{i:02d}L.jpg": noise}, {"Image_{i:02d}L_1stHO.png": hard, "Image_{i:02d}L_2ndHO.png": hard}),
    "ann": ({"img/{i}.jpg": noise}, {"ann/{i}.png": hard}),
    "lbl": ({"img/{i}.jpg": noise}, {"lbl/{i}.png": hard}),
    "parse": ({"img/{i}.jpg": noise}, {"parse/{i}.png": colored}),
    "masks of each class": ({"cats/{i}.jpg": noise, "dogs/{i}.jpg": other}, {"cats_mask/{i}.png": hard, "dogs_mask/{i}.png": hard}),
}


@pytest.mark.parametrize(("pictures", "masks"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_masks_of_more_layouts_are_left_out(pictures: dict[str, Make], masks: dict[str, Make]) -> None:
    others = fill(masks)
    result = search({**fill(pictures), **others})
    assert result.masks.keys() == others.keys()
    assert not result.unnamed


@pytest.mark.parametrize("layout", [layout for layout, _ in LEFT_OUT.values()], ids=LEFT_OUT)
def test_photographs_of_these_layouts_stay(layout: dict[str, Make]) -> None:
    result = search(fill(layout))
    assert (dict(result.masks), result.doubtful, result.unnamed) == ({}, (), [])


@pytest.mark.parametrize(("pictures", "masks"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_photographs_with_these_names_stay(pictures: dict[str, Make], masks: dict[str, Make]) -> None:
    assert not search({**fill(pictures), **fill(dict.fromkeys(masks, other))}).masks


def test_masks_most_of_which_are_blank_are_left_out() -> None:
    blank = content(lambda _: Image.new("L", (SIDE_PX, SIDE_PX)), 0, "png")
    masks = {f"mask/{i}.png": content(hard, i, "png") if i == 7 else blank for i in range(64)}
    assert search({**fill({"pics/{i}.jpg": noise}, 64), **masks}).masks.keys() == masks.keys()


OTHER_WORDS = ["damask", "maskot", "maskulin", "maskerade", "labello", "labelmaker", "unmask", "watermask"]
VAGUE_WORDS = ["manual", "lab", "ids", "ann", "parse", "lbl", "maske", "masque"]


@pytest.mark.parametrize("word", [*OTHER_WORDS, *VAGUE_WORDS])
@pytest.mark.parametrize("picture", ["photo/{i}.jpg", "leopard/{i}.jpg", "images/leopard/{i}.jpg"])
def test_a_class_of_flat_drawings_stays_and_is_said(picture: str, word: str) -> None:
    drawings = fill({picture.rpartition("/")[0].replace("photo", word).replace("leopard", word) + "/{i}.png": hard})
    result = search({**fill({picture: noise}), **drawings})
    assert not result.masks
    assert {*result.doubtful, *(name for group in result.unnamed for name in group)} == drawings.keys()


@pytest.mark.parametrize("pattern", ["damask_{i}", "maskot{i}", "labelle_{i}", "maskulin-{i}"])
@pytest.mark.parametrize("picture", ["leopard_{i}.jpg", "{i}.jpg"])
def test_flat_drawings_with_words_that_only_contain_one_for_masks_stay(pattern: str, picture: str) -> None:
    assert not search(fill({picture: noise, f"{pattern}.png": hard})).masks


SAID: dict[str, tuple[dict[str, Make], dict[str, Make]]] = {
    "no word": ({"sat/{i}.png": noise}, {"map/{i}.png": hard}),
    "other names": ({"sat/{i}.png": noise}, {"map/x{i}y.png": hard}),
    "a letter": ({"M-33_{i}.jpg": noise}, {"M-33_{i}_m.png": numbers}),
    "a number": ({"a_{i}.png": noise}, {"a_{i}_1.png": hard}),
    "foregrounds": ({"plant{i}_rgb.png": noise}, {"plant{i}_fg.png": hard}),
    "ADE20K": ({"ADE_{i:04d}.jpg": noise}, {"ADE_{i:04d}_parts_1.png": colored, "ADE_{i:04d}/instance_000_ADE_{i:04d}.png": hard}),
    "GrabCut": ({"data_GT/a{i}.jpg": noise}, {"boundary_GT/a{i}.bmp": hard, "boundary_GT_lasso/a{i}.bmp": hard}),
    "figures": ({"rgb/a{i}.jpg": noise}, {"figure_ground/a{i}.png": hard}),
    "of a program": ({"images/cat{i}.jpg": noise}, {"output/cat{i}/0.png": hard, "output/cat{i}/1.png": hard}),
    "of grey pictures": ({"xray/{i}.png": lambda seed: noise(seed).convert("L")}, {"lungs/{i}.png": hard}),
}


@pytest.mark.parametrize(("pictures", "masks"), SAID.values(), ids=SAID)
def test_what_looks_like_masks_stays_and_is_said(pictures: dict[str, Make], masks: dict[str, Make]) -> None:
    others = fill(masks)
    result = search({**fill(pictures), **others})
    assert (dict(result.masks), result.doubtful) == ({}, ())
    assert sorted(name for group in result.unnamed for name in group) == sorted(others)
    (line,) = result.describe_doubtful()
    assert line.startswith(f"{len(others)} files look like masks of other pictures, flat and in the same few levels (")


NOT_SAID: dict[str, dict[str, Make]] = {
    "drawings": {"cats/{i}.png": lines, "dogs/{i}.png": lines},
    "icons": {"icons/{i}.png": hard, "logos/{i}.png": colored},
    "silhouettes of several classes": {"a/{i}.png": hard, "b/{i}.png": hard, "c/{i}.png": hard},
    "photographs": {"cats/{i}.jpg": noise, "dogs/{i}.jpg": other},
    "goods on white": {"cats/{i}.png": noise, "hats/{i}.png": on_white},
    "icons of another size": {"cats/{i}.jpg": noise, "icons/{i}.png": lambda seed: hard(seed).resize((32, 32))},
    "cut-outs": {"cats/{i}.jpg": noise, "cut/{i}.png": lambda seed: Image.merge("RGBA", [*noise(seed).split(), hard(seed)])},
    "clip arts in colours of their own": {"cats/{i}.jpg": noise, "art/{i}.png": objects},
}


@pytest.mark.parametrize("layout", NOT_SAID.values(), ids=NOT_SAID)
def test_ordinary_sets_are_not_mentioned(layout: dict[str, Make]) -> None:
    result = search(fill(layout))
    assert (dict(result.masks), result.describe_doubtful()) == ({}, [])


@pytest.mark.parametrize("layout", [{"{i}.jpg": noise}, {"a/{i}.jpg": noise, "b/{i}.jpg": other}, {"images/{i}.jpg": noise, "masks/{i}.png": hard}])
def test_of_many_files_few_are_read(layout: dict[str, Make]) -> None:
    reads = Counter[str]()
    files = {pattern.format(i=i): content(make, i % COUNT, pattern[-3:]) for pattern, make in layout.items() for i in range(600)}
    search(files, reads)
    assert sum(reads.values()) <= 16
