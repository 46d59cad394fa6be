"""Packs: written whole or not at all, read with care."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_runs
from helpers.unprivileged import unprivileged
from hypothesis import given
from hypothesis import strategies as st

from mitlgan.data.pack.cache import open_temporary, remove_abandoned_temporaries
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import DataError, ResourceError
from mitlgan.images.pixels import composite_on, to_float, to_uint8


@pytest.fixture
def packed(tmp_path: Path) -> ImagePack:
    return ImagePack.open(tiny_runs.pack(tmp_path / "a.npy"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pixels = tiny_runs.pixels(5, 1, 4)
    with PackWriter(tmp_path / "sub" / "a.npy", 8, "alpha") as writer:
        for index, picture in enumerate(pixels):
            writer.append(picture, {"name": f"ü{index}\n", "sha256": "0", "width": 9, "height": 8})
        written = writer.publish(resize="box", crop="none", licence="CC0", made_by={"command": "test"}, skipped=[{"name": "x", "reason": "y"}])
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["a.json", "a.npy"]
    for found in (written, ImagePack.open(tmp_path / "sub" / "a.npy")):
        assert (found.pixels == pixels).all()
        assert (len(found), found.size_px, found.channels, found.fourth_channel) == (5, 8, 4, "alpha")
        assert [source["name"] for source in found.sources()] == [f"ü{index}\n" for index in range(5)]
        assert found.manifest["skipped"] == [{"name": "x", "reason": "y"}]
        assert found.manifest["licence"] == "CC0"
    assert (np.load(tmp_path / "sub" / "a.npy") == pixels).all()  # an ordinary .npy file
    assert len(json.loads((tmp_path / "sub" / "a.json").read_text())["sources"]) == 5  # and ordinary JSON


def test_pixels_are_mapped_and_cannot_be_written(packed: ImagePack) -> None:
    assert isinstance(packed.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        packed.pixels[0] = 0
    packed.batch([0]).zero_()  # a copy
    assert packed.pixels[0].any()


def test_the_content_hash_tells_pixels_order_and_meaning(tmp_path: Path) -> None:
    pixels = tiny_runs.pixels(3, 0, 4)

    def digest(name: str, order: list[int], fourth: str) -> str:
        with PackWriter(tmp_path / f"{name}.npy", 8, fourth) as writer:  # type: ignore[arg-type]
            for index in order:
                writer.append(pixels[index], {"name": "", "sha256": "", "width": 8, "height": 8})
            return writer.publish(resize="box", crop="", licence="", made_by={}, skipped=[]).content_sha256

    hashes = [digest("a", [0, 1, 2], "alpha"), digest("b", [0, 1, 2], "alpha"), digest("c", [0, 2, 1], "alpha"), digest("d", [0, 1, 2], "matte")]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_an_aborted_pack_leaves_nothing(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "a.npy", 8, None) as writer:
        writer.append(tiny_runs.pixels(1, 0)[0], {})
    assert list(tmp_path.iterdir()) == []


def test_wrong_pixels_are_refused(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "a.npy", 8, None) as writer:
        for pixels in (np.zeros((4, 8, 8), np.uint8), np.zeros((3, 9, 8), np.uint8), np.zeros((3, 8, 8), np.float32)):
            with pytest.raises(ValueError, match="expected uint8"):
                writer.append(pixels, {})  # type: ignore[arg-type]


def test_a_pack_ends_in_npy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in \.npy"):
        PackWriter(tmp_path / "a.bin", 8, None)


def test_a_place_that_cannot_be_written() -> None:
    with unprivileged() as place:
        place.chmod(0o555)
        with pytest.raises(ResourceError) as caught:
            PackWriter(place / "a.npy", 8, None)
        place.chmod(0o755)
        assert str(place) in str(caught.value)


def test_a_killed_writer_leaves_no_pack_and_the_next_cleans_up(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; import numpy as np; from mitlgan.data.pack.writer import PackWriter\n"
        "with PackWriter(Path(sys.argv[1]), 8, None) as writer:\n"
        "    writer.append(np.zeros((3, 8, 8), np.uint8), {})\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "a.npy")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    living = sorted(path.name for path in tmp_path.iterdir())
    remove_abandoned_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == living  # its writer lives
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with pytest.raises(DataError, match="absent"):
        ImagePack.open(tmp_path / "a.npy")
    tiny_runs.pack(tmp_path / "a.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npy"]


def test_a_new_pack_never_mixes_with_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two renames there is no pack, rather than old pixels under a new manifest."""
    tiny_runs.pack(tmp_path / "a.npy", seed=0)
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if Path(target).suffix == ".npy":
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        tiny_runs.pack(tmp_path / "a.npy", seed=1)
    with pytest.raises(DataError):
        ImagePack.open(tmp_path / "a.npy")


