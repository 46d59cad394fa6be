"""Which pictures are of which split, what is said of it, and which split a number is measured on."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import images

from mitlgan.artifacts.card import read_card, read_weights_hash
from mitlgan.artifacts.load_save import record_metrics
from mitlgan.data.build.offline_augment import AugmentSettings, augment_pictures
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.curate.check import check_datasets, summarize_set
from mitlgan.data.curate.table_selection import Selection
from mitlgan.data.kept_splits import find_kept_splits
from mitlgan.data.layers.split import SplitSettings, split_pictures
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.image_source import open_source
from mitlgan.data.sources.split_folders import correct_split, find_split_folders, split_of_name, with_correct_splits
from mitlgan.data.splits import choose_evaluation_split, find_splits, resolve_split, split_source
from mitlgan.errors import DataError, UsageError
from mitlgan.project.make import make_project
from mitlgan.project.plan import ProjectRequest
from mitlgan.report.data_check_page import write_check_page
from mitlgan.report.run_report import write_run_report
from mitlgan.stages.context import RunContext
from mitlgan.training.run_directory import Run


def names_of(found: dict[str, list[str]]) -> dict[str, int]:
    return {split: len(names) for split, names in found.items()}


def tree(root: Path, *names: str) -> Path:
    """A picture under each name, no two alike."""
    for index, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        images.smooth(index, (16, 16)).save(path)
    return root


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ("train", "TRAIN", "Train", "training", "train_set", "training-images", "train2017", "Train Data")),
        ("validation", ("validation", "val", "Val", "valid", "VALID", "dev", "val_images", "val2017", "validation-set")),
        ("test", ("test", "Test", "TEST", "testing", "eval", "evaluation", "holdout", "held-out", "held_out", "testset", "test1")),
        (None, ("airplane", "data", "set", "images", "2017", "trains", "trainer", "validity", "tester", "latest", "", "training camp", "devil")),
    ],
)
def test_names_of_split_folders(split: str | None, names: tuple[str, ...]) -> None:
    assert {name: split_of_name(name) for name in names} == dict.fromkeys(names, split)


LAYOUTS: dict[str, tuple[list[str], dict[str, list[str]], list[str]]] = {
    # name: (pictures, those of each split, those beside the split folders)
    "flat": (["a.png", "b.png"], {"train": ["a.png", "b.png"]}, []),
    "classes": (["cat/a.png", "dog/b.png"], {"train": ["cat/a.png", "dog/b.png"]}, []),
    "train among classes": (["bus/a.png", "train/b.png"], {"train": ["bus/a.png", "train/b.png"]}, []),
    "test among classes": (["bus/a.png", "Test/b.png", "train/c.png"], {"train": ["bus/a.png", "Test/b.png", "train/c.png"]}, []),
    "train and test": (["Train/a.png", "TEST/b.png"], {"train": ["Train/a.png"], "test": ["TEST/b.png"]}, []),
    "three": (["dev/a.png", "test/b.png", "train/c.png"], {"train": ["train/c.png"], "validation": ["dev/a.png"], "test": ["test/b.png"]}, []),
    "train alone": (["train/a.png"], {"train": ["train/a.png"]}, []),
    "beside": (["train/a.png", "val/b.png", "c.png"], {"train": ["train/a.png"], "validation": ["val/b.png"]}, ["c.png"]),
    "held out beside": (["test/a.png", "b.png", "c.png"], {"train": ["b.png", "c.png"], "test": ["test/a.png"]}, []),
    "held out alone": (["test/a.png"], {"test": ["test/a.png"]}, []),
    "wrapped": (["photos/train/a.png", "photos/val/b.png"], {"train": ["photos/train/a.png"], "validation": ["photos/val/b.png"]}, []),
    "classes inside": (["train/cat/a.png", "test/cat/b.png"], {"train": ["train/cat/a.png"], "test": ["test/cat/b.png"]}, []),
    "in each class": (
        ["cat/train/a.png", "cat/test/b.png", "dog/train/c.png", "dog/test/d.png"],
        {"train": ["cat/train/a.png", "dog/train/c.png"], "test": ["cat/test/b.png", "dog/test/d.png"]},
        [],
    ),
    "beside a folder of splits": (
        ["data/test/b.png", "data/train/a.png", "c.png"],
        {"train": ["data/train/a.png"], "test": ["data/test/b.png"]},
        ["c.png"],
    ),
    "beside on two levels": (
        ["c.png", "data/d.png", "data/test/b.png", "data/train/a.png"],
        {"train": ["data/train/a.png"], "test": ["data/test/b.png"]},
        ["c.png", "data/d.png"],
    ),
    "beside classes with splits": (
        ["cat/train/a.png", "cat/test/b.png", "dog/train/c.png", "dog/test/d.png", "e.png"],
        {"train": ["cat/train/a.png", "dog/train/c.png"], "test": ["cat/test/b.png", "dog/test/d.png"]},
        ["e.png"],
    ),
    "beside a folder of held-out ones": (["a.png", "old/test/b.png"], {"train": ["a.png"], "test": ["old/test/b.png"]}, []),
    "beside a folder of training ones": (["a.png", "old/train/b.png"], {"train": ["a.png", "old/train/b.png"]}, []),
    "beside classes": (["a.png", "cat/b.png", "dog/c.png"], {"train": ["a.png", "cat/b.png", "dog/c.png"]}, []),
    "one start": (["seg_train/x/a.png", "seg_test/x/b.png"], {"train": ["seg_train/x/a.png"], "test": ["seg_test/x/b.png"]}, []),
    "one start of two words": (["a-b_train/a.png", "a-b_val/b.png"], {"train": ["a-b_train/a.png"], "validation": ["a-b_val/b.png"]}, []),
    "images first": (["images_train/a.png", "images_test/b.png"], {"train": ["images_train/a.png"], "test": ["images_test/b.png"]}, []),
    "images last": (["train_images/a.png", "test_images/b.png"], {"train": ["train_images/a.png"], "test": ["test_images/b.png"]}, []),
    "one end": (["train-clean/a.png", "test-clean/b.png"], {"train": ["train-clean/a.png"], "test": ["test-clean/b.png"]}, []),
    "one start beside": (["x_train/a.png", "x_test/b.png", "c.png"], {"train": ["x_train/a.png"], "test": ["x_test/b.png"]}, ["c.png"]),
    "no common start": (["x_train/a.png", "y_test/b.png"], {"train": ["x_train/a.png", "y_test/b.png"]}, []),
    "two domains": (["testA/a.png", "testB/b.png", "trainA/c.png"], {"train": ["testA/a.png", "testB/b.png", "trainA/c.png"]}, []),
    "held out with one start": (["x_val/a.png", "x_test/b.png"], {"train": ["x_val/a.png", "x_test/b.png"]}, []),
    "one with a start": (["x_test/a.png"], {"train": ["x_test/a.png"]}, []),
    "in one class": (["cat/train/a.png", "cat/test/b.png", "dog/c.png"], {"train": ["cat/train/a.png", "cat/test/b.png", "dog/c.png"]}, []),
}


@pytest.mark.parametrize(("names", "parts", "beside"), LAYOUTS.values(), ids=LAYOUTS)
def test_which_pictures_are_of_which_split(names: list[str], parts: dict[str, list[str]], beside: list[str]) -> None:
    found = find_split_folders(names, "--data x")
    assert {split: [names[place] for place in places] for split, places in found.parts.items()} == parts
    assert [names[place] for place in found.unassigned] == beside


@pytest.mark.parametrize(("names", "parts", "beside"), LAYOUTS.values(), ids=LAYOUTS)
def test_folders_and_archives_are_divided_alike(tmp_path: Path, names: list[str], parts: dict[str, list[str]], beside: list[str]) -> None:
    place = tree(tmp_path / "set", *names)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in names:
            archive.write(place / name, name)
    known = find_splits(str(place), "scene")
    assert {split: sorted(entry.name for entry in part.source.entries) for split, part in known.parts.items()} == {
        split: sorted(names) for split, names in parts.items()
    }
    for source in (place, tmp_path / "set.zip"):
        sources, found = split_source(open_source(source))
        assert {split: sorted(entry.name for entry in one.entries) for split, one in sources.items()} == {s: sorted(n) for s, n in parts.items()}
        assert len(found.unassigned) == len(beside)


WITH_TRAINING = {name: layout[0] for name, layout in LAYOUTS.items() if "train" in layout[1]}
TAKEN = "is taken for a class, as"
LOOK = "look like splits, but all are one set"
REMARKS: dict[str, tuple[list[str], str]] = {
    # name: (pictures, the beginning of what is said)
    "others beside": (["extra/a.png", "test/b.png", "train/c.png"], f"test/, train/ {TAKEN} extra/ next to it"),
    "within a folder": (["set/extra/a.png", "set/train/c.png"], f"set/train/ {TAKEN} set/extra/ next to it"),
    "within each class": (
        ["cat/test/a.png", "cat/x/b.png", "dog/test/c.png", "dog/x/d.png"],
        f"cat/test/ {TAKEN} cat/x/ next to it: all are one set; so is it in 1 more folders",
    ),
    "within a class, and loose": (["cat/test/a.png", "cat/x/b.png", "dog/c.png", "d.png"], f"cat/test/ {TAKEN} cat/x/ next to it"),
    "in one class, and loose": (["cat/train/a.png", "cat/test/b.png", "dog/c.png", "d.png"], "cat/ holds splits of its own"),
    "two domains": (["testA/a.png", "testB/b.png", "trainA/c.png"], f"testA/, testB/, trainA/ {LOOK}"),
    "two domains in a folder": (["x/testA/a.png", "x/trainA/c.png"], f"x/testA/, x/trainA/ {LOOK}"),
    "no common start": (["x_train/a.png", "y-test/b.png", "z/c.png"], f"x_train/, y-test/ {LOOK}"),
    "another start": (["seg_pred/a.png", "seg_test/b.png", "seg_train/c.png"], f"seg_test/, seg_train/ {LOOK}"),
    "held out beside": (["photos_val/a.png", "b.png"], "photos_val/ looks like a split, but all are one set"),
    "a name among many": (["Tom_Hanks/a.png", "Val_Ackerman/b.png", "Zico/c.png"], ""),
    "a class of two": (["test_tube/a.png", "beaker/b.png"], ""),
    "training alone": (["bullet_train/a.png", "steam_train/b.png", "c.png"], ""),
    "a folder around all": (["my_test/a.png", "my_test/b.png"], ""),
    "words that begin so": (["latest/a.png", "valley/b.png", "trainer/c.png", "testimony/d.png"], ""),
    "splits": (["train/a.png", "test/b.png", "c.png"], ""),
}


@pytest.mark.parametrize(("names", "remark"), REMARKS.values(), ids=REMARKS)
def test_folders_that_are_not_taken_for_splits_are_reported(names: list[str], remark: str) -> None:
    text = find_split_folders(names, "--data x").remark
    assert text.startswith(remark)
    assert bool(text) == bool(remark)


LISTS: dict[str, tuple[list[str], dict[str, list[str]], list[str]]] = {
    # name: (lines, those of each split, those beside the split folders)
    "flat": (["a.png", "b.png"], {"train": ["a.png", "b.png"]}, []),
    "splits": (["set/train/a.png", "set/test/b.png"], {"train": ["set/train/a.png"], "test": ["set/test/b.png"]}, []),
    "spelt in two ways": (["./train/a.png", "test/b.png"], {"train": ["./train/a.png"], "test": ["test/b.png"]}, []),
    "beside": (["train/a.png", "test/b.png", "c.png"], {"train": ["train/a.png"], "test": ["test/b.png"]}, ["c.png"]),
    "test pictures alone": (["test/a.png", "test/b.png"], {"train": ["test/a.png", "test/b.png"]}, []),
    "test pictures of several sets": (["bottle/test/a.png", "cable/test/b.png"], {"train": ["bottle/test/a.png", "cable/test/b.png"]}, []),
    "classes of test pictures": (["test/cat/a.png", "test/dog/b.png"], {"train": ["test/cat/a.png", "test/dog/b.png"]}, []),
}


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(("lines", "parts", "beside"), LISTS.values(), ids=LISTS)
def test_a_list_has_the_splits_of_its_paths(tmp_path: Path, lines: list[str], parts: dict[str, list[str]], beside: list[str], absolute: bool) -> None:
    """But of the folder around all of them: such a list is chosen by the user, and a folder of anybody's may be called `test`."""
    place = tree(tmp_path / "test", *lines)
    full = {line: str(place / line) if absolute else str(Path(line)) for line in lines}
    (place / "list.txt").write_text("\n".join(str(place / line) if absolute else line for line in lines))
    known = find_splits(str(place / "list.txt"), "scene")
    assert {split: [entry.name for entry in part.source.entries] for split, part in known.parts.items()} == {
        split: [full[name] for name in names] for split, names in parts.items()
    }
    assert [known.names[place] for place in known.layout.unassigned] == [full[name] for name in beside]


