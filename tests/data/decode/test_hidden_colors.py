"""Colours under full transparency are nobody's: two pictures that look alike are treated alike, whatever a program left there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from PIL import Image, ImageDraw

from mitlgan.data.build.crops import SquareCrop, highest_entropy_square
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.build.resize import crop_and_resize, to_planes
from mitlgan.data.curate.check import measure_picture
from mitlgan.data.curate.perceptual_hash import hash_picture
from mitlgan.data.curate.reference_sets import hash_packed_looks
from mitlgan.data.decode.image_file import decode_bytes
from mitlgan.data.pack.image_pack import ImagePack

Fill = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
HIDDEN: dict[str, Fill] = {
    "black": lambda rng, shape: np.zeros((*shape, 3), np.uint8),
    "white": lambda rng, shape: np.full((*shape, 3), 255, np.uint8),
    "noise": lambda rng, shape: rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
    "stripes": lambda rng, shape: (np.indices((*shape, 3))[1] % 2 * 255).astype(np.uint8),
}


def cut_out(hidden: str, *, size: tuple[int, int] = (240, 64), colour: tuple[int, int, int] | None = None) -> Image.Image:
    """An object at the right (or at the top), colourful unless it is of one colour, with something under what is transparent."""
    width, height = size
    alpha = Image.new("L", size)
    ImageDraw.Draw(alpha).ellipse((width - 56, 8, width - 8, 56), fill=255)
    visible = np.asarray(images.smooth(3, size)) if colour is None else np.full((height, width, 3), colour, np.uint8)
    under = HIDDEN[hidden](np.random.default_rng(0), (height, width))
    shown = np.where(np.asarray(alpha)[..., None] > 0, visible, under)
    return Image.merge("RGBA", [*Image.fromarray(shown.astype(np.uint8)).split(), alpha])


@pytest.mark.parametrize("size", [(240, 64), (64, 240)])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_the_entropy_crop_goes_to_what_is_seen(hidden: str, size: tuple[int, int]) -> None:
    chosen = highest_entropy_square(cut_out(hidden, size=size))
    assert chosen == highest_entropy_square(cut_out("black", size=size))
    left, top, right, bottom = chosen
    assert left <= size[0] - 56
    assert right >= size[0] - 8
    assert top <= 8
    assert bottom >= 56


def test_an_object_of_the_backdrops_grey_is_seen_too() -> None:
    picture = cut_out("noise", colour=(128, 128, 128))
    assert highest_entropy_square(picture)[2] >= 232
    assert not hash_picture(picture, "").is_blank
    assert hash_picture(cut_out("noise", colour=(128, 128, 128)).crop((0, 0, 100, 64)), "").is_blank  # nothing but hidden noise


@pytest.mark.parametrize("crop", ["center", "entropy"])
@pytest.mark.parametrize("keep_alpha", [True, False])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_no_set_is_blank_for_what_it_hides(tmp_path: Path, hidden: str, keep_alpha: bool, crop: str) -> None:
    (tmp_path / "in").mkdir()
    for index in range(4):
        cut_out(hidden, colour=(40 * index, 128, 128)).save(tmp_path / "in" / f"{index}.png")
    cut_out(hidden).crop((0, 0, 100, 64)).save(tmp_path / "in" / "nothing.png")
    settings = PrepareSettings(size_px=32, keep_alpha=keep_alpha, crop=crop)
    if crop == "center":
        for index in range(4):  # the object in the middle
            cut_out(hidden, colour=(40 * index, 128, 128)).crop((176, 0, 240, 64)).save(tmp_path / "in" / f"{index}.png")
    pack = prepare_pack(tmp_path / "in", tmp_path / "out", settings)
    assert [line["name"] for line in pack.manifest["skipped"]] == ["nothing.png"]
    assert "blank" in pack.manifest["skipped"][0]["reason"]


def test_looks_pixels_and_statistics_do_not_know_what_is_hidden() -> None:
    black = cut_out("black")
    for hidden in HIDDEN:
        picture = cut_out(hidden)
        content = images.encoded(picture, "PNG")
        assert hash_picture(picture, "") == hash_picture(black, "")
        for resize in ("lanczos", "bilinear", "nearest"):
            assert (to_planes(crop_and_resize(picture, 32, resize)) == to_planes(crop_and_resize(black, 32, resize))).all()
        assert (
            decode_bytes(content, keep_alpha=False).picture.tobytes() == decode_bytes(images.encoded(black, "PNG"), keep_alpha=False).picture.tobytes()
        )
        for part in (picture, picture.crop((0, 0, 64, 64))):  # of which the second is all hidden
            same = black.crop((0, 0, 64, 64)) if part.size == (64, 64) else black
            found, other = (measure_picture("a", one, [hash_picture(one, "")], one.size, None) for one in (part, same))
            assert found.mean == other.mean
            assert (found.histogram == other.histogram).all()


def test_the_face_crop_does_not_see_it_either(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Image.Image] = []

    def find(picture: Image.Image) -> tuple[int, int, int, int]:
        handed.append(picture)
        return 10, 10, 20, 20

    monkeypatch.setattr("mitlgan.data.build.crops._face_finder", lambda: find)
    crop = SquareCrop("face")
    for hidden in HIDDEN:
        crop(cut_out(hidden))
    assert {picture.mode for picture in handed} == {"RGB"}
    assert len({picture.tobytes() for picture in handed}) == 1


def test_a_pack_and_its_folder_look_alike(tmp_path: Path) -> None:
    """Also a pack whose manifest says nothing of looks."""
    (tmp_path / "in").mkdir()
    cut_out("noise", size=(64, 64)).save(tmp_path / "in" / "a.png")
    pack: ImagePack = pack_folder(tmp_path / "in", tmp_path / "a.npy", size_px=64, keep_alpha=True)
    (found,), own = hash_packed_looks(pack, 0, {"sha256": ""}), hash_picture(cut_out("noise", size=(64, 64)), "")
    assert bin(found.phash ^ own.phash).count("1") <= 1
    assert np.abs(np.frombuffer(found.colors, np.uint8).astype(int) - np.frombuffer(own.colors, np.uint8)).max() <= 1
