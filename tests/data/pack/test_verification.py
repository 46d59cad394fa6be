"""Pixels are checked against the manifest's hash, once for each state of the file; damaged manifests are refused in one line."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_runs

from mitlgan.data.demo import demo_pack
from mitlgan.data.open import open_data
from mitlgan.data.pack import verification
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.manifest import SOURCES_LINE
from mitlgan.errors import DataError, ResourceError
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pack(cache: Path, tmp_path: Path) -> Path:
    """A pack that was written a moment ago."""
    path = tiny_runs.pack(tmp_path / "p.npy")
    settle()
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that pixels are read for their hash."""
    counts: list[int] = []
    sha256 = verification.hashlib.sha256

    class Hashlib:
        @staticmethod
        def sha256(*content: bytes) -> object:
            if not content:
                counts.append(1)
            return sha256(*content)

    monkeypatch.setattr(verification, "hashlib", Hashlib)
    return counts


def settle() -> None:
    time.sleep(1.5 * verification.CLOCK_STEP_S)


def invert_pixel(path: Path, at: int = -1) -> None:
    """Change one byte and keep size and modification time, as an editor of the worst kind does."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("at", [128, 500, -1])
def test_one_changed_pixel_is_found_by_every_way_to_open_a_pack(pack: Path, at: int) -> None:
    ImagePack.open(pack)
    invert_pixel(pack, at)
    for open_it in (lambda: ImagePack.open(pack), lambda: open_data(str(pack), "fg", tiny_runs.SIZE_PX)):
        with pytest.raises(DataError, match=r"p\.npy: its pixels do not match the hash in its manifest.*make the pack again") as refused:
            open_it()
        assert refused.value.exit_code == 3


def test_a_resume_refuses_changed_pixels_and_leaves_the_run_as_it_was(pack: Path, tmp_path: Path) -> None:
    run = pretrain(tiny_runs.recipe("bg", pack), tiny_runs.run_context(tmp_path / "runs"))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path.name not in ("recipe.toml", "status.json")}
    invert_pixel(pack)
    with pytest.raises(DataError, match="damaged or changed"):
        resume(run.path, tiny_runs.run_context(tmp_path), more_kimg=1.0)
    assert {path: path.read_bytes() for path in before} == before


def test_the_meaning_of_the_fourth_channel_belongs_to_the_hash(cache: Path, tmp_path: Path) -> None:
    path = tiny_runs.pack(tmp_path / "p.npy", fourth="alpha").with_suffix(".json")
    path.write_text(path.read_text().replace('"alpha"', '"matte"'))
    with pytest.raises(DataError, match="do not match the hash"):
        ImagePack.open(tmp_path / "p.npy")


def test_an_unchanged_file_is_read_once(pack: Path, reads: list[int], cache: Path) -> None:
    for _ in range(3):
        ImagePack.open(pack)
    assert len(reads) == 1
    pack.touch()
    settle()
    ImagePack.open(pack)
    assert len(reads) == 2
    shutil.copy2(pack, pack.with_name("other.npy"))
    shutil.copy2(pack.with_suffix(".json"), pack.with_name("other.json"))
    settle()
    ImagePack.open(pack.with_name("other.npy"))
    assert len(reads) == 3


def test_a_file_that_was_written_this_moment_is_read_again(cache: Path, tmp_path: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "CLOCK_STEP_S", 60)
    path = tiny_runs.pack(tmp_path / "p.npy")
    ImagePack.open(path)
    ImagePack.open(path)
    assert len(reads) == 2


def test_without_a_cache_the_pixels_are_checked_each_time(pack: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "file"))
    ImagePack.open(pack)
    ImagePack.open(pack)
    assert len(reads) == 2
    invert_pixel(pack)
    with pytest.raises(DataError, match="do not match the hash"):
        ImagePack.open(pack)


def test_a_damaged_pack_in_the_cache_is_made_again(cache: Path) -> None:
    first = demo_pack("fg", 8, count=4)
    whole = first.path.read_bytes()
    invert_pixel(first.path)
    assert demo_pack("fg", 8, count=4).path.read_bytes() == whole


def test_a_failing_disk_is_not_the_packs_fault(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FailingHash:
        def update(self, _: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(verification, "_marker", lambda status, manifest: None)
    monkeypatch.setattr(verification.hashlib, "sha256", FailingHash)
    with pytest.raises(ResourceError, match="input/output error"):
        ImagePack.open(pack)


def _rewrite(change: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda path: path.write_text(change(path.read_text()))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [
        _rewrite(lambda text: text[:-5]), _rewrite(lambda text: text[: len(text) // 2]), _rewrite(lambda text: text[: text.index(SOURCES_LINE) + 20]),
        _rewrite(lambda text: text.replace('"skipped": []', '"skipped": ' + "[" * 50_000 + "]" * 50_000)),
        _rewrite(lambda text: text.replace('"skipped": []', '"skipped": [{"name": 5}]')),
        _rewrite(lambda text: text.replace('"skipped": []', '"leftovers": {"others": {"x": "many"}}, "skipped": []')),
        _rewrite(lambda text: text.replace('"licence": "CC0"', '"licence": {}')),
        _rewrite(lambda text: text.replace('"count": 12', '"count": 12.0')), _rewrite(lambda text: "\0" * len(text)), _fifo,
    ],
)  # fmt: skip
def test_a_torn_or_senseless_manifest_is_refused_at_opening(damage: Callable[[Path], object], pack: Path) -> None:
    damage(pack.with_suffix(".json"))
    with pytest.raises(DataError, match=r"p\.json: not a pack's manifest; make the pack again"):
        ImagePack.open(pack)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"name": "3.png"', '"name": 3'), "the source of picture 4 is damaged"),
        (lambda text: text.replace('"name": "3.png"', '"nam": "3.png"'), "the source of picture 4 is damaged"),
        (lambda text: text.replace('{"name": "3.png"', "[" * 30_000), "the source of picture 4 is damaged"),
        (lambda text: text.replace('"width": 8', '"width": -8', 1), "the source of picture 1 is damaged"),
        (lambda text: text.replace('{"name": "5.png"', '"5'), "the source of picture 6 is damaged"),
        (lambda text: "".join(line for line in text.splitlines(keepends=True) if "7.png" not in line), "names the sources of 11 pictures"),
        (lambda text: json.dumps(json.loads(text)), "names the sources of 0 pictures"),
    ],
)  # fmt: skip
def test_a_damaged_line_of_sources_is_named(change: Callable[[str], str], message: str, pack: Path) -> None:
    path = pack.with_suffix(".json")
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message):
        list(ImagePack.open(pack).sources())


def test_sources_that_are_not_utf8_are_refused(pack: Path) -> None:
    path = pack.with_suffix(".json")
    path.write_bytes(path.read_bytes().replace(b"3.png", b"\xff.png"))
    with pytest.raises(DataError, match="sources cannot be read"):
        ImagePack.open(pack).sources_at({3})


def test_pixels_that_are_a_pipe_are_not_waited_for(pack: Path) -> None:
    pack.unlink()
    os.mkfifo(pack)
    with pytest.raises(DataError, match="not a readable pack"):
        ImagePack.open(pack)


def test_the_commands_end_with_3_and_one_line(pack: Path) -> None:
    np.save(pack, 255 - np.load(pack))
    command = [sys.executable, "-m", "mitlgan", "data", "check", str(pack)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1
    assert "its pixels do not match the hash in its manifest" in ended.stderr