@pytest.mark.parametrize(("first", "second"), [("val", "validation"), ("test", "Testing"), ("train", "TRAIN")])
def test_two_folders_of_one_split_are_refused(tmp_path: Path, first: str, second: str) -> None:
    place = tree(tmp_path, "train/a.png", f"{first}/b.png", f"{second}/c.png")
    with pytest.raises(DataError, match=rf"--data .*: ({first}/ and {second}|{second}/ and {first})/ both mean"):
        open_data(str(place), "scene", 8)


def test_a_list_of_held_out_pictures_is_one_set_and_that_is_said(tmp_path: Path) -> None:
    place = tree(tmp_path, "bottle/test/a.png", "cable/test/b.png")
    (place / "list.txt").write_text("bottle/test/a.png\ncable/test/b.png\n")
    kept = find_kept_splits(open_source(place / "list.txt"))
    assert (kept.split_of, kept.unassigned) == ({}, frozenset())
    assert kept.remark == "bottle/test/, cable/test/ hold all the pictures that were chosen: they are one set"


class TestWhatIsSaid:
    def test_the_part_that_is_taken_and_what_is_left_stand_in_one_line_and_in_the_manifest(self, tmp_path: Path) -> None:
        place = tree(tmp_path, "Train/a.png", "Train/b.png", "val/c.png", "stray\n.png")
        said: list[str] = []
        packed = open_data(str(place), "scene", 8, say=said.append)
        assert said == [
            f"{place}: train pictures are Train/ (2); left out: val/ (1, validation), 1 pictures next to the split folders (stray\\n.png)",
        ]
        assert packed.manifest["split"] == {"name": "train", "folders": ["Train/"], "left": {"val/": 1}, "beside": 1, "remark": ""}
        assert [entry["name"] for entry in packed.manifest["skipped"]] == ["stray\n.png"]
        open_data(str(place), "scene", 8, say=said.append)
        assert said[1] == said[0]  # from the cache, too

    def test_a_class_called_train_is_said_to_be_one(self, tmp_path: Path) -> None:
        said: list[str] = []
        packed = open_data(str(tree(tmp_path, "airplane/a.png", "bus/b.png", "train/c.png")), "scene", 8, say=said.append)
        assert len(packed) == 3
        assert said == [f"{tmp_path}: train/ is taken for a class, as airplane/, bus/ next to it: all are one set"]

    @pytest.mark.parametrize("names", [("a.png",), ("cat/a.png", "dog/b.png"), ("train/a.png",)])
    def test_nothing_is_said_of_what_anybody_would_expect(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        said: list[str] = []
        assert len(open_data(str(tree(tmp_path, *names)), "scene", 8, say=said.append)) == len(names)
        assert said == []

    def test_a_pack_of_a_folder_takes_the_same_part(self, tmp_path: Path) -> None:
        said: list[str] = []
        packed = pack_folder(tree(tmp_path / "in", "TRAIN/a.png", "eval/b.png"), tmp_path / "a.npy", size_px=8, say=said.append)
        assert (len(packed), len(said), packed.manifest["split"]["left"]) == (1, 1, {"eval/": 1})


def test_held_out_folders_alone_are_no_pictures_for_training(tmp_path: Path) -> None:
    place = str(tree(tmp_path, "test/a.png"))
    with pytest.raises(DataError, match=r"holds test/ and no pictures for training; .*name the folder inside"):
        open_data(place, "scene", 8)
    assert len(open_data(place, "scene", 8, split="test")) == 1
    assert len(open_data(f"{place}/test", "scene", 8)) == 1


@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_what_prepare_made_is_opened_by_split(tmp_path: Path, held_out: str) -> None:
    """A pack at the top for training, those of held-out pictures in the folders of their splits."""
    source = tree(tmp_path / "in", "a.png", "b.png", "c.png")
    pack_folder(source, tmp_path / "set" / "prepared.npy", size_px=8)
    pack_folder(tree(tmp_path / "other", "d.png"), tmp_path / "set" / held_out / "prepared.npy", size_px=8)
    spec = str(tmp_path / "set")
    assert (len(open_data(spec, "fg", 8)), len(open_data(spec, "fg", 8, split=held_out))) == (3, 1)
    assert list(find_splits(spec, "fg").parts) == ["train", held_out]
    assert find_splits(spec, "fg").describe_available() == f"train (3 pictures), {held_out} (1 pictures)"
    for inner in (f"{spec}/{held_out}", f"{spec}/{held_out}/prepared.npy"):
        assert resolve_split(inner, "fg", "train") == held_out
    assert resolve_split(f"{spec}/prepared.npy", "fg", "test") == "train"


def test_a_linked_split_folder_is_followed(tmp_path: Path) -> None:
    tree(tmp_path, "elsewhere/a.png", "set/test/b.png")
    (tmp_path / "set" / "train").symlink_to(tmp_path / "elsewhere")
    assert find_splits(str(tmp_path / "set"), "fg").describe_available() == "train (1 pictures), test (1 pictures)"


@pytest.mark.parametrize(
    ("inside", "others", "split"),
    [
        ("test", ("train/x.png",), "test"),
        ("Val", ("training/x.png",), "validation"),
        ("test", (), "train"),
        ("test", ("cat/x.png", "train/y.png"), "train"),
    ],
)
def test_a_folder_named_itself_is_a_split_only_beside_training_pictures(tmp_path: Path, inside: str, others: tuple[str, ...], split: str) -> None:
    """A folder of anybody's may be called `test`."""
    tree(tmp_path, f"{inside}/a.png", *others)
    assert list(find_splits(str(tmp_path / inside), "scene").parts) == [split]


class TestPacks:
    def test_a_pack_is_of_the_split_that_it_records(self, tmp_path: Path) -> None:
        """Whatever split is asked of it."""
        place = tree(tmp_path / "in", "train/a.png", "test/b.png")
        held_out = pack_folder(place / "test", tmp_path / "x.npy", size_px=8)
        training = pack_folder(place, tmp_path / "y.npy", size_px=8)
        demo = open_data("demo", "bg", 8, split="validation")
        found = {str(pack.path): resolve_split(str(pack.path), "bg", "validation") for pack in (held_out, training, demo)}
        assert list(found.values()) == ["test", "train", "validation"]

    def test_a_pack_that_records_none_is_of_training_unless_its_name_beside_another_says_so(self, tmp_path: Path) -> None:
        plain = pack_folder(tree(tmp_path / "in", "a.png"), tmp_path / "test.npy", size_px=8)
        assert "split" not in ImagePack.open(plain.path).manifest
        assert resolve_split(str(plain.path), "bg", "test") == "train"
        pack_folder(tmp_path / "in", tmp_path / "train.npy", size_px=8)
        assert resolve_split(str(plain.path), "bg", "train") == "test"


class TestMeasuredSplit:
    def test_a_split_that_is_asked_for_must_be_there(self, tmp_path: Path) -> None:
        place = str(tree(tmp_path, "train/a.png", "train/b.png", "val/c.png"))
        assert choose_evaluation_split(place, "scene", "val", "test", pytest.fail) == "validation"
        with pytest.raises(DataError, match=r"--split test: .* has no test pictures; it has train \(2 pictures\), validation \(1 pictures\)"):
            choose_evaluation_split(place, "scene", "test", "test", pytest.fail)
        with pytest.raises(UsageError, match="--split other: not one of train, validation, test"):
            choose_evaluation_split(place, "scene", "other", "test", pytest.fail)

    @pytest.mark.parametrize(
        ("names", "default", "split", "flattered"),
        [
            (("a.png",), "test", "train", True),
            (("train/a.png", "val/b.png"), "test", "validation", False),
            (("train/a.png", "Test/b.png"), "validation", "test", False),
            (("train/a.png", "train/b.png"), "validation", "train", True),
        ],
    )
    def test_what_stands_in_for_a_default_is_said(self, tmp_path: Path, names: tuple[str, ...], default: str, split: str, flattered: bool) -> None:
        said: list[str] = []
        assert choose_evaluation_split(str(tree(tmp_path, *names)), "scene", None, default, said.append) == split
        assert said[0].startswith(f"warning: {tmp_path} has no {default} pictures: its {split} pictures stand in")
        assert ("flattered" in said[0], len(said)) == (flattered, 1)

    def test_the_demo_has_what_it_has(self) -> None:
        assert choose_evaluation_split("demo", "scene", None, "test", pytest.fail) == "test"
        with pytest.raises(DataError, match="it has train, validation"):
            choose_evaluation_split("demo", "bg", "test", "train", pytest.fail)

    @pytest.mark.parametrize(("recorded", "measured", "split"), [("test", "same", "train"), ("test", "other", "test"), ("train", "same", "train")])
    def test_a_record_of_the_training_pictures_is_of_training(self, recorded: str, measured: str, split: str) -> None:
        assert correct_split(recorded, measured, "same") == split


def _retimed(file: Path) -> None:
    """Other pixels in place: same size, same time of change as far as anybody can set it."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-40:] = bytes(255 - value for value in content[-40:])
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def _bmps(folder: Path, first: int = 0) -> Path:
    folder.mkdir(parents=True)
    for index in range(4):
        images.smooth(first + index, (16, 16)).save(folder / f"{index}.bmp")
    return folder


def _same_dates(*folders: Path) -> None:
    for folder in folders:
        for file in folder.rglob("*.bmp"):
            os.utime(file, (1_700_000_000, 1_700_000_000))


class TestCacheIdentity:
    """What a cached pack stands for is all that decides its content."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda place: _retimed(place / "0.bmp"),
            lambda place: (place / "0.bmp").rename(place / "9.bmp"),
            lambda place: (place / "3.bmp").unlink(),
            lambda place: images.smooth(99, (16, 16)).save(place / "4.bmp"),
            lambda place: (place / "0.bmp").replace(place / "1.bmp"),
            lambda place: [images.smooth(50 + index, (16, 16), "L").save(place / f"{index}.matte.png") for index in range(4)],
            lambda place: _bmps(place / "train", 20),
        ],
        ids=["edited in place", "renamed", "removed", "added", "replaced", "mattes added", "a split folder added"],
    )
    def test_a_changed_folder_is_packed_again(self, tmp_path: Path, change: Callable[[Path], object]) -> None:
        place = _bmps(tmp_path / "in")
        first = open_data(str(place), "scene", 8)
        change(place)
        second = open_data(str(place), "scene", 8)
        assert second.path != first.path
        fresh = pack_folder(place, tmp_path / "fresh.npy", size_px=8)
        assert second.content_sha256 == fresh.content_sha256

    def test_an_edited_matte_is_seen(self, tmp_path: Path) -> None:
        place = _bmps(tmp_path / "in")
        for index in range(4):
            images.smooth(50 + index, (16, 16), "L").save(place / f"{index}.matte.png", compress_level=0)
        first = open_data(str(place), "scene", 8)
        with_matte = place / "2.matte.png"
        before = with_matte.stat()
        images.smooth(70, (16, 16), "L").save(with_matte, compress_level=0)
        assert with_matte.stat().st_size == before.st_size
        second = open_data(str(place), "scene", 8)
        assert (second.pixels[2, 3] != first.pixels[2, 3]).any()

    @pytest.mark.parametrize("arguments", [{"role": "fg"}, {"size_px": 16}, {"resize": "nearest"}], ids=lambda arguments: next(iter(arguments)))
    def test_other_settings_are_other_packs(self, tmp_path: Path, arguments: dict[str, object]) -> None:
        place = _bmps(tmp_path / "in")
        usual: dict[str, object] = {"role": "scene", "size_px": 8, "resize": "lanczos"}
        packs = [open_data(str(place), **(usual | other)) for other in ({}, arguments)]  # type: ignore[arg-type]
        assert packs[0].path != packs[1].path

    def test_folders_and_splits_alike_in_names_sizes_and_times_stay_apart(self, tmp_path: Path) -> None:
        places = [_bmps(tmp_path / "red" / "photos"), _bmps(tmp_path / "blue" / "photos", 30), _bmps(tmp_path / "set" / "train", 60)]
        places.append(_bmps(tmp_path / "set" / "validation", 90))
        _same_dates(*places)
        found = [open_data(str(place), "scene", 8).content_sha256 for place in places]
        whole = [open_data(str(tmp_path / "set"), "scene", 8, split=split).content_sha256 for split in ("train", "validation")]
        assert len(set(found)) == 4
        assert whole == found[2:]

    def test_a_moved_folder_with_the_same_content_gives_the_same_pixels(self, tmp_path: Path) -> None:
        first = open_data(str(_bmps(tmp_path / "a")), "scene", 8)
        (tmp_path / "a").rename(tmp_path / "b")
        _bmps(tmp_path / "a", 30)
        assert open_data(str(tmp_path / "b"), "scene", 8).content_sha256 == first.content_sha256
        assert open_data(str(tmp_path / "a"), "scene", 8).content_sha256 != first.content_sha256

    def test_another_version_of_the_code_packs_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place = _bmps(tmp_path / "in")
        first = open_data(str(place), "scene", 8)
        monkeypatch.setattr("mitlgan.data.open.PACK_VERSION", 999)
        assert open_data(str(place), "scene", 8).path != first.path

    def test_a_pack_under_anothers_name_is_not_taken(self, tmp_path: Path) -> None:
        red, blue = (open_data(str(_bmps(tmp_path / name, first)), "scene", 8) for name, first in (("red", 0), ("blue", 30)))
        for suffix in (".npy", ".json"):
            red.path.with_suffix(suffix).write_bytes(blue.path.with_suffix(suffix).read_bytes())
        assert open_data(str(tmp_path / "red"), "scene", 8).content_sha256 == red.content_sha256 != blue.content_sha256

    def test_a_demo_pack_under_anothers_name_is_not_taken(self) -> None:
        train, held_out = (open_data("demo", "bg", 12, split=split) for split in ("train", "validation"))
        for suffix in (".npy", ".json"):
            train.path.with_suffix(suffix).write_bytes(held_out.path.with_suffix(suffix).read_bytes())
        assert open_data("demo", "bg", 12).content_sha256 == train.content_sha256 != held_out.content_sha256

    def test_an_idx_file_edited_in_place_is_read_again(self, tmp_path: Path) -> None:
        file = tmp_path / "train-images-idx3-ubyte"
        pixels = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
        file.write_bytes(bytes.fromhex("00000803") + b"".join(side.to_bytes(4, "big") for side in pixels.shape) + pixels.tobytes())
        first = open_data(str(file), "scene", 28)
        _retimed(file)
        assert open_data(str(file), "scene", 28).content_sha256 != first.content_sha256

    def test_a_cifar_file_edited_in_its_folder_is_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The folder's own time does not change when a file in it does."""
        monkeypatch.setattr("mitlgan.data.readers.cifar.RECORDS_PER_FILE", 3)
        for index, name in enumerate([*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]):
            records = np.random.default_rng(index).integers(0, 256, (3, 3073), dtype=np.uint8)
            records[:, 0] = 1
            (tmp_path / name).write_bytes(records.tobytes())
        spec = str(tmp_path)
        first, held_out = (open_data(spec, "scene", 32, split=split) for split in ("train", "test"))
        assert (len(first), len(held_out)) == (15, 3)
        assert resolve_split(spec, "scene", "validation") == "train"
        _retimed(tmp_path / "data_batch_3.bin")
        assert open_data(spec, "scene", 32).content_sha256 != first.content_sha256
        assert open_data(spec, "scene", 32, split="test").path == held_out.path


