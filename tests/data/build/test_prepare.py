"""`data prepare`: which pictures are used or left out, and why; killed and resumed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import fatal_worker, images
from PIL import Image

from mitlgan.data.build import parallel, prepare_image
from mitlgan.data.build import prepare as gather
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.build.prepare import prepare_pack
from mitlgan.data.build.prepare_image import PrepareSettings
from mitlgan.data.curate.table_selection import Selection
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import DataError, ResourceError, UsageError


def reasons(packed: ImagePack) -> dict[str, str]:
    return {entry["name"]: entry["reason"] for entry in packed.manifest["skipped"]}


def names(packed: ImagePack) -> list[str]:
    return [source["name"] for source in packed.sources()]


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("prepared.npy", "prepared.json")}


def test_it_packs_as_pack_does(folder: Path, tmp_path: Path) -> None:
    packed = prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=16))
    assert (packed.pixels == pack_folder(folder, tmp_path / "a.npy", size_px=16).pixels).all()
    assert names(packed) == [f"{index}.jpg" for index in range(6)]
    assert not (tmp_path / "out" / ".prepared.npy").exists()
    assert open_data(str(tmp_path / "out"), "bg", 16).content_sha256 == packed.content_sha256


def test_zip_tar_and_list_give_the_same_pixels(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    shutil.make_archive(str(tmp_path / "a"), "gztar", folder)
    (tmp_path / "a.txt").write_text("".join(f"pictures/{index}.jpg\n" for index in range(6)))
    expected = prepare_pack(folder, tmp_path / "plain", PrepareSettings(size_px=8))
    for spec in ("a.zip", "a.tar.gz", "a.txt"):
        found = prepare_pack(tmp_path / spec, tmp_path / f"out-{spec}", PrepareSettings(size_px=8))
        order = [int(Path(name).stem) for name in names(found)]
        assert sorted(order) == list(range(6))
        assert (found.pixels == expected.pixels[order]).all()


def hard(tmp_path: Path) -> Path:
    """Twenty good pictures, and one of each kind that is left out."""
    place = images.fill(tmp_path / "in", 20, size=(32, 32))
    shutil.copy(place / "0003.png", place / "0103.png")
    images.smooth(4, (32, 32)).save(place / "0104.jpg", quality=88)
    for index in range(5):
        images.smooth(77, (32, 32)).save(place / f"02-{index}.png")
    Image.new("RGB", (32, 32), "white").save(place / "0300.png")
    images.smooth(5, (10, 30)).save(place / "0400.png")
    images.smooth(6, (200, 40)).save(place / "0500.png")
    (place / "0600.png").write_bytes(b"<html>")
    return place


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    settings = PrepareSettings(size_px=8, dedupe="near", min_size_px=20, max_aspect=3, exclude=("0001.png",))
    packed = prepare_pack(hard(tmp_path), tmp_path / "out", settings)
    found = reasons(packed)
    assert found.pop("0001.png") == "excluded: named in --exclude"
    assert found.pop("0103.png") == "duplicate: the same file as '0003.png'"
    assert found.pop("0104.jpg") == "near duplicate: looks like '0004.png'"
    assert all(found.pop(f"02-{index}.png") == "placeholder: the same file comes 5 times" for index in range(5))
    assert found.pop("0300.png") == "blank: one colour"
    assert found.pop("0400.png").startswith("small: 10 x 30")
    assert found.pop("0500.png").startswith("elongated: 200 x 40")
    assert "HTML" in found.pop("0600.png")
    assert found == {}
    assert names(packed) == [f"{index:04d}.png" for index in range(20) if index != 1]


def test_dedupe_none_and_exact(tmp_path: Path) -> None:
    place = hard(tmp_path)
    everything = prepare_pack(place, tmp_path / "none", PrepareSettings(size_px=8, dedupe="none", placeholder_copies=0, keep_blank=True))
    assert list(reasons(everything)) == ["0600.png"]
    exact = reasons(prepare_pack(place, tmp_path / "exact", PrepareSettings(size_px=8, placeholder_copies=0)))
    assert set(exact) == {"0103.png", "02-1.png", "02-2.png", "02-3.png", "02-4.png", "0300.png", "0600.png"}


def test_held_out_pictures_stay_held_out(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "train", 10, size=(32, 32))
    test = images.fill(tmp_path / "test", 4, size=(32, 32), first=50)
    shutil.copy(place / "0002.png", test / "x.png")
    images.smooth(7, (32, 32)).save(test / "y.jpg", quality=88)
    packed_test = prepare_pack(test, tmp_path / "test-pack", PrepareSettings(size_px=16))
    for number, against in enumerate((test, tmp_path / "test-pack", packed_test.path, pack_folder(test, tmp_path / "bare.npy", size_px=32).path)):
        found = reasons(prepare_pack(place, tmp_path / f"out{number}", PrepareSettings(size_px=8, dedupe="near", against=(str(against),))))
        assert found == {"0002.png": f"held out: the same file as 'x.png' in {against}", "0007.png": f"held out: looks like 'y.jpg' in {against}"}


def test_tables_choose(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 5)
    rows = [{"image": f"{index:04d}.png", "stars": index} for index in range(7)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    packed = prepare_pack(
        place, tmp_path / "out", PrepareSettings(size_px=8), selection=Selection(tmp_path / "a.jsonl", where="stars >= 2"), allow_bad=True
    )
    assert names(packed) == ["0002.png", "0003.png", "0004.png"]
    assert list(reasons(packed)) == ["0005.png", "0006.png"]
    assert packed.manifest["made_by"]["selection"]["where"] == "stars >= 2"


def test_mattes_beside_the_pictures_are_packed(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 3, size=(40, 30))
    for index in range(3):
        matte = Image.new("L", (40, 30))
        matte.paste(255, (5 + 10 * index, 0, 15 + 10 * index, 30))
        matte.save(place / f"{index:04d}.matte.png")
    made = [
        prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=30)),
        pack_folder(place, tmp_path / "a.npy", size_px=30),
        open_data(str(place), "scene", 30),
    ]
    for packed in made:
        assert packed.fourth_channel == "matte"
        assert (packed.pixels[1, 3, 15] == [0] * 10 + [255] * 10 + [0] * 10).all()
    (place / "0001.matte.png").unlink()
    packed = open_data(str(place), "scene", 30)
    assert packed.fourth_channel == "matte"
    assert packed.manifest["skipped"] == [{"name": "0001.png", "reason": "no matte next to it (NAME.matte.png), as 2 of 3 pictures have one"}]


def test_a_matte_of_another_size_is_a_reason(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 2, size=(40, 30))
    Image.new("L", (40, 30)).save(place / "0000.matte.png")
    Image.new("L", (30, 30)).save(place / "0001.matte.png")
    packed = pack_folder(place, tmp_path / "a.npy", size_px=8, allow_bad=True)
    assert reasons(packed) == {"0001.png": "its matte is 30 x 30 px, itself 40 x 30"}


def test_alpha_backdrop_and_blur(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (8, 0, 16, 16))
    picture.save(tmp_path / "in" / "a.png")
    kept = prepare_pack(tmp_path / "in", tmp_path / "kept", PrepareSettings(size_px=16, keep_alpha=True))
    assert kept.fourth_channel == "alpha"
    assert kept.pixels[0, :, 0, 0].tolist() == [0, 0, 0, 0]
    laid = prepare_pack(tmp_path / "in", tmp_path / "laid", PrepareSettings(size_px=16, backdrop=(0, 0, 255)))
    assert laid.pixels[0, :, 0, 0].tolist() == [0, 0, 255]
    blurred = prepare_pack(tmp_path / "in", tmp_path / "blurred", PrepareSettings(size_px=16, backdrop=(0, 0, 255), blur_px=2))
    assert 60 < blurred.pixels[0, 0, 0, 7] < 200


def test_the_busiest_square(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = Image.new("RGB", (120, 40), "white")
    picture.paste(images.smooth(2, (40, 40)), (80, 0))
    picture.save(tmp_path / "in" / "a.png")
    packed = prepare_pack(tmp_path / "in", tmp_path / "out", PrepareSettings(size_px=40, crop="entropy"))
    assert np.abs(packed.pixels[0].transpose(1, 2, 0).astype(int) - np.asarray(images.smooth(2, (40, 40)))).max() <= 1
    assert packed.manifest["crop"] == "busiest square"


def test_faces(tmp_path: Path) -> None:
    """A picture without a face is left out with that reason (the cascade itself is tested where faces are read)."""
    pytest.importorskip("cv2")
    place = images.fill(tmp_path / "in", 2, size=(80, 80))
    with pytest.raises(DataError, match="no face was found"):
        prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=16, crop="face"))


def test_bad_files_beyond_five_percent(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 10)
    (place / "bad.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 11 files .*'bad.png': empty file; .*--allow-bad"):
        prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8))
    assert not (tmp_path / "out" / "prepared.npy").exists()
    assert len(prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8), allow_bad=True)) == 10  # and nothing is decoded again


def test_other_work_in_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8))
    with pytest.raises(UsageError, match=r"was made with other settings \(--size 8, now 16\); give another folder, or remove this one first"):
        prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=16))
    images.fill(folder, 1)
    with pytest.raises(UsageError, match="was made from other pictures: some were added, removed or changed since"):
        prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8))


@pytest.mark.parametrize(("values", "said"), [({"resize": "x"}, "--resize"), ({"dedupe": "x"}, "--dedupe"), ({"crop": "x"}, "--crop")])
def test_settings_that_do_not_exist(folder: Path, tmp_path: Path, values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8, **values))


def test_done_work_is_not_done_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8))
    monkeypatch.setattr(prepare_image, "decode_bytes", lambda *_, **__: pytest.fail("decoded again"))
    assert prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8)).content_sha256 == first.content_sha256


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", [1, 7, 19, 20])
def test_stopped_anywhere_it_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, moment: int) -> None:
    place = hard(tmp_path)
    settings = PrepareSettings(size_px=8, dedupe="near")
    prepare_pack(place, tmp_path / "whole", settings)

    def stop(done: int, _: int) -> None:
        if done == moment:
            raise Killed

    with pytest.raises(Killed):
        prepare_pack(place, tmp_path / "cut", settings, progress=stop)
    told: list[int] = []
    prepare_pack(place, tmp_path / "cut", settings, progress=lambda done, _: told.append(done))
    assert told[0] == moment + 1
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["torn line", "pixels behind", "pixels ahead", "half a row"])
def test_after_a_power_cut(tmp_path: Path, damage: str) -> None:
    place = hard(tmp_path)
    settings = PrepareSettings(size_px=8)
    prepare_pack(place, tmp_path / "whole", settings)

    def stop(done: int, _: int) -> None:
        if done == 12:
            raise Killed

    with pytest.raises(Killed):
        prepare_pack(place, tmp_path / "cut", settings, progress=stop)
    journal, pixels = tmp_path / "cut" / ".journal.jsonl", tmp_path / "cut" / ".prepared.npy"
    if damage == "torn line":
        journal.write_bytes(journal.read_bytes()[:-9])
    elif damage == "pixels behind":
        pixels.write_bytes(pixels.read_bytes()[: 128 + 4 * 192])
    elif damage == "pixels ahead":
        pixels.write_bytes(pixels.read_bytes() + bytes(3 * 192))
    else:
        pixels.write_bytes(pixels.read_bytes()[:-100])
    prepare_pack(place, tmp_path / "cut", settings)
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


@pytest.mark.parametrize("moment", [0, 3, 5, 7])
def test_pixels_are_written_once_where_only_equal_files_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    place = images.fill(tmp_path / "in", 6)
    shutil.copy(place / "0001.png", place / "0003-again.png")
    monkeypatch.setattr(gather._Preparation, "_copy_pixels", lambda *_: pytest.fail("copied"))

    def stop(done: int, _: int) -> None:
        if done == moment:
            raise Killed

    if moment:
        with pytest.raises(Killed):
            prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8), progress=stop)
    packed = prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8))
    assert names(packed) == [f"{index:04d}.png" for index in range(6)]
    (place / "0003-again.png").unlink()
    assert (packed.pixels == pack_folder(place, tmp_path / "a.npy", size_px=8).pixels).all()
    assert packed.content_sha256 == hashlib.sha256(packed.pixels.tobytes() + b"3 8 None").hexdigest()


def test_what_was_read_outlives_a_full_disk_at_the_end(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prepare_pack(folder, tmp_path / "whole" / "out", PrepareSettings(size_px=8)).path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(PackWriter, "_write_manifest", full)
        with pytest.raises(ResourceError, match="No space left"):
            prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8))
    assert not (tmp_path / "out" / "prepared.npy").exists()
    monkeypatch.setattr(prepare_image, "decode_bytes", lambda *_, **__: pytest.fail("decoded again"))
    assert prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8)).path.read_bytes() == whole


def test_killed_for_real(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 60, size=(200, 200))
    prepare_pack(place, tmp_path / "whole", PrepareSettings(size_px=64))
    program = (
        "import sys, time; from pathlib import Path; from mitlgan.data.build.prepare import *\n"
        "def told(done, total):\n    print(done, flush=True); time.sleep(0.02)\n"
        "prepare_pack(sys.argv[1], Path(sys.argv[2]), PrepareSettings(size_px=64), progress=told)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(place), str(tmp_path / "cut")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(30):
        child.stdout.readline()
    child.kill()
    child.communicate()
    assert not (tmp_path / "cut" / "prepared.npy").exists()
    told: list[int] = []
    prepare_pack(place, tmp_path / "cut", PrepareSettings(size_px=64), progress=lambda done, _: told.append(done))
    assert 15 < told[0] < 60, "a tenth of a second of work is lost at the most"
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_two_at_once_are_refused(folder: Path, tmp_path: Path) -> None:
    from mitlgan.runtime.files import lock_folder

    (tmp_path / "out").mkdir()
    with lock_folder(tmp_path / "out"), pytest.raises(ResourceError, match="another process"):
        prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8))


class TestProcesses:
    """Many pictures are shaped by processes; here, three are many."""

    @pytest.fixture(autouse=True)
    def few_are_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parallel, "MIN_FOR_PROCESSES", 3)
        monkeypatch.setattr(os, "cpu_count", lambda: 2)

    def in_threads(self, *arguments: Any, **options: Any) -> ImagePack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parallel, "MIN_FOR_PROCESSES", 10**9)
            return prepare_pack(*arguments, **options)

    @pytest.mark.parametrize("cores", [2, 3])
    def test_the_same_bytes_as_by_threads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
        settings = PrepareSettings(size_px=16, dedupe="near", min_size_px=20, exclude=("0001.png",), backdrop=(1, 2, 3), crop="entropy", blur_px=0.5)
        place = hard(tmp_path)
        (place / os.fsdecode(b"caf\xe9.png")).write_bytes((place / "0005.png").read_bytes())
        self.in_threads(place, tmp_path / "threads", settings)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(prepare_image, "decode_bytes", lambda *_, **__: pytest.fail("decoded in this process"))
        prepare_pack(place, tmp_path / "processes", settings)
        assert content(tmp_path / "processes") == content(tmp_path / "threads")

    @pytest.mark.parametrize("suffix", ["zip", "gztar"])
    def test_archives_are_read_by_the_parent(self, tmp_path: Path, suffix: str) -> None:
        path = shutil.make_archive(str(tmp_path / "a"), suffix, hard(tmp_path))
        self.in_threads(path, tmp_path / "threads", PrepareSettings(size_px=8, keep_alpha=True))
        prepare_pack(path, tmp_path / "processes", PrepareSettings(size_px=8, keep_alpha=True))
        assert content(tmp_path / "processes") == content(tmp_path / "threads")

    def test_mattes(self, tmp_path: Path) -> None:
        place = images.fill(tmp_path / "in", 4, size=(40, 30))
        for index in range(4):
            images.smooth(20 + index, (40, 30)).convert("L").save(place / f"{index:04d}.matte.png")
        self.in_threads(place, tmp_path / "threads", PrepareSettings(size_px=16))
        assert prepare_pack(place, tmp_path / "processes", PrepareSettings(size_px=16)).fourth_channel == "matte"
        assert content(tmp_path / "processes") == content(tmp_path / "threads")

    def test_few_pictures_start_no_process(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gather, "in_processes", lambda *_: pytest.fail("started"))
        assert len(prepare_pack(images.fill(tmp_path / "in", 2), tmp_path / "out", PrepareSettings(size_px=8))) == 2

    def test_a_picture_that_kills_its_process_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gather, "ImagePreparer", fatal_worker.Fatal)
        place = images.fill(tmp_path / "in", 9)
        with pytest.raises(ResourceError, match=r"^picture '0003.png': the process that read it was killed; .*--exclude"):
            prepare_pack(place, tmp_path / "out", PrepareSettings(size_px=8))
        assert not (tmp_path / "out" / "prepared.npy").exists()

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_stopped_or_killed_it_goes_on_and_ends_with_the_same_bytes(self, tmp_path: Path, number: signal.Signals, code: int) -> None:
        place = images.fill(tmp_path / "in", 60, size=(100, 100))
        self.in_threads(place, tmp_path / "whole", PrepareSettings(size_px=32))
        program = (
            "import sys, time; from pathlib import Path; from mitlgan.cli import main\n"
            "from mitlgan.data.build import parallel; parallel.MIN_FOR_PROCESSES = 3; parallel.os.cpu_count = lambda: 2\n"
            "from mitlgan.cli.data import prepare\n"
            "class Slow:\n    def __enter__(self): return self.told\n    def __exit__(self, *_): pass\n"
            "    def told(self, done, total): print(done, flush=True); time.sleep(0.02)\n"
            "prepare.progress_bar = lambda _: Slow()\n"
            "sys.argv = ['mitlgan', 'data', 'prepare', *sys.argv[1:]]; main()"
        )
        command = [sys.executable, "-c", program, str(place), "--out", str(tmp_path / "cut"), "--size", "32"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        assert child.stdout is not None
        for _ in range(20):
            child.stdout.readline()
        os.killpg(child.pid, number)
        said = child.communicate()[1]  # ends when the last worker has closed it
        assert child.returncode == code
        assert said.count("\n") == (number != signal.SIGKILL)
        assert number == signal.SIGKILL or re.fullmatch(r"prepare: stopped at \d+ of 60; the same command resumes\n", said)
        assert not (tmp_path / "cut" / "prepared.npy").exists()
        told: list[int] = []
        prepare_pack(place, tmp_path / "cut", PrepareSettings(size_px=32), progress=lambda done, _: told.append(done))
        assert 10 < told[0] < 60
        assert content(tmp_path / "cut") == content(tmp_path / "whole")


@pytest.mark.parametrize("lost", ["test", "validation", "test/prepared.npy", "validation/prepared.json"])
def test_a_held_out_pack_that_was_lost_is_made_again(tmp_path: Path, lost: str) -> None:
    place = images.fill(tmp_path / "in", 6)
    images.fill(place / "val", 2, first=10)
    images.fill(place / "test", 3, first=20)
    images.fill(place / "train", 1, first=30)
    for file in place.glob("*.png"):
        file.rename(place / "train" / file.name)
    settings = PrepareSettings(size_px=8)
    prepare_pack(place, tmp_path / "out", settings)
    before = {file.relative_to(tmp_path): file.read_bytes() for file in (tmp_path / "out").rglob("prepared.*")}
    assert len(before) == 6
    path = tmp_path / "out" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    prepare_pack(place, tmp_path / "out", settings)
    assert {file.relative_to(tmp_path): file.read_bytes() for file in (tmp_path / "out").rglob("prepared.*")} == before
    assert [file.name for file in (tmp_path / "out").rglob(".prepared*")] == []


@pytest.mark.parametrize("name", ["prepared.json", "prepared.npy", "test/prepared.npy", "validation/prepared.json"])
def test_a_file_that_came_into_a_packs_place_stays_however_often_the_call_is_made(folder: Path, tmp_path: Path, name: str) -> None:
    settings, foreign = PrepareSettings(size_px=8), tmp_path / "out" / name

    def appear(done: int, _: int) -> None:
        foreign.parent.mkdir(exist_ok=True)
        foreign.write_text("mine")
        raise Killed

    with pytest.raises(Killed):
        prepare_pack(folder, tmp_path / "out", settings, progress=appear)
    for _ in range(2):
        with pytest.raises(UsageError, match=rf"^--out .*{name}: exists already"):
            prepare_pack(folder, tmp_path / "out", settings)
        assert foreign.read_text() == "mine"
    foreign.unlink()
    assert len(prepare_pack(folder, tmp_path / "out", settings))


@pytest.mark.parametrize("name", ["sheet.html", "prepared.json", "prepared.npy", "test/prepared.npy", "validation/prepared.json"])
def test_in_the_pictures_own_folder_nothing_is_written_over(tmp_path: Path, name: str) -> None:
    place = images.fill(tmp_path / "in", 6)
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"^--out .*{name}: exists already"):
        prepare_pack(place, place, PrepareSettings(size_px=8))
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []
    (place / name).unlink()
    assert len(prepare_pack(place, place, PrepareSettings(size_px=8))) == 6


def test_a_finished_pack_that_lost_its_hidden_files_is_taken_as_it_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8))
    (tmp_path / "out" / ".journal.jsonl").unlink()
    monkeypatch.setattr(prepare_image, "decode_bytes", lambda *_, **__: pytest.fail("decoded again"))
    assert prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=8)).content_sha256 == first.content_sha256
    (tmp_path / "out" / ".journal.jsonl").unlink()
    with pytest.raises(UsageError, match=r"holds other files, such as prepared\.json"):
        prepare_pack(folder, tmp_path / "out", PrepareSettings(size_px=16))
