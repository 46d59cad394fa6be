"""Holes as users write and paint them, and one line for each that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import images
from PIL import Image

from mitlgan.errors import DataError, MitlganError, UsageError
from mitlgan.inpainting import parse_hole


@pytest.mark.parametrize("spec", ["center", "centre"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (9, 14), (2, 2)])
def test_the_centre_is_half_the_sides(spec: str, height: int, width: int) -> None:
    hole = parse_hole(spec, height, width)
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    assert hole.sum() == len(rows) * len(columns) == (height // 2) * (width // 2)
    for found, full in ((rows, height), (columns, width)):
        assert abs(int(found[0]) - (full - 1 - int(found[-1]))) <= 1


def test_a_rectangle_is_left_top_width_height() -> None:
    hole = parse_hole("3,1,4,2", 8, 10)
    wanted = np.zeros((8, 10), dtype=np.bool_)
    wanted[1:3, 3:7] = True
    assert (hole == wanted).all()


@pytest.mark.parametrize(
    ("spec", "rows", "columns"),
    [
        ("25%,50%,50%,25%", (4, 6), (5, 15)),
        ("0%,0%,50%,100%", (0, 8), (0, 10)),
        ("50%,0%,50%,100%", (0, 8), (10, 20)),
        ("2,25%,4,50%", (2, 6), (2, 6)),
        ("33.3%,0,33.4%,1", (0, 1), (7, 13)),
    ],
)
def test_a_rectangle_in_per_cent_is_of_the_pictures_own_sides(spec: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    expected = np.zeros((8, 20), dtype=np.bool_)
    expected[slice(*rows), slice(*columns)] = True
    assert (parse_hole(spec, 8, 20) == expected).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "P"])
def test_a_mask_is_bright_where_the_hole_is(mode: str, tmp_path: Path) -> None:
    plane = np.zeros((6, 9), dtype=np.uint8)
    plane[2:4, 5:9] = 255
    painted = Image.fromarray(plane)
    layer = Image.merge("RGBA", [Image.new("L", (9, 6), 255)] * 3 + [painted])  # white on transparency, as an editor's layer is
    (layer if mode == "RGBA" else painted.convert(mode)).save(tmp_path / "mask.png")
    assert (parse_hole(str(tmp_path / "mask.png"), 6, 9) == (plane > 0)).all()


@pytest.mark.parametrize(
    ("spec", "kind", "said"),
    [
        ("1,2,3", UsageError, "give x,y,w,h"),
        ("1,2,3,4,5", UsageError, "give x,y,w,h"),
        ("1,2,0,4", UsageError, "give x,y,w,h"),
        ("1,2,3,99999999999999", UsageError, "give x,y,w,h"),
        ("1.5,2,3,4", UsageError, "give x,y,w,h in px, such as 8,8,16,16, or in per cent, such as 25%,25%,50%,50%"),
        ("10%,10%,0%,10%", UsageError, "give x,y,w,h"),
        ("10%,10%,95%,10%", UsageError, "leaves the picture"),
        ("-5%,10%,10%,10%", UsageError, "leaves the picture"),
        ("0%,0%,100%,100%", DataError, "covers the whole picture"),
        ("1%,1%,1%,1%", DataError, "marks no pixel; give a larger one"),
        ("-1,2,3,4", UsageError, "leaves the picture, which is 10 x 8 px"),
        ("8,0,3,4", UsageError, "leaves the picture"),
        ("0,0,10,8", DataError, "covers the whole picture"),
        ("absent.png", DataError, "no such file"),
        ("middle", DataError, "no such file; give a mask file, x,y,w,h or center"),
    ],
)
def test_what_is_no_hole_is_refused_in_one_line(spec: str, kind: type[MitlganError], said: str) -> None:
    with pytest.raises(kind) as refused:
        parse_hole(spec, 8, 10)
    assert str(refused.value).startswith(f"--hole {spec}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("spec", ["25%, 25%, 50%, 50%", "25 %,25 %,50 %,50 %", " 2,2 , 4,4"])
def test_a_rectangle_may_have_blanks(spec: str) -> None:
    assert (parse_hole(spec, 8, 8) == parse_hole("2,2,4,4", 8, 8)).all()


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    made = {
        "small": Image.new("L", (9, 8), 255),
        "black": Image.new("L", (10, 8)),
        "white": Image.new("L", (10, 8), 255),
        "clear": Image.new("RGBA", (10, 8), (255, 255, 255, 0)),
    }
    for name, picture in made.items():
        picture.save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("no picture")
    wanted = {"small": "is 9 x 8 px, the picture 10 x 8 px", "black": "marks no pixel", "white": "covers the whole", "clear": "marks no pixel"}
    for name, said in {**wanted, "text": "not a picture"}.items():
        with pytest.raises(DataError, match=said):
            parse_hole(str(tmp_path / f"{name}.png"), 8, 10)


def _see_through(picture: Image.Image, alpha: np.ndarray) -> Image.Image:
    picture.putalpha(Image.fromarray(alpha))
    return picture


def test_masks_that_do_not_say_which_part_is_the_hole_are_refused(tmp_path: Path) -> None:
    """Two regions, of which one would be filled; and a picture, or a layer, with its hole erased, of which the rest would be."""
    size, hole = (52, 40), np.zeros((40, 52), np.uint8)
    hole[10:20, 12:30] = 255
    others = np.roll(hole, 14, 0)
    classes = Image.fromarray(hole // 255 + others // 128).convert("P")
    classes.putpalette([0, 0, 0, 192, 128, 128, 128, 0, 0])
    erased = "save it without transparency: the hole white, all else black"
    masks = {
        "red and green": (Image.merge("RGB", [Image.fromarray(part) for part in (hole, others, 0 * hole)]), "is in colours, as masks of classes are"),
        "classes in colours": (classes, "is in colours, as masks of classes are; give one in grey: the hole white"),
        "0 and 1": (Image.fromarray(hole // 255), r"looks like labels 0\.\.1; scale it to 0\.\.255: the hole white"),
        "an erased picture": (_see_through(images.smooth(0, size), 255 - hole), f"is a picture with transparency, not a mask; {erased}"),
        "an erased grey picture": (_see_through(images.smooth(0, size).convert("L"), 255 - hole), f"marks one thing .* another by .*; {erased}"),
        **{
            f"an erased layer {level}": (_see_through(Image.new("L", size, level), 255 - hole), "is opaque around a transparent part")
            for level in (0, 255)
        },
    }
    for name, (mask, message) in masks.items():
        mask.save(tmp_path / f"{name}.png")
        with pytest.raises(DataError, match=f"--hole .*{name}.png: {message}"):
            parse_hole(str(tmp_path / f"{name}.png"), *size[::-1])


@pytest.mark.parametrize("color", [(255, 255, 255), (0, 0, 0), (255, 0, 0)])
@pytest.mark.parametrize("columns", [slice(12, 30), slice(0, 26), slice(0, 40)])
def test_a_hole_may_be_painted_in_any_colour(tmp_path: Path, color: tuple[int, int, int], columns: slice) -> None:
    hole = np.zeros((40, 52), np.uint8)
    hole[10:20, columns] = 255
    _see_through(Image.new("RGB", (52, 40), color), hole).save(tmp_path / "mask.png")
    assert (parse_hole(str(tmp_path / "mask.png"), 40, 52) == (hole > 0)).all()


@pytest.mark.parametrize("opacity", [64, 102, 127, 128, 255])
def test_a_hole_may_be_painted_half_transparent(tmp_path: Path, opacity: int) -> None:
    hole = np.zeros((40, 52), np.uint8)
    hole[10:20, 12:30] = opacity
    _see_through(Image.new("RGB", (52, 40), (255, 0, 0)), hole).save(tmp_path / "mask.png")
    assert (parse_hole(str(tmp_path / "mask.png"), 40, 52) == (hole > 0)).all()
