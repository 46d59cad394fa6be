"""Pictures that come into a folder after it was packed are not read, and every command that reads the pack says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers import images

from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.curate.check import check_datasets, summarize_set
from mitlgan.data.newer_pictures import REASON, find_newer_pictures
from mitlgan.data.open import open_data
from mitlgan.errors import UsageError

SETTINGS = PrepareSettings(size_px=8, holdout="3")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Twelve pictures in a folder and one inside it, with a copy and a damaged one, three of them held out, all packed in place."""
    place = images.fill(tmp_path / "in", 10)
    images.fill(place / "more", 2, first=20)
    shutil.copy(place / "0003.png", place / "copy.png")
    (place / "damaged.png").write_bytes(b"no picture")
    prepare_pack(place, place, SETTINGS, allow_bad=True)
    return place


def names(place: Path) -> list[str]:
    return [one.name for one in find_newer_pictures(place).named]


def test_none_is_newer_at_first(packed: Path, tmp_path: Path) -> None:
    assert names(packed) == []
    (packed / "0001.png").unlink()
    (packed / "notes.txt").write_text("no picture")
    assert names(packed) == []
    moved = packed.rename(tmp_path / "elsewhere")
    assert names(moved) == []


def test_all_that_came_later_are_named(packed: Path) -> None:
    images.fill(packed, 1, first=30)
    images.fill(packed / "more", 1, first=31)
    images.fill(packed / "test", 1, first=32)  # beside the pack of what is held out
    assert names(packed) == ["0030.png", "more/0031.png", "test/0032.png"]


def test_pictures_in_a_split_folder_without_a_pack_are_read_and_not_missed(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 6)
    prepare_pack(place, place, PrepareSettings(size_px=8, holdout="0"))
    images.fill(place / "test", 2, first=40)
    assert names(place) == []
    assert len(open_data(str(place), "scene", 8, split="test")) == 2


def test_packs_of_another_folder_and_damaged_ones_say_nothing(packed: Path, tmp_path: Path) -> None:
    other = images.fill(tmp_path / "other", 4, first=50)
    for name in ("prepared.npy", "prepared.json"):
        shutil.copy(packed / name, other / name)
    assert names(other) == []
    assert names(tmp_path / "absent") == names(images.fill(tmp_path / "plain", 2)) == []
    images.fill(packed, 1, first=30)
    (packed / "prepared.json").write_text("{")
    assert names(packed) == []


def test_every_command_that_reads_the_pack_says_so_and_the_advice_works(packed: Path, tmp_path: Path) -> None:
    said: list[str] = []
    count = len(open_data(str(packed), "scene", 8, say=said.append))
    assert said == []
    images.fill(packed, 5, first=30)
    sentence = f"5 added later left out: {REASON} (0030.png, 0031.png, 0032.png, ...)"
    assert len(open_data(str(packed), "scene", 8, say=said.append)) == count == 9
    assert said == [f"{packed}: {sentence}"]
    result = check_datasets([str(packed)])
    assert [text for text, hurts in result.verdict if sentence in text and hurts] == [
        f"{packed}: {sentence}; the names of all: mitlgan data stats {packed} --json"
    ]
    skipped = [one["name"] for report in result.sets for one in summarize_set(report)["skipped"]]
    assert skipped == [f"00{number}.png" for number in range(30, 35)]
    with pytest.raises(UsageError, match="some were added, removed or changed since, or are taken otherwise by this version; give another folder"):
        prepare_pack(packed, packed, SETTINGS, allow_bad=True)
    again = prepare_pack(packed, tmp_path / "again", SETTINGS, allow_bad=True)
    assert len(again) == 14
    against = prepare_pack(images.fill(tmp_path / "third", 3, first=60), tmp_path / "out", PrepareSettings(size_px=8, against=(str(packed),)))
    assert against.manifest["leftovers"]["remarks"] == [f"--against {packed}: {sentence}"]
