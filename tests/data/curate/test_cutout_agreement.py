"""Copies of a cut-out are found, and other objects of its outline and colour are not taken for it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mitlgan.data.curate.check import check_datasets
from mitlgan.data.curate.cutout_agreement import do_cutouts_agree, reduce_cutout
from mitlgan.data.curate.perceptual_hash import find_near_pairs, hash_picture


def garment(seed: int, *, narrower: int = 0, colour: tuple[int, int, int] = (235, 220, 200)) -> Image.Image:
    """A cut-out whose outline is that of the others, with folds of its own."""
    coarse = np.random.default_rng(seed).integers(-40, 41, (19, 19, 1))
    pixels = np.clip(np.array(colour) + coarse, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels).resize((128, 128), Image.Resampling.BICUBIC)
    matte = Image.new("L", (128, 128))
    ImageDraw.Draw(matte).polygon([(20, 14), (70, 20), (110 - narrower, 60), (90, 116), (40, 100), (30 + narrower, 60)], fill=255)
    picture.putalpha(matte)
    return picture


def as_jpeg(picture: Image.Image) -> Image.Image:
    """As JPEG of quality 75, with the same matte."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=75)
    again = Image.open(file).convert("RGB")
    again.putalpha(picture.getchannel("A"))
    return again


def softened(picture: Image.Image) -> Image.Image:
    return picture.resize((100, 100), Image.Resampling.BICUBIC).resize((128, 128), Image.Resampling.BICUBIC)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda picture: picture,
    "half the size": lambda picture: picture.resize((64, 64), Image.Resampling.LANCZOS),
    "a third": lambda picture: picture.resize((43, 43), Image.Resampling.BOX),
    "larger": lambda picture: picture.resize((200, 200), Image.Resampling.BICUBIC),
    "softened": softened,
    "JPEG": as_jpeg,
}
OTHERS = {
    "another of its outline and colour": garment(2),
    "of its colour, and narrower": garment(2, narrower=20),
    "its folds, in another outline": garment(1, narrower=20),
    "its outline and folds, in another colour": garment(1, colour=(60, 55, 200)),
}


@pytest.mark.parametrize("made", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("seed", range(3))
def test_copies_agree(seed: int, made: Callable[[Image.Image], Image.Image]) -> None:
    first, second = garment(seed), made(garment(seed))
    assert do_cutouts_agree(reduce_cutout(first), reduce_cutout(second))
    assert find_near_pairs([hash_picture(first, "a"), hash_picture(second, "b")]) == [(0, 1)]


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_others_do_not_agree(other: Image.Image) -> None:
    assert not do_cutouts_agree(reduce_cutout(garment(1)), reduce_cutout(other))
    assert not do_cutouts_agree(reduce_cutout(other), reduce_cutout(garment(1)))


def test_what_is_all_but_transparent_is_left_to_the_hash() -> None:
    faint = Image.new("RGBA", (64, 64), (200, 0, 0, 60))
    assert do_cutouts_agree(reduce_cutout(faint), reduce_cutout(faint))


def test_check_accuses_no_garment_of_being_another(tmp_path: Path) -> None:
    """Their hashes are near, for on an empty ground the outline decides; a resized copy and an equal file are still found."""
    first, second = garment(1), garment(2)
    assert find_near_pairs([hash_picture(first, "a"), hash_picture(second, "b")]) == [(0, 1)]
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
