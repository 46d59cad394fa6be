"""The splits of a source are kept; what is in none of them is left out by name, and all else that a user may not expect is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import images

from mitlgan.data.kept_splits import find_kept_splits
from mitlgan.data.sources.image_source import open_source
from mitlgan.errors import DataError


@pytest.mark.parametrize(
    ("folders", "split_of", "unassigned", "remark"),
    [
        (["."], {}, set(), ""),
        (["cat", "dog"], {}, set(), ""),
        (["train"], {}, set(), ""),
        (["train", "."], {}, {"0.png"}, "1 pictures next to the split folders are left out (0.png)"),
        (["train", "val"], {"train/0.png": "train", "val/0.png": "validation"}, set(), ""),
        ([".", "Test"], {"0.png": "train", "Test/0.png": "test"}, set(), ""),
        (
            [".", "x_train", "x_test"],
            {"x_train/0.png": "train", "x_test/0.png": "test"},
            {"0.png"},
            "1 pictures next to the split folders are left out (0.png)",
        ),
        (["train", "test", "more"], {}, set(), "test/, train/ is taken for a class, as more/ next to it: all are one set"),
    ],
)
def test_what_a_source_has_is_kept(tmp_path: Path, folders: list[str], split_of: dict[str, str], unassigned: set[str], remark: str) -> None:
    for number, folder in enumerate(folders):
        (tmp_path / folder).mkdir(exist_ok=True)
        images.smooth(number, (8, 8)).save(tmp_path / folder / "0.png")
    source = open_source(tmp_path)
    kept = find_kept_splits(source)
    assert (kept.split_of, kept.unassigned, kept.remark) == (split_of, unassigned, remark)
    selected = kept.select(source)
    assert {entry.name for entry in selected.entries} == {entry.name for entry in source.entries} - unassigned
    assert [(one.name, one.reason) for one in selected.leftovers.named] == [
        (name, "beside the split folders, in none of them") for name in sorted(unassigned)
    ]
    assert kept.annotate("") == remark
    assert kept.annotate("nothing") == ("nothing; " + remark if remark else "nothing")


def test_held_out_pictures_alone_are_refused_under_the_name_of_the_option(tmp_path: Path) -> None:
    images.fill(tmp_path / "set" / "test", 1)
    with pytest.raises(DataError, match=r"^PHOTOS .*set: holds test/ and no pictures for training; put these into train/"):
        find_kept_splits(open_source(tmp_path / "set"), "PHOTOS")
    assert find_kept_splits(open_source(tmp_path / "set" / "test")).split_of == {}
