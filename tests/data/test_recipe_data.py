"""What lies behind transparent pictures, in training and in every measurement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import images
from PIL import Image

from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.pack.image_pack import BACKDROP
from mitlgan.data.pack.reduced import reduced_pack
from mitlgan.data.recipe_data import OPAQUE_PICTURES, UNUSED_BACKDROP, UNUSED_RESIZE, open_recipe_data, other_resize, recorded_backdrop
from mitlgan.recipe import Recipe, load_recipe

DARK = (0, 10, 20)


@pytest.fixture
def cutouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Red squares on transparency."""
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "objects").mkdir()
    picture = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    picture.paste((200, 0, 0, 255), (8, 8, 24, 24))
    for number in range(5):
        picture.save(tmp_path / "objects" / f"{number}.png")
    return tmp_path / "objects"


def recipe_for(source: Path, *settings: str, name: str = "recommended/bg-32") -> Recipe:
    return load_recipe(name, [f"data.source={source}", *settings])


def _opaque(cutouts: Path) -> Path:
    return images.fill(cutouts.parent / "opaque", 5, size=(32, 32))


def _prepared(pictures: Path, **settings: Any) -> Path:
    alike = PrepareSettings(size_px=32, dedupe="none", placeholder_copies=0, **settings)
    return prepare_pack(pictures, pictures.parent / "prepared", alike).path.parent


BACKED: dict[str, tuple[Callable[[Path], Path], bool]] = {
    "cut-outs": (lambda cutouts: cutouts, True),
    "a pack of cut-outs with alpha": (lambda cutouts: pack_folder(cutouts, cutouts.parent / "p.npy", size_px=32, keep_alpha=True).path, True),
    "a pack of cut-outs without": (lambda cutouts: pack_folder(cutouts, cutouts.parent / "p.npy", size_px=32).path, False),
    "prepared with alpha": (lambda cutouts: _prepared(cutouts, keep_alpha=True), True),
    "prepared without": (_prepared, False),
    "opaque pictures": (_opaque, False),
    "a pack of them": (lambda cutouts: pack_folder(_opaque(cutouts), cutouts.parent / "p.npy", size_px=32).path, False),
}


@pytest.mark.parametrize("role", ["fg", "bg"])
@pytest.mark.parametrize("kind", BACKED)
def test_a_backdrop_with_nothing_before_it_is_said_to_have_no_effect(cutouts: Path, kind: str, role: str) -> None:
    make, has_effect = BACKED[kind]
    source = make(cutouts)
    note = OPAQUE_PICTURES.format(source)
    pictures = {}
    for backdrop in (DARK, BACKDROP):
        for _ in ("packed", "from the cache"):
            said: list[str] = []
            pack = open_recipe_data(recipe_for(source, f"role={role}", f"data.backdrop={list(backdrop)}"), say=said.append)
            assert said.count(note) == (backdrop == DARK and not has_effect)
            assert UNUSED_BACKDROP not in said
            pictures[backdrop] = pack.batch(range(len(pack))).numpy()
    assert np.array_equal(pictures[DARK], pictures[BACKDROP]) != has_effect


@pytest.mark.parametrize("backdrop", [BACKDROP, DARK, (0, 255, 0)])
@pytest.mark.parametrize("role", ["fg", "bg", "scene"])
@pytest.mark.parametrize("form", ["folder", "alpha pack"])
def test_transparent_pictures_stand_before_the_colour_of_their_recipe(cutouts: Path, backdrop: tuple[int, int, int], role: str, form: str) -> None:
    source = cutouts
    if form == "alpha pack":
        source = pack_folder(cutouts, cutouts.parent / "p.npy", size_px=32, keep_alpha=True).path
    pack = open_recipe_data(recipe_for(source, f"role={role}", f"data.backdrop={list(backdrop)}"))
    assert (pack.channels == 4) == (role == "fg" or form == "alpha pack")
    pixels = pack.batch(range(5)).numpy()
    assert pixels.shape == (5, 3, 32, 32)
    assert {tuple(color) for color in pixels[:, :, [0, 0, 31, 31], [0, 31, 0, 31]].transpose(0, 2, 1).reshape(-1, 3)} == {backdrop}
    assert (pixels[:, :, 16, 16] == (200, 0, 0)).all()
    again = open_recipe_data(recipe_for(source, f"role={role}", f"data.backdrop={list(backdrop)}"))
    assert np.array_equal(again.batch(range(5)).numpy(), pixels)  # from the cache


def test_each_colour_has_its_own_place_in_the_cache(cutouts: Path) -> None:
    colors = [open_recipe_data(recipe_for(cutouts, f"data.backdrop={list(color)}")).batch([0])[0, :, 0, 0].tolist() for color in (DARK, BACKDROP, DARK)]
    assert colors == [list(DARK), list(BACKDROP), list(DARK)]


def test_smaller_pictures_stand_before_the_same_colour(cutouts: Path) -> None:
    pack = open_recipe_data(recipe_for(cutouts, "role=fg", f"data.backdrop={list(DARK)}"))
    for _ in ("made", "from the cache"):
        assert tuple(reduced_pack(pack, 8).batch([0])[0, :, 0, 0].tolist()) == DARK


def test_a_colour_behind_pictures_that_keep_their_transparency_is_said_to_have_no_effect(cutouts: Path) -> None:
    said: list[str] = []
    four = ["generator.image_channels=4", "critic.image_channels=4"]
    pack = open_recipe_data(recipe_for(cutouts, *four, f"data.backdrop={list(DARK)}", name="recommended/fg-32"), say=said.append)
    assert said.count(UNUSED_BACKDROP) == 1
    assert (pack.channels, pack.backdrop) == (4, BACKDROP)  # measured on white, as what its generator makes
    open_recipe_data(recipe_for(cutouts, *four, name="recommended/fg-32"), say=said.append)
    assert said.count(UNUSED_BACKDROP) == 1


@pytest.mark.parametrize(
    ("recipe", "channels", "color"),
    [
        ({"data": {"backdrop": [0, 10, 20]}}, 3, DARK),
        ({"data": {"backdrop": [0, 10, 20]}}, 1, DARK),
        ({"data": {"backdrop": [0, 10, 20]}}, 4, BACKDROP),
        ({"data": {}}, 3, BACKDROP),
        ({"data": {"backdrop": [1]}}, 3, BACKDROP),
        ({"data": None}, 3, BACKDROP),
        ({}, 3, BACKDROP),
    ],
)
def test_an_artifacts_colour_is_that_of_its_recipe(recipe: dict[str, Any], channels: int, color: tuple[int, int, int]) -> None:
    assert recorded_backdrop(recipe, channels) == color


def test_a_filter_that_a_pack_was_not_made_with_is_said_to_have_no_effect(cutouts: Path) -> None:
    packed = pack_folder(cutouts, cutouts.parent / "p.npy", size_px=32, resize="box").path
    for source, resize, note in ((packed, "nearest", "box"), (packed, "box", ""), (packed, "lanczos", "box"), (cutouts, "nearest", "")):
        said: list[str] = []
        asked = recipe_for(source, f"data.resize={resize}")
        pack = open_recipe_data(asked, say=said.append)
        assert other_resize(asked, pack) == note, "what cards say"
        is_told = bool(note) and resize != "lanczos"  # the default, which nobody asked for
        assert said.count(UNUSED_RESIZE.format(resize, source, note)) == is_told
    assert not other_resize(asked, reduced_pack(pack, 16))
