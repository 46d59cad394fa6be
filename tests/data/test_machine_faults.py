"""Memory, open files or a disk that give out are no damage of the picture that was read: nothing is recorded, and a later run takes it."""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers import fatal_worker, images
from PIL import ImageFile

from mitlgan.data.build import parallel
from mitlgan.data.build import prepare as prepare_module
from mitlgan.data.build.offline_augment import AugmentSettings, augment_pictures
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.curate.check import check_datasets
from mitlgan.data.decode import image_file
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, read_file, read_head, read_header
from mitlgan.data.layers.split import SplitSettings, split_pictures
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.image_source import open_source
from mitlgan.errors import MitlganError, ResourceError, resource_fault

FAULTS = [
    MemoryError(),
    *(OSError(number, os.strerror(number)) for number in (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO, errno.EINTR)),
    OSError("out of memory error when reading image file"),
]
DAMAGE = [OSError("broken data stream"), OSError(errno.EACCES, "Permission denied"), ValueError("no such mode"), EOFError()]


def raising(fault: BaseException) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise fault

    return call


@contextmanager
def machine_fault(monkeypatch: pytest.MonkeyPatch, fault: BaseException = FAULTS[0]) -> Iterator[None]:
    """While it lasts, the decoding of pictures of 33 px, which `0003.png` alone has, meets a fault of the machine."""
    load = ImageFile.ImageFile.load

    def failing(picture: ImageFile.ImageFile) -> Any:
        if picture.size == (33, 33):
            raise fault
        return load(picture)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile.ImageFile, "load", failing)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, `0003.png` of another size than the others."""
    place = images.fill(tmp_path / "in", 6, size=(40, 40))
    images.smooth(3, (33, 33)).save(place / "0003.png")
    return place


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_fault_of_the_machine_is_told_from_damage(fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = images.fill(tmp_path / "in", 1) / "0000.png"
    content = path.read_bytes()
    assert resource_fault(fault) is not None
    with monkeypatch.context() as patch:
        patch.setattr(image_file.Image, "open", raising(fault))
        with pytest.raises(ResourceError, match="run the same command again"):
            decode_bytes(content, keep_alpha=False)
        with pytest.raises(ResourceError):
            image_file.is_cutout_file(content)
    if isinstance(fault, OSError) and fault.errno:
        for function in (read_file, read_head, read_header):
            with monkeypatch.context() as patch:
                patch.setattr(os, "open", raising(fault))
                with pytest.raises(ResourceError):
                    function(path)


@pytest.mark.parametrize("fault", DAMAGE, ids=repr)
def test_damage_stays_damage(fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = images.fill(tmp_path / "in", 1) / "0000.png"
    assert resource_fault(fault) is None
    monkeypatch.setattr(image_file.Image, "open", raising(fault))
    with pytest.raises(UnreadableImageError, match="damaged"):
        decode_bytes(path.read_bytes(), keep_alpha=False)


@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[2]], ids=repr)
def test_prepare_takes_the_picture_in_a_later_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    settings = PrepareSettings(size_px=8, dedupe="none", holdout="0")
    with machine_fault(monkeypatch, fault), pytest.raises(ResourceError, match=r"^picture '0003.png': .*--exclude"):
        prepare_pack(folder, tmp_path / "out", settings)
    assert "0003.png" not in (tmp_path / "out" / ".journal.jsonl").read_text()
    assert [source["name"] for source in prepare_pack(folder, tmp_path / "out", settings).sources()] == [f"{index:04d}.png" for index in range(6)]


def test_so_it_does_where_worker_processes_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MIN_FOR_PROCESSES", 3)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    settings = PrepareSettings(size_px=8, dedupe="none", holdout="0")
    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "ImagePreparer", fatal_worker.OutOfMemory)
        with pytest.raises(ResourceError, match=r"^picture '0003.png': cannot allocate memory; .*--exclude"):
            prepare_pack(folder, tmp_path / "out", settings)
    assert "0003.png" not in (tmp_path / "out" / ".journal.jsonl").read_text()
    assert len(prepare_pack(folder, tmp_path / "out", settings)) == 6


def test_the_other_commands_name_it_and_record_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: dict[str, Callable[[], Any]] = {
        "pack": lambda: pack_folder(folder, tmp_path / "a.npy", size_px=8),
        "augment": lambda: augment_pictures(str(folder), tmp_path / "augmented", AugmentSettings(factor=1)),
        "split": lambda: split_pictures(str(folder), tmp_path / "layers", SplitSettings(matting="rectangle")),
        "check": lambda: check_datasets([str(folder)]),
    }
    with machine_fault(monkeypatch):
        for name, run in runs.items():
            with pytest.raises(ResourceError, match=r"^picture '0003.png': cannot allocate memory") as fault:
                run()
            assert fault.value.exit_code == 5, name
    assert not (tmp_path / "a.npy").exists()
    for journal in tmp_path.rglob(".journal.jsonl"):
        assert "0003.png" not in journal.read_text()
    assert len(runs["pack"]()) == 6
    assert runs["augment"]()["made"] == 6


def test_an_archive_or_a_pack_is_not_called_damaged(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, path.name)
    source = open_source(archive)
    pack = pack_folder(folder, tmp_path / "a.npy", size_px=8)
    attempts: list[tuple[Any, str, Callable[[], Any]]] = [
        (zipfile.ZipFile, "open", source.entries[0].read),
        (zipfile.ZipFile, "infolist", lambda: open_source(archive)),
        (prepare_module.np, "load", lambda: ImagePack.open(pack.path)),
    ]
    for owner, name, attempt in attempts:
        for fault in FAULTS[:-1]:
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, raising(fault))
                with pytest.raises((MitlganError, MemoryError)) as error:
                    attempt()
                assert isinstance(error.value, ResourceError | MemoryError), name