class TestDamage:
    @pytest.mark.parametrize("keep", [0, 10, 200, -1])
    def test_truncated_pixels(self, packed: ImagePack, keep: int) -> None:
        content = packed.path.read_bytes()
        packed.path.write_bytes(content[:keep])
        with pytest.raises(DataError, match="not a readable pack"):
            ImagePack.open(packed.path)

    def test_pickled_arrays_are_refused(self, packed: ImagePack) -> None:
        np.save(packed.path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        with pytest.raises(DataError):
            ImagePack.open(packed.path)

    @pytest.mark.parametrize(
        "array", [np.zeros((12, 3, 8, 8), np.int8), np.zeros((11, 3, 8, 8), np.uint8), np.zeros((12, 3, 8, 8), np.uint8, order="F")]
    )
    def test_other_arrays(self, packed: ImagePack, array: np.ndarray) -> None:
        np.save(packed.path, array)
        with pytest.raises(DataError, match="declares"):
            ImagePack.open(packed.path)

    @pytest.mark.parametrize(
        "text", ["", "[]", "{", "null", '{"schema_version": 1}', '{"schema_version": "x", "sources": []}', "[" * 100_000, '{"schema_version": 1e999}']
    )
    def test_manifests(self, packed: ImagePack, text: str) -> None:
        packed.path.with_suffix(".json").write_text(text)
        with pytest.raises(DataError, match="not a pack's manifest"):
            ImagePack.open(packed.path)

    def test_a_newer_manifest_says_so(self, packed: ImagePack) -> None:
        path = packed.path.with_suffix(".json")
        path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
        with pytest.raises(DataError, match="newer"):
            ImagePack.open(packed.path)

    @pytest.mark.parametrize(("key", "value"), [("count", -1), ("count", True), ("channels", 7), ("fourth_channel", "depth"), ("content_sha256", 3)])
    def test_senseless_values(self, packed: ImagePack, key: str, value: object) -> None:
        path = packed.path.with_suffix(".json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
        with pytest.raises(DataError):
            ImagePack.open(packed.path)

    def test_mutated_packs_open_or_are_refused(self, packed: ImagePack) -> None:
        rng = np.random.default_rng(0)
        good = {suffix: packed.path.with_suffix(suffix).read_bytes() for suffix in (".npy", ".json")}
        for turn in range(300):
            suffix = (".npy", ".json")[turn % 2]
            data = bytearray(good[suffix])
            for _ in range(3):
                data[int(rng.integers(min(len(data), 400)))] = int(rng.integers(256))
            packed.path.with_suffix(suffix).write_bytes(bytes(data))
            try:
                found = ImagePack.open(packed.path)
                found.batch([0])
                list(found.sources())
            except DataError:
                pass
            packed.path.with_suffix(suffix).write_bytes(good[suffix])


class TestBatch:
    @pytest.mark.parametrize("role", ["fg", "bg", "scene"])
    def test_three_channels(self, packs: dict[str, Path], role: str) -> None:
        found = ImagePack.open(packs[role])
        batch = found.batch(np.array([3, 3, 0]))
        assert (batch.dtype, tuple(batch.shape)) == (torch.uint8, (3, 3, 8, 8))
        assert torch.equal(batch[0], batch[1])
        if role != "fg":
            assert (batch[2].numpy() == found.pixels[0, :3]).all()

    def test_four_channels(self, packs: dict[str, Path]) -> None:
        found = ImagePack.open(packs["fg"])
        assert (found.batch([1], channels=4).numpy() == found.pixels[1:2]).all()
        with pytest.raises(DataError, match="4 channels are needed"):
            ImagePack.open(packs["bg"]).batch([0], channels=4)

    def test_mattes(self, packs: dict[str, Path]) -> None:
        found = ImagePack.open(packs["scene"])
        matte = found.mattes([2])
        assert matte is not None
        assert (matte.numpy() == found.pixels[2:3, 3:]).all()
        assert ImagePack.open(packs["bg"]).mattes([0]) is None


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_laying_on_a_colour_is_the_over_operator(alpha: int, colour: int, backdrop: int) -> None:
    premultiplied = round(colour * alpha / 255)
    pixel = np.array([[[[premultiplied]], [[0]], [[alpha]], [[alpha]]]], dtype=np.uint8)
    laid = composite_on(pixel, (backdrop, 0, 255))[0, :, 0, 0]
    assert abs(int(laid[0]) - (colour * alpha + backdrop * (255 - alpha)) / 255) <= 1
    assert laid[1] == 0
    assert laid[2] == 255


def test_floats_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    values = to_float(every)
    assert (values.min().item(), values.max().item()) == (-1, 1)
    assert torch.equal(to_uint8(values), every)
    assert to_uint8(torch.tensor([-3.0, 3.0, 0.0])).tolist() == [0, 255, 128]


def test_parts_of_dead_writers_only_are_removed(tmp_path: Path) -> None:
    mine, handle = open_temporary(tmp_path / "a.npy")
    dead, foreign = tmp_path / ".b.npy.0123abcd.part", tmp_path / ".download.part"
    dead.touch()
    foreign.touch()
    remove_abandoned_temporaries(tmp_path)
    assert mine.exists()
    assert foreign.exists()
    assert not dead.exists()
    handle.close()


def test_reading_a_manifest_takes_no_time_for_its_sources(tmp_path: Path) -> None:
    pixels = np.zeros((3, 4, 4), np.uint8)
    with PackWriter(tmp_path / "a.npy", 4, None) as writer:
        for index in range(20_000):
            writer.append(pixels, {"name": f"{index}", "sha256": "0" * 64, "width": 4, "height": 4})
        packed = writer.publish(resize="box", crop="", licence="", made_by={}, skipped=[])
    started = time.process_time()
    for _ in range(50):
        ImagePack.open(packed.path)
    assert time.process_time() - started < 0.5
    assert sum(1 for _ in packed.sources()) == 20_000


@pytest.mark.parametrize("named", [".", "..", "/", "", "a/..", "folder.npy"])
def test_a_folder_is_no_pack(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "folder.npy"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"a folder, not a pack"):
        ImagePack.open(named)
