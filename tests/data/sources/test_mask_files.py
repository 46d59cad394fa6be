"""Masks in folders of their own, or with names of their own, are no pictures."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from mitlgan.data.open import open_data
from mitlgan.data.sources.image_source import open_source
from mitlgan.data.sources.mask_files import match_masks

MASKED = {
    "folders side by side": (["images/a.jpg", "images/b.jpg"], ["masks/a.png", "masks/b.png"]),
    "by split": (["images/train/a.jpg", "images/val/b.jpg"], ["masks/train/a.png", "masks/val/b.png"]),
    "split first": (["train/images/a.jpg"], ["train/masks/a.png"]),
    "a folder within": (["a.jpg", "b.jpg"], ["Mattes/a.png"]),
    "marked in a folder": (["images/a.jpg"], ["masks/a_mask.png"]),
    "marked beside": (["a.jpg", "x/b.png"], ["a_mask.png", "x/b-Alpha.png"]),
}
PICTURES = {
    "class folders": ["hats/0.png", "masks/0.png", "shoes/0.png"],
    "a mask alone": ["masks/a.png", "masks/b.png"],
    "other names": ["images/a.png", "masks/c.png"],
    "a name that ends so": ["unmask.png", "bitmask.png", "face_mask.png"],
    "none": ["a.png", "b/c.png"],
}


@pytest.mark.parametrize(("pictures", "masks"), MASKED.values(), ids=MASKED)
def test_masks_are_told_from_pictures(pictures: list[str], masks: list[str]) -> None:
    found = match_masks(sorted([*pictures, *masks]))
    assert sorted(found) == sorted(masks)
    assert set(found.values()) <= set(pictures)


@pytest.mark.parametrize("names", PICTURES.values(), ids=PICTURES)
def test_pictures_are_no_masks(names: list[str]) -> None:
    assert match_masks(names) == {}


@pytest.mark.parametrize("archive", [False, True])
def test_a_segmentation_set_is_its_pictures_and_says_so(tmp_path: Path, archive: bool) -> None:
    folder = tmp_path / "set"
    for name in ("images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (200, 30, 30)).save(folder / name)
    spec = folder
    if archive:
        spec = tmp_path / "set.zip"
        with zipfile.ZipFile(spec, "w") as file:
            for path in sorted(folder.rglob("*.*")):
                file.write(path, path.relative_to(folder))
    source = open_source(spec)
    assert [entry.name for entry in source.entries] == ["images/a.jpg", "images/b.jpg"]
    (line,) = source.leftovers.describe()
    assert line.startswith("2 mask of another picture left out: no picture to train on; as NAME.matte.png beside its picture")


def test_training_takes_the_pictures_alone_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    for name in ("images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "set" / name)
    said: list[str] = []
    assert len(open_data(str(tmp_path / "set"), "bg", 16, say=said.append)) == 2
    assert any("2 mask of another picture left out" in line for line in said)
