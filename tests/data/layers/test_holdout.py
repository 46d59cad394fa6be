"""What is held out: by content alone, look-alikes together, whatever else is there."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import images

from mitlgan.data.build.offline_augment import AugmentSettings, augment_pictures
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import ImagePreparer, PrepareSettings
from mitlgan.data.curate.perceptual_hash import PictureHash
from mitlgan.data.curate.reference_sets import find_held_out_packs, read_reference_set
from mitlgan.data.layers.holdout import HoldoutSize, Photograph, assign_splits, find_families, group_look_alikes
from mitlgan.data.pack.image_pack import PREPARED_PACK, ImagePack
from mitlgan.errors import UsageError


def photographs(count: int, first: int = 0) -> list[Photograph]:
    """All different to look at."""
    found = []
    for index in range(first, first + count):
        rng = np.random.default_rng([7, index])
        outline = int(rng.integers(0, 2**63))
        digest = hashlib.sha256(str(index).encode()).hexdigest()
        found.append(Photograph([PictureHash(digest, outline, rng.integers(0, 256, 192, np.uint8).tobytes())]))
    return found


def like(one: Photograph, digest: str) -> Photograph:
    return Photograph([replace(one.hashes[0], sha256=digest)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10%", HoldoutSize(0.1)), ("0", HoldoutSize()), ("0%", HoldoutSize()), ("25", HoldoutSize(count=25)), (" 2.5 % ", HoldoutSize(0.025))],
)
def test_how_many_in_words(text: str, expected: HoldoutSize) -> None:
    assert HoldoutSize.parse(text) == expected


@pytest.mark.parametrize("text", ["", "x", "100%", "-1", "0.1", "1e3", "10%%", "nan"])
def test_no_such_number(text: str) -> None:
    with pytest.raises(UsageError, match=r"--holdout .*10%"):
        HoldoutSize.parse(text)


def test_a_share_is_about_that_share_and_others_never_move() -> None:
    many = photographs(2000)
    splits = assign_splits(many, HoldoutSize(0.1)).splits
    assert 160 <= splits.count("test") <= 240
    assert splits.count("train") == 2000 - splits.count("test")
    order = np.random.default_rng(0).permutation(700)
    fewer = assign_splits([many[index] for index in order], HoldoutSize(0.1)).splits
    assert list(fewer) == [splits[index] for index in order]


def test_a_count_is_that_count() -> None:
    splits = assign_splits(photographs(100), HoldoutSize(count=17)).splits
    assert splits.count("test") == 17
    assert assign_splits(photographs(12), HoldoutSize(count=2)).splits.count("test") == 2
    with pytest.raises(UsageError, match="--holdout 12: there are 12 usable"):
        assign_splits(photographs(12), HoldoutSize(count=12))


def test_look_alikes_equal_files_and_families_stay_together() -> None:
    some = photographs(60)
    some += [like(some[0], "aa"), like(some[0], "bb"), Photograph(photographs(1, 500)[0].hashes, family="x"), Photograph(some[3].hashes, family="x")]
    groups = group_look_alikes(some)
    assert [group for group in groups if len(group) > 1] == [[0, 60, 61], [3, 62, 63]]
    for share in (0.05, 0.3, 0.7):
        splits = assign_splits(some, HoldoutSize(share)).splits
        assert len({splits[0], splits[60], splits[61]}) == 1
        assert len({splits[3], splits[62], splits[63]}) == 1


def test_large_groups_are_held_out_no_more_often() -> None:
    held_out = 0
    for trial in range(200):
        one = photographs(1, 1000 + trial)[0]
        group = [like(one, hashlib.sha256(f"{trial} {index}".encode()).hexdigest()) for index in range(30)]
        held_out += assign_splits(photographs(40) + group, HoldoutSize(0.1)).splits[-1] == "test"
    assert held_out < 40


def test_few_pictures() -> None:
    few = assign_splits(photographs(19), HoldoutSize(0.1))
    assert set(few.splits) == {""}
    assert "19 photographs are too few for 10%; --holdout 2 holds out two" in few.note
    for count in range(20, 40):
        assert assign_splits(photographs(count), HoldoutSize(0.01)).splits.count("test") == 2
    one = photographs(1)[0]
    alike = assign_splits([like(one, f"{index:064x}") for index in range(30)], HoldoutSize(0.1))
    assert set(alike.splits) == {""}
    assert "look alike" in alike.note


def test_splits_that_are_there_are_kept() -> None:
    splits = ("train", "validation", "test", "train")
    kept = assign_splits([Photograph(one.hashes, split) for one, split in zip(photographs(4), splits, strict=True)], HoldoutSize(0.5))
    assert kept.splits == splits
    assert "kept" in kept.note


def test_prepare_holds_out(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 40, size=(32, 32))
    images.smooth(4, (32, 32)).save(place / "like.jpg", quality=90)
    packed = prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8, holdout="30%"))
    (test,) = find_held_out_packs(packed.path).values()
    names, held_out = ({source["name"] for source in pack.sources()} for pack in (packed, test))
    assert len(names) + len(held_out) == 41
    assert not names & held_out
    assert 5 <= len(held_out) <= 20
    assert ("like.jpg" in names) == ("0004.png" in names)
    expected = prepare_pack(place, tmp_path / "all", PrepareSettings(size_px=8, holdout="0"))
    rows = {source["name"]: expected.pixels[index] for index, source in enumerate(expected.sources())}
    for pack in (packed, test):
        assert all((pack.pixels[index] == rows[source["name"]]).all() for index, source in enumerate(pack.sources()))
    assert not (tmp_path / "all" / "test").exists()
    assert len(read_reference_set(tmp_path / "out", ImagePreparer(PrepareSettings(), with_matte=False).hash).pictures) == 41
    again = prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8, holdout="30%"))
    assert again.content_sha256 == packed.content_sha256


def test_prepare_adds_pictures_without_moving_others(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 30, size=(32, 32))
    prepare_pack(place, tmp_path / "one", PrepareSettings(size_px=8))
    images.fill(place, 30, size=(32, 32), first=60)
    prepare_pack(place, tmp_path / "two", PrepareSettings(size_px=8))
    first, second = ({source["name"] for source in ImagePack.open(tmp_path / out / "test" / PREPARED_PACK).sources()} for out in ("one", "two"))
    old = {f"{index:04d}.png" for index in range(30)}
    assert second & old == first or len(first) == 2  # two are held out at least


def test_prepare_keeps_the_splits_of_its_source(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        images.fill(tmp_path / "in" / split, 3 + number, first=20 * number)
    packed = prepare_pack(tmp_path / "in", tmp_path / "out", PrepareSettings(size_px=8))
    assert (len(packed), {split: len(pack) for split, pack in find_held_out_packs(packed.path).items()}) == (3, {"validation": 4, "test": 5})
    assert "kept" in packed.manifest["made_by"]["note"]


def test_a_picture_in_no_split_takes_no_equal_one_with_it(tmp_path: Path) -> None:
    """It comes first by its name, and is left out before duplicates are."""
    for number, split in enumerate(("train", "test")):
        images.fill(tmp_path / "in" / split, 3, first=20 * number)
    shutil.copy(tmp_path / "in" / "train" / "0000.png", tmp_path / "in" / "a.png")
    packed = prepare_pack(tmp_path / "in", tmp_path / "out", PrepareSettings(size_px=8))
    assert [source["name"] for source in packed.sources()] == ["train/0000.png", "train/0001.png", "train/0002.png"]
    assert [entry["name"] for entry in packed.manifest["skipped"]] == ["a.png"]
    assert "1 pictures next to the split folders are left out (a.png)" in packed.manifest["made_by"]["note"]


def test_changed_copies_of_a_picture_stay_together(tmp_path: Path) -> None:
    augment_pictures(images.fill(tmp_path / "in", 24), tmp_path / "more", AugmentSettings(factor=3))
    names = sorted(path.name for path in (tmp_path / "more").glob("*.png"))
    families = find_families(tmp_path / "more", names)
    assert len(set(families)) == 24
    assert find_families(tmp_path / "in", ["a-00.png", "a-01.png"]) == ["a-00", "a-01"]
    packed = prepare_pack(tmp_path / "more", tmp_path / "out", PrepareSettings(size_px=8, dedupe="none"))
    held_out = {source["name"][:-7] for source in find_held_out_packs(packed.path)["test"].sources()}
    assert held_out
    assert not held_out & {source["name"][:-7] for source in packed.sources()}


def test_a_folder_whose_training_pack_is_gone_is_made_again(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 30)
    packed = prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8))
    content = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("prepared.*")}
    assert len(content) == 4
    packed.path.unlink()  # as if it had been stopped between the packs
    shutil.rmtree(tmp_path / "out" / "test")
    prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8))
    assert {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("prepared.*")} == content
