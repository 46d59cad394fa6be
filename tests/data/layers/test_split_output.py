"""The files that `data split` wrote, told from those that came later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import images

from mitlgan.data.layers.split_output import describe_added_pictures, hash_trained_files
from mitlgan.data.open import open_data
from mitlgan.errors import DataError


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    """Two objects of `data split` in `fg/train`, by its manifest."""
    out = tmp_path / "layers"
    images.fill(out / "fg" / "train", 2)
    records = [{"name": f"{index}.jpg", "files": [f"fg/train/{index:04d}.png"], "pieces": [f"fg/{index:04d}.png"]} for index in range(2)]
    (out / "split.json").write_text(json.dumps({"made_by": {"work": "split"}, "source": "photos", "records": records}))
    return out


def test_pictures_that_were_added_to_a_set_are_named_and_used(layers: Path) -> None:
    said: list[str] = []
    open_data(str(layers / "fg"), "scene", 8, say=said.append)
    assert not any("added since" in line for line in said)
    images.fill(layers / "fg" / "train", 5, first=7)
    assert len(open_data(str(layers / "fg" / "train"), "scene", 8, say=said.append)) == 7
    named = "5 of 7 pictures (0007.png, 0008.png, 0009.png, ...)"
    assert said[-1] == f"{layers}/fg/train: added since `data split`, and used as well: {named}"
    assert len(open_data(str(layers / "fg"), "scene", 8, say=said.append)) == 7
    assert said[-1].startswith(f"{layers}/fg: added since `data split`, and used as well: 5 of 7 pictures (train/0007.png, ")


def test_other_folders_have_no_added_pictures(layers: Path, tmp_path: Path) -> None:
    assert describe_added_pictures(images.fill(layers / "more", 1), ["0000.png"]) == ""  # beside the sets
    assert describe_added_pictures(images.fill(tmp_path / "other", 1), ["0000.png"]) == ""
    (layers / "split.json").write_text("{}")
    assert describe_added_pictures(layers / "fg", ["mine.png"]) == ""


def test_the_hash_of_trained_files_changes_with_them_alone(layers: Path) -> None:
    before = hash_trained_files(layers)
    (layers / "bg").mkdir()
    (layers / "split.json").write_text("{}")
    assert hash_trained_files(layers) == before  # an empty folder, and other words
    images.fill(layers / "fg" / "train", 3, first=2)
    added = hash_trained_files(layers)
    assert added != before
    (layers / "fg" / "train" / "a\\xff.png").write_bytes(images.encoded(images.smooth(1), "PNG"))
    (layers / "fg" / "train" / b"a\xff.png".decode("utf-8", "surrogateescape")).write_bytes(images.encoded(images.smooth(1), "PNG"))
    with pytest.raises(DataError, match="cannot be told apart by name; rename one of them"):  # no other cuts: a fault, which passes
        hash_trained_files(layers)
