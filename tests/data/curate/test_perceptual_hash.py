"""Equal and nearly equal pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from helpers import images as pictures
from PIL import Image, ImageEnhance

from mitlgan.data.curate import perceptual_hash as signatures
from mitlgan.data.curate.cutout_agreement import reduce_cutout
from mitlgan.data.curate.perceptual_hash import (
    SQUARE,
    PictureHash,
    find_near_pairs,
    find_near_pictures,
    group_equal_files,
    hash_from_json,
    hash_looks,
    hash_picture,
    hashes_from_json,
    look_to_json,
)
from mitlgan.data.demo import archive


def looks(*images: Image.Image) -> list[PictureHash]:
    return [hash_picture(image, str(index)) for index, image in enumerate(images)]


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return archive.read_pool(archive.BACKGROUNDS, 1)[0][2].resize((300, 300), Image.Resampling.BICUBIC)


def variants(photo: Image.Image) -> dict[str, Image.Image]:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=30)
    return {
        "smaller": photo.resize((90, 90), Image.Resampling.LANCZOS),
        "recompressed": Image.open(buffer).convert("RGB"),
        "brighter": ImageEnhance.Brightness(photo).enhance(1.06),
        "cropped": photo.crop((4, 4, 296, 296)),
        "grey": photo.convert("L").convert("RGB").point(lambda value: value),
    }


@pytest.mark.parametrize("kind", ["smaller", "recompressed", "brighter", "cropped"])
def test_what_looks_the_same_is_found(photo: Image.Image, kind: str) -> None:
    assert find_near_pairs(looks(photo, variants(photo)[kind])) == [(0, 1)]


@pytest.mark.parametrize("kind", ["mirrored", "other colours", "with a thing on it"])
def test_what_looks_different_is_not(photo: Image.Image, kind: str) -> None:
    other = photo.copy()
    if kind == "mirrored":
        other = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    elif kind == "other colours":
        other = Image.merge("RGB", photo.split()[::-1]).point(lambda value: 255 - value // 2)
    else:
        other.paste((255, 0, 200), (100, 100, 200, 200))
    assert find_near_pairs(looks(photo, other)) == []


def test_different_pictures_are_never_paired() -> None:
    images = [pictures.smooth(seed) for seed in range(120)] + [picture for _, _, picture in archive.read_pool(archive.SCENE_BACKGROUNDS, 40)]
    assert find_near_pairs(looks(*images)) == []


def test_blank_pictures_are_blank_and_in_no_pair() -> None:
    found = looks(*[Image.new("RGB", (50, 40), colour) for colour in ("white", "white", (254, 255, 255), "black")])
    assert all(one.is_blank for one in found)
    assert find_near_pairs(found) == []
    assert not hash_picture(pictures.smooth(1), "").is_blank


def test_blocks_give_the_pairs_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [pictures.smooth(seed % 30) for seed in range(70)]
    whole = sorted(find_near_pairs(looks(*images)))
    monkeypatch.setattr(signatures, "_BLOCK", 7)
    assert sorted(find_near_pairs(looks(*images))) == whole
    assert whole == sorted((one, other) for one in range(70) for other in range(one + 1, 70) if one % 30 == other % 30)


def test_bits_are_counted_without_new_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 2**63, (5, 7), dtype=np.uint64)
    expected = np.array([[bin(int(value)).count("1") for value in row] for row in values])
    assert (signatures._count_bits(values) == expected).all()
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert (signatures._count_bits(values) == expected).all()


def test_equal_files_are_grouped() -> None:
    found = [hash_picture(pictures.smooth(0), digest) for digest in ("a", "b", "a", "c", "b", "a")]
    assert group_equal_files(found) == [[0, 2, 5], [1, 4]]


def test_plain_and_back() -> None:
    found = hash_picture(pictures.smooth(3, mode="RGBA"), "abc")
    assert found.cutout
    assert hash_from_json(found.to_json()) == found
    opaque = hash_picture(pictures.smooth(3), "abc")
    assert "cutout" not in opaque.to_json()
    assert hash_from_json(opaque.to_json()) == opaque
    assert hash_from_json(found.to_json() | {"cutout": "AAAA"}) is None
    assert hash_from_json({"sha256": "abc"}) is None
    assert hash_from_json(found.to_json() | {"colours": "!"}) is None
    assert hash_from_json(found.to_json() | {"outline": None}) is None


def test_many_together_look_as_each_alone() -> None:
    kinds = [((64, 64), "RGB"), ((90, 50), "RGBA"), ((32, 32), "RGB")] * 9
    images = [pictures.smooth(seed, size, mode=mode) for seed, (size, mode) in enumerate(kinds)]
    digests = [str(index) for index in range(len(images))]
    glances = [signatures.thumbnail(image) for image in images]
    cutouts = [reduce_cutout(image) for image in images]
    assert [bool(cutout) for cutout in cutouts] == [mode == "RGBA" for _, mode in kinds]
    alone = [hash_picture(image, digest) for image, digest in zip(images, digests, strict=True)]
    assert signatures.hash_thumbnails(glances, digests, cutouts) == alone
    assert signatures.hash_thumbnails([], [], []) == []


def test_a_pair_of_pictures_counts_once_by_whatever_look_it_is_one() -> None:
    """The whole, the square in the middle, or one of one with the other of the other."""
    wide, other = pictures.smooth(1, (150, 96)), pictures.smooth(2, (96, 150))
    looks = [hash_looks(picture, str(index)) for index, picture in enumerate((wide, wide.resize((75, 48)), wide.crop((27, 0, 123, 96)), other))]
    assert [len(hashes) for hashes in looks] == [2, 2, 1, 2]
    assert find_near_pictures(looks) == [(0, 1), (0, 2), (1, 2)]
    assert find_near_pictures([]) == find_near_pictures([[], []]) == []
    assert find_near_pictures([[], looks[0][1:], looks[2], looks[3], []]) == [(1, 2)]
    assert hash_looks(wide.convert("RGBA"), "0") == looks[0]
    line = looks[0][0].to_json() | {SQUARE: look_to_json(looks[0][1])}
    assert hashes_from_json(line) == looks[0]
    assert hashes_from_json(line | {SQUARE: "!"}) == looks[0][:1]
