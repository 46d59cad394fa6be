"""The files that `data split` wrote, told from those that came later."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import images

from mitlgan.data.layers.split_output import describe_added_pictures, hash_all_cuts, hash_cuts
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


def _add(place: str) -> Callable[[Path], object]:
    return lambda layers: images.fill(layers / place, 1, first=90)


def _junk(place: str) -> Callable[[Path], object]:
    return lambda layers: (layers / place).write_bytes(b"junk")


CHANGES: dict[str, tuple[Callable[[Path], object], bool, bool, bool]] = {
    "words": (lambda layers: (layers / "split.json").write_text("{}"), False, False, False),
    "an empty folder": (lambda layers: (layers / "scene").mkdir(), False, False, False),
    "a note": (lambda layers: (layers / "fg" / "notes.txt").write_text("x"), False, False, False),
    "a hidden file": (lambda layers: images.fill(layers / "fg" / "train" / ".trash", 1), False, False, False),
    "a training picture more": (_add("fg/train"), True, False, True),
    "a training picture less": (lambda layers: (layers / "bg" / "train" / "0000.png").unlink(), True, False, True),
    "a training picture that is damaged": (_junk("fg/train/0000.png"), True, False, True),
    "a held-out picture more": (_add("bg/test"), False, True, True),
    "a held-out picture less": (lambda layers: (layers / "bg" / "test" / "0000.png").unlink(), False, True, True),
    "a validation picture": (_add("bg/validation"), False, True, True),
    "a picture in no split": (_add("bg"), False, False, True),
    "a file that is no picture": (_junk("fg/train/mine.png"), False, False, True),
    "a held-out file that is no picture": (_junk("fg/test/mine.png"), False, False, True),
}
"""What is done to a split; whether that changes what is trained on, what is held out, and the one hash of earlier versions."""


@pytest.mark.parametrize(("change", "is_trained", "is_held_out", "is_any"), CHANGES.values(), ids=CHANGES)
def test_hashes_tell_whether_what_is_trained_on_or_held_out_changed(
    change: Callable[[Path], object], is_trained: bool, is_held_out: bool, is_any: bool, layers: Path
) -> None:
    for place in ("bg/train", "bg/test", "fg/test"):
        images.fill(layers / place, 2)
    before, all_before = hash_cuts(layers), hash_all_cuts(layers)
    assert len({*before, all_before}) == 3
    change(layers)
    now = hash_cuts(layers)
    assert (now.trained != before.trained, now.held_out != before.held_out) == (is_trained, is_held_out)
    assert (hash_all_cuts(layers) != all_before) is is_any


def test_cuts_that_cannot_be_told_apart_have_no_hash(layers: Path) -> None:
    (layers / "fg" / "train" / "a\\xff.png").write_bytes(images.encoded(images.smooth(1), "PNG"))
    (layers / "fg" / "train" / b"a\xff.png".decode("utf-8", "surrogateescape")).write_bytes(images.encoded(images.smooth(1), "PNG"))
    for hash_files in (hash_cuts, hash_all_cuts):
        with pytest.raises(DataError, match="cannot be told apart by name; rename one of them"):  # no other cuts: a fault, which passes
            hash_files(layers)
