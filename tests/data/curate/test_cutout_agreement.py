"""Copies of a cut-out are found, and other objects of its outline and colour are not taken for it."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.images import garment
from PIL import Image, ImageDraw

from mitlgan.data.curate.check import check_datasets
from mitlgan.data.curate.cutout_agreement import MEASURED_PX, REDUCED_PX, Cutouts, reduce_cutout
from mitlgan.data.curate.perceptual_hash import find_near_pairs, hash_picture
from mitlgan.data.demo import archive


def as_jpeg(picture: Image.Image) -> Image.Image:
    """As JPEG of quality 75, with the same matte."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=75)
    again = Image.open(file).convert("RGB")
    again.putalpha(picture.getchannel("A"))
    return again


def softened(picture: Image.Image) -> Image.Image:
    return picture.resize((100, 100), Image.Resampling.BICUBIC).resize((128, 128), Image.Resampling.BICUBIC)


def cropped(share: float) -> Callable[[Image.Image], Image.Image]:
    def crop(picture: Image.Image) -> Image.Image:
        cut = round(share * picture.width)
        return picture.crop((cut, cut, picture.width - cut, picture.height - cut))

    return crop


def small(picture: Image.Image) -> Image.Image:
    """As `data check` measures it."""
    return picture.resize((MEASURED_PX, MEASURED_PX), Image.Resampling.BOX)


