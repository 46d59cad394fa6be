"""`--data` takes what `data prepare` takes: archives, StyleGAN's zip, ImageFolder, parquet files, lists."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import images

from mitlgan.data import open as opening
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.splits import choose_evaluation_split, find_splits
from mitlgan.errors import DataError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    images.fill(folder, 6)
    return folder


def as_zip(folder: Path, out: Path) -> Path:
    return Path(shutil.make_archive(str(out), "zip", folder))


def as_tar(folder: Path, out: Path) -> Path:
    return Path(shutil.make_archive(str(out), "gztar", folder))


def as_plain_tar(folder: Path, out: Path) -> Path:
    path = out.with_suffix(".tar")
    with tarfile.open(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, file.name)
    return path


def as_list(folder: Path, out: Path) -> Path:
    path = out.with_suffix(".txt")
    path.write_text("\n".join(str(file) for file in sorted(folder.iterdir())))
    return path


def as_parquet(folder: Path, out: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"bytes": file.read_bytes(), "path": file.name} for file in sorted(folder.iterdir())]
    parquet.write_table(pyarrow.table({"image": rows, "label": range(len(rows))}), out.with_suffix(".parquet"))
    return out.with_suffix(".parquet")


def as_stylegan_zip(folder: Path, out: Path) -> Path:
    """As StyleGAN's `dataset_tool.py` writes it: numbered PNGs in numbered folders, uncompressed, and labels in dataset.json."""
    path = out.with_suffix(".zip")
    names = [f"{index:05d}/img{index:08d}.jpg" for index in range(len(list(folder.iterdir())))]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, file in zip(names, sorted(folder.iterdir()), strict=True):
            archive.write(file, name)
        archive.writestr("dataset.json", json.dumps({"labels": [[name, 0] for name in names]}))
    return path


@pytest.mark.parametrize("pack_up", [as_zip, as_tar, as_plain_tar, as_list, as_parquet, as_stylegan_zip])
def test_a_file_of_pictures_is_the_same_data_as_their_folder(pictures: Path, tmp_path: Path, pack_up: Callable[[Path, Path], Path]) -> None:
    file, said = pack_up(pictures, tmp_path / "set"), list[str]()
    packed = open_data(str(file), "bg", 8, say=said.append)
    assert np.array_equal(packed.pixels, open_data(str(pictures), "bg", 8).pixels)
    assert not said
    assert list(find_splits(str(file), "bg").parts) == ["train"]


@pytest.mark.parametrize("pack_up", [as_zip, as_tar, as_parquet])
def test_a_second_start_reads_no_picture_unless_the_file_changed(
    pictures: Path, tmp_path: Path, pack_up: Callable[[Path, Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pack_up(pictures, tmp_path / "set")
    first = open_data(str(file), "scene", 8)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "pack_split", lambda *_, **__: pytest.fail("read"))
        assert open_data(str(file), "scene", 8).path == first.path
    images.fill(pictures, 3, first=10)
    file.unlink()
    assert len(open_data(str(pack_up(pictures, tmp_path / "set")), "scene", 8)) == 9


def test_an_archive_of_cut_outs_makes_a_foreground_with_alpha(tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    for index in range(4):
        picture = images.smooth(index).convert("RGBA")
        picture.paste((0, 0, 0, 0), (0, 0, 9, 9))
        picture.save(tmp_path / "cut" / f"{index}.png")
    for file in (as_zip(tmp_path / "cut", tmp_path / "a"), as_tar(tmp_path / "cut", tmp_path / "b"), as_parquet(tmp_path / "cut", tmp_path / "c")):
        assert open_data(str(file), "fg", 8).fourth_channel == "alpha"


def test_folders_in_an_archive_are_its_splits_and_classes(tmp_path: Path) -> None:
    for name, count, first in (("train/cats", 3, 0), ("train/dogs", 2, 5), ("test/cats", 2, 10)):  # ImageFolder
        images.fill(tmp_path / "set" / name, count, first=first)
    file = as_zip(tmp_path / "set", tmp_path / "set")

    def lengths(spec: Path) -> list[int]:
        packs: list[ImagePack] = [open_data(str(spec), "scene", 8, split=split) for split in ("train", "test")]
        return [len(pack) for pack in packs]

    assert lengths(file) == lengths(tmp_path / "set") == [5, 2]
    assert choose_evaluation_split(str(file), "scene", None, "test", print) == "test"


def test_an_unsafe_archive_and_a_single_picture_are_refused_by_their_own_name(pictures: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil.png", b"x")
    with pytest.raises(DataError, match=r"^--data .*evil\.zip: member '\.\./evil\.png' points out of the archive"):
        open_data(str(tmp_path / "evil.zip"), "bg", 8)
    single = next(pictures.iterdir())
    with pytest.raises(DataError, match=rf"^--data .*{single.name}: neither a folder, a zip or tar archive, a parquet file, nor a list of paths"):
        open_data(str(single), "bg", 8)
    with pytest.raises(DataError, match=r"^--data .*absent\.zip: no such folder"):
        open_data(str(tmp_path / "absent.zip"), "bg", 8)
