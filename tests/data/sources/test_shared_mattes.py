"""A matte belongs to the picture of its name; several pictures share it only if they are one picture in several files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from helpers import images
from PIL import Image, ImageDraw, ImageFilter

from mitlgan.data.curate.table_selection import Selection, select_pictures
from mitlgan.data.sources import shared_mattes
from mitlgan.data.sources.image_source import ImageSource, open_source

SIZE = (36, 28)


def cutout(seed: int) -> Image.Image:
    picture = images.smooth(seed, SIZE)
    picture.putalpha(Image.linear_gradient("L").resize(SIZE).point([0] * 128 + [255] * 128))
    return picture


TWINS = {
    "another photograph": (images.smooth(9, SIZE), False),
    "the same": (images.smooth(0, SIZE), True),
    "the same in grey": (images.smooth(0, SIZE).convert("L"), True),
    "the same, brighter": (images.smooth(0, SIZE).convert("RGB").point(lambda level: level * 1.2), True),
    "another in grey": (images.smooth(9, SIZE).convert("L"), False),
    "one paint": (Image.new("L", SIZE), False),
    "its cut-out": (cutout(0), True),
    "the cut-out of another": (cutout(9), False),
    "another photograph of another size": (images.smooth(9, (30, 30)), True),
}


def write(folder: Path, twin: Image.Image, count: int = 1) -> Path:
    folder.mkdir()
    for number in range(count):
        images.smooth(0, SIZE).save(folder / f"{number}.jpg", quality=95)
        twin.save(folder / f"{number}.png")
        Image.linear_gradient("L").resize(SIZE).save(folder / f"{number}.matte.png")
    return folder


def opened(folder: Path, form: str) -> ImageSource:
    names = sorted(file.name for file in folder.iterdir())
    if form == "zip":
        with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
            for name in names:
                archive.write(folder / name, name)
        return open_source(folder.with_suffix(".zip"))
    pictures = [name for name in names if "matte" not in name]
    if form == "list":
        (folder / "list.txt").write_text("\n".join(pictures))
        return open_source(folder / "list.txt")
    if form == "table":
        (folder / "table.csv").write_text("\n".join(["image", *pictures]))
        return select_pictures(Selection(folder / "table.csv"), folder)
    return open_source(folder)


@pytest.mark.parametrize("form", ["folder", "zip", "list", "table"])
@pytest.mark.parametrize("kind", TWINS)
def test_different_pictures_of_one_name_share_no_matte(tmp_path: Path, kind: str, form: str) -> None:
    twin, is_shared = TWINS[kind]
    source = opened(write(tmp_path / "in", twin), form)
    assert [(entry.name, entry.matte is not None) for entry in source.entries] == [("0.jpg", is_shared), ("0.png", is_shared)]
    reasons = [leftover.reason for leftover in source.leftovers.named if leftover.name == "0.matte.png"]
    assert reasons == ([] if is_shared else [shared_mattes.REASON])


def test_of_many_that_share_a_matte_a_sample_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_mattes, "MAX_COMPARED", 2)
    for kind, count in (("the same", 2), ("another photograph", 5)):
        compared: list[object] = []
        with monkeypatch.context() as patch:
            original = shared_mattes._is_contested
            patch.setattr(shared_mattes, "_is_contested", lambda group, judge=original, log=compared: (log.append(group), judge(group))[1])
            source = open_source(write(tmp_path / kind, TWINS[kind][0], 5))
        assert len(compared) == (2 if kind == "the same" else 2 + count)
        assert sum(entry.matte is None for entry in source.entries) == (0 if kind == "the same" else 10)


SIDE = 96
GROUNDS = {
    "white": Image.new("RGB", (SIDE, SIDE), "white"),
    "grey": Image.new("RGB", (SIDE, SIDE), (150, 150, 150)),
    "a table": images.smooth(40, (SIDE, SIDE)),
}
LAID = {"thin": (0, 4, 1.0), "small": (34, 26, 1.0), "medium": (24, 48, 1.0), "large": (6, 84, 1.0), "glassy": (24, 48, 0.9)}


def laid(seed: int, shape: str, ground: str) -> tuple[Image.Image, Image.Image]:
    """A photograph of an object on a ground, and its matte with a soft edge."""
    start, side, opacity = LAID[shape]
    matte = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(matte)
    level = round(255 * opacity)
    if shape == "thin":
        draw.line([(8, 20 + seed * 7 % 50), (88, 70 - seed * 11 % 50)], fill=level, width=side)
    else:
        (draw.ellipse if seed % 2 else draw.rectangle)((start, start, start + side, start + side), fill=level)
    matte = matte.filter(ImageFilter.GaussianBlur(0.7))
    return Image.composite(images.smooth(seed, (SIDE, SIDE)), GROUNDS[ground], matte), matte


def with_opacity(picture: Image.Image, matte: Image.Image) -> Image.Image:
    picture = picture.copy()
    picture.putalpha(matte)
    return picture


def on(paint: str, picture: Image.Image, matte: Image.Image) -> Image.Image:
    return Image.composite(picture, Image.new("RGB", picture.size, paint), matte)


def on_shadow(paint: str, picture: Image.Image, matte: Image.Image) -> Image.Image:
    ground = Image.new("RGB", picture.size, paint)
    ground.paste((110, 110, 110), (6, 10), matte.filter(ImageFilter.GaussianBlur(3)))
    return Image.composite(picture, ground, matte)


def edited(picture: Image.Image, matte: Image.Image) -> dict[str, Image.Image]:
    """Pictures of the same object in which only the ground was changed."""
    return {
        "blurred": Image.composite(picture, picture.filter(ImageFilter.GaussianBlur(12)), matte),
        "darkened": Image.composite(picture, picture.point(lambda level: level * 0.6), matte),
        "in a scene": Image.composite(picture, images.smooth(30, picture.size).convert("RGB"), matte),
        "on a gradient": Image.composite(picture, Image.linear_gradient("L").resize(picture.size).convert("RGB"), matte),
        "with a shadow": on_shadow("white", picture, matte),
    }


def copies(picture: Image.Image, matte: Image.Image) -> dict[str, Image.Image]:
    return {
        "the same": picture,
        "grey": picture.convert("L"),
        "darker": picture.point(lambda level: level * 0.8),
        "cut out": with_opacity(picture, matte),
        "on white": on("white", picture, matte),
        "on black": on("black", picture, matte),
    }


def sharing(folder: Path, picture: Image.Image, matte: Image.Image, twins: dict[str, Image.Image]) -> set[str]:
    """The twins that share the matte of a picture."""
    for number, twin in enumerate(twins.values()):
        picture.save(folder / f"{number:02d}.jpg", quality=90)
        twin.save(folder / f"{number:02d}.png")
        matte.save(folder / f"{number:02d}.matte.png")
    shared = {entry.name[:2]: entry.matte is not None for entry in open_source(folder).entries}
    return {kind for kind, is_shared in zip(twins, shared.values(), strict=True) if is_shared}


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("shape", LAID)
def test_what_both_grounds_share_does_not_make_pictures_alike(tmp_path: Path, shape: str, ground: str) -> None:
    (picture, matte), (other, other_matte) = laid(0, shape, ground), laid(1, shape, ground)
    same, different = copies(picture, matte) | edited(picture, matte), copies(other, other_matte) | edited(other, other_matte)
    if shape != "thin":
        same["a tighter cut-out"] = with_opacity(picture, matte.point([0] * 128 + [255] * 128).filter(ImageFilter.MinFilter(5)))
    crossed = Image.composite(images.smooth(1, picture.size), picture, laid(1, "thin", ground)[1].rotate(90))
    if shape == "thin":
        same["with a second object"] = crossed
    if shape == "small":
        different["an object in front"] = crossed
    twins = same | {f"different, {kind}": twin for kind, twin in different.items()}
    assert sharing(tmp_path, picture, matte, twins) == set(same)


def test_objects_of_one_colour_differ_by_their_outlines(tmp_path: Path) -> None:
    def black(*box: int) -> Image.Image:
        picture = Image.new("RGB", (SIDE, SIDE), "white")
        ImageDraw.Draw(picture).rectangle(box, fill=(30, 30, 30))
        return picture

    picture = black(30, 30, 60, 60)
    matte = picture.convert("L").point([255] * 128 + [0] * 128)
    twins = {
        "the same": picture,
        "on grey": on("grey", picture, matte),
        "cut out": with_opacity(picture, matte),
        "another": black(40, 50, 70, 80),
        "a larger one": black(20, 20, 75, 75),
        "a smaller one": black(40, 40, 50, 50),
    }
    assert sharing(tmp_path, picture, matte, twins) == {"the same", "on grey", "cut out"}