def glass(seed: int) -> Image.Image:
    """Half transparent, just above and below the middle."""
    picture = garment(seed)
    picture.putalpha(picture.getchannel("A").point(lambda value: value * (126 + seed % 5) // 255))
    return picture


def strokes(seed: int) -> Image.Image:
    """Thin lines of several colours."""
    picture, numbers = Image.new("RGBA", (256, 256)), np.random.default_rng(seed)
    draw = ImageDraw.Draw(picture)
    for _ in range(9):
        ends = [tuple(map(int, numbers.integers(24, 232, 2))) for _ in range(2)]
        draw.line(ends, fill=(*map(int, numbers.integers(0, 255, 3)), 255), width=int(numbers.integers(5, 12)))
    return picture.resize((128, 128), Image.Resampling.BOX)


def to_side(side: int) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: picture.convert("RGBa").resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")


KINDS: dict[str, Callable[[int], Image.Image]] = {"garments": garment, "glass": glass, "strokes": strokes}
COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda picture: picture,
    "half the size": to_side(64),
    "0.6 of the size": to_side(77),
    "as in a pack of 32 px": to_side(32),
    "a third": lambda picture: picture.resize((43, 43), Image.Resampling.BOX),
    "larger": lambda picture: picture.resize((200, 200), Image.Resampling.BICUBIC),
    "softened": softened,
    "JPEG": as_jpeg,
    "cropped by 2 % a side": cropped(0.02),
    "cropped by 4 % a side": cropped(0.04),
}
TOLD = [pair for pair in itertools.product(KINDS, COPIES) if pair != ("strokes", "JPEG")]
"""JPEG blends the colours of thin lines with those around them."""
OTHERS = {
    "another of its outline and colour": garment(2),
    "of its colour, and narrower": garment(2, narrower=20),
    "its folds, in another outline": garment(1, narrower=20),
    "its outline and folds, in another colour": garment(1, colour=(60, 55, 200)),
}


def find_copies(cutouts: dict[int, bytes], pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return list(itertools.compress(pairs, Cutouts(cutouts).may_be_copies(np.array(pairs, np.int64).reshape(-1, 2)).tolist()))


def may_be_copies(first: Image.Image, second: Image.Image) -> bool:
    pixels = {3: reduce_cutout(first), 8: reduce_cutout(second)}
    copies = find_copies(pixels, [(3, 8)])
    assert copies == find_copies({8: pixels[8], 3: pixels[3]}, [(3, 8)]), "the order does not count"
    return bool(copies)


@pytest.mark.parametrize(("kind", "made"), [pytest.param(KINDS[kind], COPIES[made], id=f"{kind}: {made}") for kind, made in TOLD])
def test_copies_are_told(kind: Callable[[int], Image.Image], made: Callable[[Image.Image], Image.Image]) -> None:
    """Measured as `data check` does it, whatever their sizes are; at least nine of ten."""
    pairs = [(small(kind(seed)), small(made(kind(seed)))) for seed in range(10)]
    assert sum(may_be_copies(*pair) for pair in pairs) >= 9


@pytest.mark.parametrize("made", [made for name, made in COPIES.items() if name != "cropped by 4 % a side"])
@pytest.mark.parametrize("seed", range(3))
def test_the_hash_of_a_copy_is_near(seed: int, made: Callable[[Image.Image], Image.Image]) -> None:
    assert find_near_pairs([hash_picture(garment(seed), "a"), hash_picture(made(garment(seed)), "b")]) == [(0, 1)]


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_others_are_no_copies(other: Image.Image) -> None:
    assert not may_be_copies(small(garment(1)), small(other))


def test_no_two_of_many_garments_of_one_outline_and_colour_are_copies() -> None:
    pixels = {seed: reduce_cutout(small(garment(seed))) for seed in range(20)}
    assert find_copies(pixels, list(itertools.combinations(range(20), 2))) == []


def test_of_thousands_of_pairs_each_is_judged_as_it_is_alone() -> None:
    """In more than one block, with pictures without transparency between them, which are left to the hash."""
    pixels = {2 * index: reduce_cutout(small(made(garment(seed)))) for index, (seed, made) in enumerate(itertools.product(range(6), COPIES.values()))}
    pairs = list(itertools.combinations(range(2 * len(pixels)), 2))
    assert len(pairs) > 4096
    copies = set(find_copies(pixels, pairs))
    assert copies == {pair for pair in pairs if find_copies({place: pixels[place] for place in pair if place in pixels}, [pair])}
    assert copies >= {pair for pair in pairs if pair[0] % 2 or pair[1] % 2}
    assert not any(one // (2 * len(COPIES)) != other // (2 * len(COPIES)) for one, other in copies if one % 2 == other % 2 == 0)
    assert find_copies({}, []) == []


REAL_COPIES = {
    "0.6 of the size": to_side(77),
    "as in a pack of 32 px": to_side(32),
    "cropped by 2 % a side": cropped(0.02),
    "cropped by 4 % a side": cropped(0.04),
}


@pytest.mark.parametrize("opacity", [255, 128], ids=["opaque", "glass"])
@pytest.mark.parametrize("made", REAL_COPIES.values(), ids=REAL_COPIES)
def test_every_copy_of_a_real_object_whose_hash_is_near_is_told(made: Callable[[Image.Image], Image.Image], opacity: int) -> None:
    """Of the demo's objects, the thinnest among them."""
    near = told = 0
    for _, _, picture in archive.read_pool(archive.FOREGROUNDS, 40):
        original = picture.convert("RGBA")
        original.putalpha(original.getchannel("A").point(lambda value: value * opacity // 255))
        hashes = [hash_picture(original, "a"), hash_picture(made(original), "b")]
        if find_near_pairs([replace(one, cutout=b"") for one in hashes]):
            near, told = near + 1, told + len(find_near_pairs(hashes))
    assert near >= 20
    assert told == near


def test_check_tells_that_objects_cropped_a_little_are_in_training_and_test(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    for number, (_, _, picture) in enumerate(archive.read_pool(archive.FOREGROUNDS, 12)):
        picture.convert("RGBA").save(tmp_path / "train" / f"{number}.png")
        cropped(0.02)(picture.convert("RGBA")).save(tmp_path / "test" / f"{number}.png")
    pairs = {(Path(pair.first).name, Path(pair.second).name) for pair in check_datasets([str(tmp_path)]).pairs if pair.first_set != pair.second_set}
    assert pairs >= {(f"{number}.png", f"{number}.png") for number in range(12)}


@pytest.mark.parametrize("shift", [(0, 0), (9, 0), (0, 14), (-5, -3), (23, 23)])
def test_where_an_object_is_in_its_frame_does_not_count(shift: tuple[int, int]) -> None:
    """In a frame of the size that is measured, for reducing blends pixels otherwise where they lie otherwise."""
    pictures = [Image.new("RGBA", (MEASURED_PX, MEASURED_PX)) for _ in range(2)]
    for picture, place in zip(pictures, [(12, 12), shift], strict=True):
        picture.paste(garment(1).resize((41, 41), Image.Resampling.BOX), place)
    first, second = (np.frombuffer(reduce_cutout(one), np.uint8).astype(int) for one in pictures)
    assert first.size == 4 * REDUCED_PX**2
    assert int(np.abs(first - second).max()) <= 1


@pytest.mark.parametrize("opacity", [1, 60])
def test_what_is_all_but_transparent_is_compared_as_well(opacity: int) -> None:
    faint, other = (Image.new("RGBA", (64, 64), (*colour, opacity)) for colour in ((200, 0, 0), (0, 0, 200)))
    assert may_be_copies(faint, faint)
    assert not may_be_copies(faint, other)


@pytest.mark.parametrize("opacity", [0, 250, 255])
def test_what_has_no_outline_is_left_to_the_hash(opacity: int) -> None:
    """Transparent everywhere, or opaque but for a little noise."""
    for mode in ("RGBA", "RGBa"):
        assert reduce_cutout(Image.new(mode, (64, 64), (0, 0, 0, opacity))) == b""
    assert reduce_cutout(garment(1).convert("RGB")) == b""


def test_a_square_tells_the_same_of_a_picture_as_its_file() -> None:
    """As `data prepare` has it, with premultiplied colours, at the sizes of packs."""
    for seed in range(4):
        assert hash_picture(garment(seed).convert("RGBa"), "") == hash_picture(garment(seed), "")
    for _, _, picture in archive.read_pool(archive.FOREGROUNDS, 40):
        assert hash_picture(picture.convert("RGBA").convert("RGBa"), "") == hash_picture(picture.convert("RGBA"), "")
    for seed in range(4):
        whole = np.frombuffer(reduce_cutout(garment(seed)), np.uint8).astype(int)
        for size in (64, 128, 256):
            square = garment(seed).convert("RGBa").resize((size, size), Image.Resampling.LANCZOS)
            assert np.abs(np.frombuffer(reduce_cutout(square), np.uint8) - whole).mean() < 2


def test_check_accuses_no_garment_of_being_another(tmp_path: Path) -> None:
    """Their hashes are near, for on an empty ground the outline decides; a resized copy and an equal file are still found."""
    first, second = garment(1), garment(2)
    hashes = [hash_picture(first, "a"), hash_picture(second, "b")]
    assert find_near_pairs([replace(one, cutout=b"") for one in hashes]) == [(0, 1)]
    assert find_near_pairs(hashes) == []
    for split, pictures in (("train", {"a": first}), ("test", {"b": second})):
        (tmp_path / "fg" / split).mkdir(parents=True)
        for name, picture in pictures.items():
            picture.save(tmp_path / "fg" / split / f"{name}.png")
    check = [str(tmp_path / "fg")]
    result = check_datasets(check)
    assert (result.pair_count, [text for text, _ in result.verdict if "leak" in text]) == (0, [])
    first.resize((100, 100)).save(tmp_path / "fg" / "test" / "small.png")
    between = f"{tmp_path}/fg/train and {tmp_path}/fg/test: "
    expected = f"{between}1 look-alike pair leaks from training into held-out pictures; measurements will flatter"
    assert any(text.startswith(expected) for text, _ in check_datasets(check).verdict)
    shutil.copy(tmp_path / "fg" / "train" / "a.png", tmp_path / "fg" / "test" / "copy.png")
    expected = f"{between}1 equal and 1 look-alike pairs leak from training into held-out pictures; measurements will flatter"
    assert any(text.startswith(expected) for text, _ in check_datasets(check).verdict)
