"""Copies of photographs stay in one split, in new work of `data split` and in that which an earlier version began."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import images
from PIL import Image, ImageDraw

from mitlgan.data.build.journal import JOURNAL_FILE
from mitlgan.data.curate.check import check_datasets
from mitlgan.data.layers.split import SplitSettings, split_pictures

pytest.importorskip("cv2")
SETTINGS = SplitSettings(size_px=32, holdout="40%", background="patch")


def photographs(folder: Path, size: tuple[int, int], count: int = 10) -> Path:
    """Each with a cropped copy, a copy of its middle, and mattes; of many the squares in the middle look alike, and the whole pictures do not."""
    folder.mkdir()
    side, (width, height) = min(size), size
    middle = ((width - side) // 2, (height - side) // 2, (width + side) // 2, (height + side) // 2)
    for seed in range(count):
        matte = Image.new("L", size)
        ImageDraw.Draw(matte).ellipse((width // 2 - 20, height // 2 - 20, width // 2 + 20, height // 2 + 20), fill=255)
        for name, box in {"": (0, 0, *size), "-cropped": (0, 6, *size), "-middle": middle}.items():
            images.smooth(seed, size).crop(box).save(folder / f"{seed:02d}{name}.png", compress_level=1)
            matte.crop(box).save(folder / f"{seed:02d}{name}.matte.png", compress_level=1)
    return folder


def of_version_9(out: Path) -> None:
    """Turn work into that of the version that recorded the hash of the whole picture alone."""
    header, *lines = map(json.loads, (out / JOURNAL_FILE).read_text().splitlines())
    lines = [{key: value for key, value in line.items() if key != "square"} for line in lines]
    (out / JOURNAL_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in ({**header, "version": 9}, *lines)))


@pytest.mark.parametrize("size", [(100, 64), (64, 100)], ids=["wide", "tall"])
def test_what_check_counts_is_held_out_together_also_in_work_that_an_earlier_version_began(tmp_path: Path, size: tuple[int, int]) -> None:
    place, out = photographs(tmp_path / "in", size), tmp_path / "out"
    pairs = [(pair.first, pair.second) for pair in check_datasets([str(place)]).pairs]
    manifest = split_pictures(place, out, SETTINGS)
    split_of = {record["name"]: record["split"] for record in manifest["records"] if record["decision"] == "used"}
    assert set(split_of.values()) == {"train", "test"}
    compared = [pair for pair in pairs if set(pair) <= split_of.keys()]
    assert len(compared) >= 10
    assert [pair for pair in compared if split_of[pair[0]] != split_of[pair[1]]] == []
    assert not any("square" in record for record in manifest["records"])
    times = {path.name: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    of_version_9(out)
    said: list[str] = []
    assert split_pictures(place, out, SETTINGS, say=said.append) == manifest
    assert [line.split(":")[0] for line in said] == ["an earlier version's work goes on"]
    assert {path.name: path.stat().st_mtime_ns for path in out.rglob("*.png")} == times, "nothing is cut again"
    said.clear()
    assert split_pictures(place, out, SETTINGS, say=said.append) == manifest
    assert not said
