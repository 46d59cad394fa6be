"""A matte belongs to the picture of its name; several pictures share it only if they are one picture in several files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from helpers import images
from PIL import Image

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
