"""Holes as users write and paint them, and one line for each that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
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