@pytest.mark.parametrize("kind", ["folder", "matte", "tar"])
def test_a_listing_tells_of_an_edit_in_place(tmp_path: Path, kind: str) -> None:
    """By it `data prepare`, `split` and `augment` know whether they may go on with what they began."""
    place = _bmps(tmp_path / "in")
    images.smooth(5, (16, 16), "L").save(place / "0.matte.png", compress_level=0)
    spec, edited = place, place / ("0.matte.png" if kind == "matte" else "0.bmp")

    def pack() -> None:
        with tarfile.open(tmp_path / "in.tar", "w") as archive:
            for file in sorted(place.iterdir()):
                info = archive.gettarinfo(file, file.name)
                info.mtime = 0
                archive.addfile(info, io.BytesIO(file.read_bytes()))
        os.utime(tmp_path / "in.tar", (0, 0))

    if kind == "tar":
        pack()
        spec = tmp_path / "in.tar"
    before = open_source(spec).listing_sha256()
    assert open_source(spec).listing_sha256() == before
    _retimed(edited)
    if kind == "tar":
        pack()
    assert open_source(spec).listing_sha256() != before


def packed_as_zip(place: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for inside in sorted(path for path in place.rglob("*") if path.is_file()):
            archive.write(inside, inside.relative_to(place))
    return file


class TestCommandsThatTakeAFolder:
    """All of them know the same split folders."""

    @pytest.mark.parametrize("form", ["folder", "zip"])
    def test_check_sees_a_leak_into_val_and_what_lies_beside(self, tmp_path: Path, form: str) -> None:
        place = tree(tmp_path / "set", "Train/a.png", "Train/b.png", "val/c.png", "stray.png")
        (place / "val" / "d.png").write_bytes((place / "Train" / "a.png").read_bytes())
        spec = str(place if form == "folder" else packed_as_zip(place, tmp_path / "set.zip"))
        result = check_datasets([spec])
        assert [(report.name, report.split, len(report.pictures)) for report in result.sets] == [
            (f"{spec}/Train", "train", 2),
            (f"{spec}/val", "validation", 2),
        ]
        sentences = [text for text, bad in result.verdict if bad]
        helps = f"find {spec} -maxdepth 1 -type f -exec mv -n {{}} {spec}/Train \\;" if form == "folder" else f"mitlgan data stats {spec} --json"
        beside = next(text for text in sentences if text.startswith(f"{spec}: 1 pictures are next to the split folders, in no split: stray.png; "))
        assert beside.endswith(helps)
        assert [left["name"] for left in summarize_set(result.sets[0])["skipped"]] == ["stray.png"]
        assert any(f"{spec}/Train and {spec}/val: 1 equal pair leaks from training" in text for text in sentences)
        page = write_check_page(tmp_path / "page.html", result)
        assert page.read_text().count("data:image") >= 5  # two of each set, and the pair

    def test_check_looks_at_both_packs_that_prepare_made(self, tmp_path: Path) -> None:
        source = tree(tmp_path / "in", "a.png", "b.png")
        for place in (tmp_path / "set", tmp_path / "set" / "test"):
            pack_folder(source, place / "prepared.npy", size_px=16)
        result = check_datasets([str(tmp_path / "set")])
        assert [(report.name, report.split) for report in result.sets] == [(str(tmp_path / "set"), "train"), (str(tmp_path / "set" / "test"), "test")]
        assert any("2 equal pairs leak" in text for text, _ in result.verdict)

    def test_the_command_that_moves_pictures_into_training_finds_them(self, tmp_path: Path) -> None:
        place = tree(tmp_path / "set", "x/train/a.png", "x/test/b.png", "stray.png")
        (sentence,) = [text for text, _ in check_datasets([str(place)]).verdict if "in no split" in text]
        subprocess.run(sentence.partition("to train on them, too: ")[2], shell=True, check=True)
        assert find_splits(str(place), "scene").describe_available() == "train (2 pictures), test (1 pictures)"

    def test_check_says_what_is_taken_for_a_class(self, tmp_path: Path) -> None:
        result = check_datasets([str(tree(tmp_path, "bus/a.png", "train/b.png"))])
        assert (f"{tmp_path}: train/ is taken for a class, as bus/ next to it: all are one set.", False) in result.verdict
        assert [(report.split, len(report.pictures)) for report in result.sets] == [("", 2)]
        assert summarize_set(result.sets[0])["remark"] == "train/ is taken for a class, as bus/ next to it: all are one set"

    @pytest.mark.parametrize("form", ["folder", "zip"])
    def test_augment_takes_the_training_pictures(self, tmp_path: Path, form: str) -> None:
        place = tree(tmp_path / "set", "training/a.png", "dev/b.png")
        said: list[str] = []
        spec = place if form == "folder" else packed_as_zip(place, tmp_path / "set.zip")
        assert augment_pictures(spec, tmp_path / "out", AugmentSettings(factor=2), say=said.append)["made"] == 2
        assert said == [f"{spec}: train pictures are training/ (1); left out: dev/ (1, validation)"]

    @pytest.mark.parametrize("form", ["folder", "zip", "list"])
    @pytest.mark.parametrize("names", WITH_TRAINING.values(), ids=WITH_TRAINING)
    def test_all_train_on_the_same_pictures(self, tmp_path: Path, names: list[str], form: str) -> None:
        """What `prepare` holds out anew, where there are no splits, is not asked here: with so few pictures it is none."""
        place = tree(tmp_path / "set", *names)
        if form == "list":
            (place / "list.txt").write_text("\n".join(names))
        spec = {"folder": place, "zip": packed_as_zip(place, tmp_path / "set.zip"), "list": place / "list.txt"}[form]
        said: list[str] = []
        packs = {
            "--data": open_data(str(spec), "scene", 8, say=said.append),
            "pack": pack_folder(spec, tmp_path / "pack.npy", size_px=8),
            "prepare": prepare_pack(spec, tmp_path / "out", PrepareSettings(8)),
        }
        expected = sorted(entry.name for entry in find_splits(str(spec), "scene").parts["train"].source.entries)
        assert {command: sorted(source["name"] for source in pack.sources()) for command, pack in packs.items()} == dict.fromkeys(packs, expected)
        assert augment_pictures(spec, tmp_path / "more", AugmentSettings(factor=1))["pictures"] == len(expected)
        kept = find_kept_splits(open_source(spec))
        assert sorted(name for name in names if kept.split_of.get(name, "train") == "train" and name not in kept.unassigned) == expected
        left_out = {entry["name"] for entry in packs["prepare"].manifest["skipped"]}
        assert left_out == set(kept.unassigned)
        for line in filter(None, (kept.remark, find_splits(str(spec), "scene").layout.remark)):
            assert line in packs["prepare"].manifest["made_by"]["note"]
        assert bool(said) == bool(kept.split_of or kept.remark)

    @pytest.mark.parametrize("form", ["folder", "zip", "list"])
    def test_none_trains_on_held_out_pictures_for_want_of_others(self, tmp_path: Path, environment: RunContext, form: str) -> None:
        pytest.importorskip("cv2")
        place = tree(tmp_path / "set", "val/a.png", "test/b.png")
        (place / "list.txt").write_text("val/a.png\ntest/b.png")
        spec = {"folder": place, "zip": packed_as_zip(place, tmp_path / "set.zip"), "list": place / "list.txt"}[form]
        calls: list[Callable[[Path], object]] = [
            lambda out: pack_folder(spec, out.with_suffix(".npy"), size_px=8),
            lambda out: open_data(str(spec), "scene", 8),
            lambda out: prepare_pack(spec, out, PrepareSettings(8)),
            lambda out: split_pictures(spec, out, SplitSettings()),
            lambda out: augment_pictures(spec, out, AugmentSettings(factor=1)),
            lambda out: make_project(ProjectRequest(str(spec)), out, environment),
        ]
        before = sorted(tmp_path.rglob("*"))
        for call in calls:
            with pytest.raises(DataError, match=r"set.* holds val/, test/ and no pictures for training; put these into train/, or name the folder"):
                call(tmp_path / "out")
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_folder_that_is_named_itself_is_prepared(self, tmp_path: Path) -> None:
        place = tree(tmp_path / "set", "x_train/a.png", "x_test/b.png")
        assert list(find_splits(str(place / "x_test"), "scene").parts) == ["test"]
        assert len(prepare_pack(place / "x_test", tmp_path / "out", PrepareSettings(8))) == 1

    def test_a_table_that_chooses_pictures_of_two_splits_keeps_them(self, tmp_path: Path) -> None:
        place = tree(tmp_path / "set", "train/a.png", "train/b.png", "test/c.png", "test/d.png")
        (tmp_path / "t.csv").write_text("image,n\ntrain/a.png,1\ntest/c.png,2\ntest/d.png,3\n")
        for where, counts in (("n > 0", {"train": 1, "test": 2}), ("n > 1", {"train": 2})):
            prepare_pack(place, tmp_path / where, PrepareSettings(8), selection=Selection(tmp_path / "t.csv", where=where))
            assert {split: part.count for split, part in find_splits(str(tmp_path / where), "scene").parts.items()} == counts

    @pytest.mark.parametrize("form", ["folder", "zip"])
    def test_prepare_keeps_splits_of_any_name(self, tmp_path: Path, form: str) -> None:
        place = tree(tmp_path / "set", "TRAIN/a.png", "TRAIN/b.png", "Val/c.png", "eval/d.png", "stray.png")
        spec = place if form == "folder" else packed_as_zip(place, tmp_path / "set.zip")
        made = prepare_pack(spec, tmp_path / "out", PrepareSettings(8))
        found = find_splits(str(tmp_path / "out"), "scene")
        assert {split: part.count for split, part in found.parts.items()} == {"train": 2, "validation": 1, "test": 1}
        assert [entry["name"] for entry in made.manifest["skipped"]] == ["stray.png"]


class TestRecords:
    """Cards and reports of earlier versions call training pictures by the split that was asked for."""

    def test_every_figure_of_a_record_names_the_split_that_it_was_measured_on(self) -> None:
        figure = {"value": 1.0, "split": "test", "data_sha256": "aa"}
        record = {"protocol": {"split": "test"}, "frechet": figure, "embedding": {"protocol": {"split": "validation", "data_sha256": "bb"}}}
        corrected = with_correct_splits(record, "aa")
        assert corrected["frechet"] == figure | {"split": "train", "split_recorded": "test"}
        assert corrected["protocol"] == {"split": "train", "split_recorded": "test"}
        assert corrected["embedding"] == record["embedding"]
        assert with_correct_splits(record, "cc") == record
        assert with_correct_splits(record, "") == record

    def test_a_card_and_the_report_of_its_run_say_what_is_true(self, pretrained: dict[str, Run], tmp_path: Path) -> None:
        run = Run(tmp_path / "run")
        shutil.copytree(pretrained["bg"].path, run.path)
        assert run.artifact_file is not None
        training = read_card(run.artifact_file).data["content_sha256"]
        about = {"generated": 12, "real": 12, "split": "test", "data_sha256": training}
        wrong = {"protocol": {"samples": 12, "split": "test"}, **{key: {"value": 1.0, "std": 0.0, **about} for key in ("frechet", "kid")}}
        record_metrics(run.artifact_file, wrong, read_weights_hash(run.artifact_file))
        assert read_card(run.artifact_file).metrics["frechet"]["split"] == "train"
        paths, findings = write_run_report(run.path)
        assert "The figures were recorded as of test, but they are of the pictures that the network was trained on." in findings
        protocol = json.loads(paths.json.read_text())["protocol"]
        assert (protocol["split"], protocol["generated"], protocol["real"]) == ("train", 12, 12)
        right = {key: value | {"split": "test", "data_sha256": "0"} if isinstance(value, dict) else value for key, value in wrong.items()}
        record_metrics(run.artifact_file, right, read_weights_hash(run.artifact_file))
        paths, findings = write_run_report(run.path)
        assert json.loads(paths.json.read_text())["protocol"]["split"] == "test"
        assert not any("recorded" in finding for finding in findings)
