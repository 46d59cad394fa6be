"""Opening and packing of folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from helpers import images
from helpers.unprivileged import unprivileged
from PIL import Image

from mitlgan.cli.main import main
from mitlgan.data import open
from mitlgan.data.build import pack_folder as packing
from mitlgan.data.build.pack_folder import pack_folder
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.sources.image_source import list_pictures
from mitlgan.data.splits import resolve_split
from mitlgan.errors import DataError, ResourceError, UsageError


def names(packed: ImagePack) -> list[str]:
    return [source["name"] for source in packed.sources()]


def test_a_folder_becomes_a_pack_in_the_order_of_names(folder: Path, tmp_path: Path) -> None:
    (folder / "b").mkdir()
    images.smooth(9, (50, 50)).save(folder / "b" / "UPPER.PNG")
    (folder / "notes.txt").write_text("no picture")
    packed = pack_folder(folder, tmp_path / "out.npy", size_px=8)
    assert names(packed) == [*(f"{index}.jpg" for index in range(6)), "b/UPPER.PNG"]
    square = Image.open(folder / "2.jpg").crop((5, 0, 35, 30)).resize((8, 8), Image.Resampling.LANCZOS)
    assert np.abs(packed.pixels[2].astype(int) - np.asarray(square).transpose(2, 0, 1)).max() <= 4  # the JPEG is decoded at half its size
    source = list(packed.sources())[2]
    assert (source["width"], source["height"]) == (40, 30)
    assert packed.manifest["crop"] == "centred square"


def test_the_same_folder_gives_the_same_bytes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for workers in (1, 7):
        monkeypatch.setattr(os, "cpu_count", lambda workers=workers: workers)
        made.append(pack_folder(folder, tmp_path / f"{workers}.npy", size_px=16).path)
    for suffix in (".npy", ".json"):
        assert made[0].with_suffix(suffix).read_bytes() == made[1].with_suffix(suffix).read_bytes()


def test_transparency_is_kept_premultiplied_or_laid_on_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (8, 8), (200, 100, 0, 0))
    picture.paste((200, 100, 0, 128), (4, 0, 8, 8))
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "a.png")
    kept = pack_folder(tmp_path / "in", tmp_path / "kept.npy", size_px=8, keep_alpha=True)
    assert kept.fourth_channel == "alpha"
    assert kept.pixels[0, :, 0, 0].tolist() == [0, 0, 0, 0]
    assert kept.pixels[0, :, 0, 7].tolist() == [100, 50, 0, 128]
    laid = pack_folder(tmp_path / "in", tmp_path / "laid.npy", size_px=8)
    assert laid.fourth_channel is None
    assert laid.pixels[0, :, 0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("make", ["missing", "empty", "without"])
def test_nothing_to_read_says_what_was_looked_for(tmp_path: Path, make: str) -> None:
    place = tmp_path / "place"
    if make != "missing":
        place.mkdir()
    if make == "without":
        (place / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"no such folder|looked for .*\.jpg") as caught:
        open_data(str(place), "bg", 8)
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith(f"--data {place}")


@pytest.mark.parametrize("name", ["train-00000-of-00002.parquet", "pack.npy"])
def test_a_folder_of_packed_pictures_points_to_its_files(tmp_path: Path, name: str) -> None:
    place = tmp_path / "in" / "below"
    place.mkdir(parents=True)
    (place / name).write_bytes(b"x")
    (place / name).with_suffix(".json").write_bytes(b"x")
    suffix = Path(name).suffix
    with pytest.raises(DataError, match=rf"no pictures in it; 2 other files .*; name one of its {suffix} files$"):
        open_data(str(tmp_path / "in"), "bg", 8)
    packed = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "in")
    with pytest.raises(DataError, match=r"are not read" if suffix == ".npy" else r"unpack it and name one of its \.parquet files$"):
        open_data(packed, "bg", 8)


def test_arrays_are_not_read_and_not_offered(tmp_path: Path) -> None:
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "a.npz", train=pixels)
    np.save(tmp_path / "in" / "a.npy", pixels)
    for spec in (tmp_path / "a.npz", tmp_path / "in"):
        with pytest.raises(DataError, match=r"arrays of numbers \(\.npy\) are not read: save each picture as a file of its own"):
            open_data(str(spec), "bg", 8)
    with pytest.raises(DataError, match=r"a\.json: absent; a pack is a \.npy file with its \.json manifest next to it: .* not of arrays"):
        open_data(str(tmp_path / "in" / "a.npy"), "bg", 8)


def test_one_picture_is_enough_for_a_pack(tmp_path: Path) -> None:
    assert len(pack_folder(images.fill(tmp_path / "in", 1), tmp_path / "one.npy", size_px=8)) == 1


def bad_ones(place: Path) -> list[str]:
    whole = images.encoded(images.smooth(0, (100, 100)), "JPEG")
    (place / "x-empty.jpg").write_bytes(b"")
    (place / "x-page.jpg").write_text("<html>not found</html>")
    (place / "x-short.jpg").write_bytes(whole[: len(whole) // 2])
    (place / "x-link.jpg").symlink_to(place / "0.jpg")
    (place / "x-out.jpg").symlink_to("/etc/hostname")
    os.mkfifo(place / "x-pipe.jpg")
    (place / "x-loop").symlink_to(place)
    return ["x-empty.jpg", "x-page.jpg", "x-pipe.jpg", "x-short.jpg"]


def test_bad_files_are_listed_and_too_many_refused(folder: Path, tmp_path: Path) -> None:
    bad = bad_ones(folder)
    with pytest.raises(DataError, match=r"4 of 10 files .*'x-empty.jpg': empty file; .*--allow-bad"):
        pack_folder(folder, tmp_path / "out.npy", size_px=8)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]  # nothing half-written
    packed = pack_folder(folder, tmp_path / "out.npy", size_px=8, allow_bad=True)
    assert len(packed) == 6
    assert [entry["name"] for entry in packed.manifest["skipped"]] == [*bad, "x-link.jpg", "x-loop", "x-out.jpg"]
    assert all(entry["reason"] for entry in packed.manifest["skipped"])


def test_few_bad_files_are_skipped(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 20)
    (place / "bad.png").write_bytes(b"no")
    packed = pack_folder(place, tmp_path / "out.npy", size_px=8)
    assert len(packed) == 20
    assert packed.manifest["skipped"] == [{"name": "bad.png", "reason": "not a picture of an allowed format"}]


def test_none_usable(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"none of its 1 files"):
        pack_folder(tmp_path, tmp_path / "out" / "a.npy", size_px=8, allow_bad=True)


HOSTILE = [
    b"line\nbreak.png",
    b"<script>alert(1)</script>.png".replace(b"/", b"_"),
    b"[red]x[_red].png",
    b"\xff\xfe.png",
    b"n" * 251 + b".png",
    b"\x1b[31m.png",
]


def test_hostile_names_are_text_everywhere(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    content = images.encoded(images.smooth(1), "PNG")
    for name in HOSTILE:
        Path(os.fsdecode(os.fsencode(place) + b"/" + name)).write_bytes(content)
    packed = pack_folder(place, tmp_path / "out.npy", size_px=8)
    assert len(packed) == len(HOSTILE)
    text = packed.path.with_suffix(".json").read_bytes()
    assert text.isascii()
    found = {source["name"] for source in json.loads(text)["sources"]}
    assert {"line\nbreak.png", "[red]x[_red].png", r"\xff\xfe.png", "n" * 251 + ".png"} <= found


def test_a_hostile_name_in_an_error_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/in/a\n\x1b[31m\xff.png")).write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["mitlgan", "data", "pack", str(tmp_path / "in"), "--out", str(tmp_path / "a.npy"), "--size", "8"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 3
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "\x1b" not in told


def test_hidden_files_are_left_alone(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 2)
    inside = ("@eaDir/0000.png/SYNOPHOTO_THUMB_XL.jpg", "#recycle/c.png", "@Recycle/d.png", "$RECYCLE.BIN/e.png", "lost+found/f.png")
    inside += ("$Recycle.Bin/g.png", "RECYCLER/h.png", "a/@eadir/i.png", "#Recycle/j.png", "__macosx/k.png", "SYSTEM VOLUME INFORMATION/l.png")
    for hidden in ("._0000.png", ".thumbnails/a.png", "__MACOSX/b.png", *inside):
        (place / hidden).parent.mkdir(exist_ok=True, parents=True)
        (place / hidden).write_bytes(b"junk")
    assert [path.name for path in list_pictures(place)] == ["0000.png", "0001.png"]


def test_a_folder_that_cannot_be_listed_is_refused() -> None:
    with unprivileged() as place:
        images.fill(place / "in", 1)
        (place / "in" / "closed").mkdir()
        (place / "in" / "closed").chmod(0)
        with pytest.raises(DataError, match=r"closed: cannot be listed"):
            list_pictures(place / "in")


def test_a_file_that_vanishes_is_listed(folder: Path, tmp_path: Path) -> None:
    def vanish(done: int, _: int) -> None:
        if done == 1:
            shutil.rmtree(folder / "late")

    images.fill(folder / "late", 40)
    packed = pack_folder(folder, tmp_path / "out.npy", size_px=8, allow_bad=True, progress=vanish)
    skipped = packed.manifest["skipped"]
    assert skipped
    assert len(packed) + len(skipped) == 46
    assert {entry["reason"] for entry in skipped} == {"cannot be read (No such file or directory)"}


def test_progress_is_told(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    pack_folder(folder, tmp_path / "out.npy", size_px=8, progress=lambda done, total: told.append((done, total)))
    assert told == [(index, 6) for index in range(1, 7)]


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    """Thousands of hard links stand for a hundred thousand files; no more than a few are decoded ahead of the writer."""
    place = images.fill(tmp_path / "in", 1, size=(64, 64))
    for index in range(1, 2500):
        os.link(place / "0000.png", place / f"{index:04d}.png")
    program = (
        "import resource, sys; from pathlib import Path; from mitlgan.data.build.pack_folder import pack_folder\n"
        "source, out, first = Path(sys.argv[1]), Path(sys.argv[2]), []\n"
        "def told(done, total):\n    if done == 200: first.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "pack_folder(source, out, size_px=64, progress=told)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first[0])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(place), str(tmp_path / "out.npy")], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 15_000  # KiB, of 31 MB of pixels


def test_full_pictures_are_not_kept_while_they_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 16 cores 64 wait for the writer: of 24-megapixel photographs that would be 4.6 GB."""
    place = images.fill(tmp_path / "in", 30)
    alive: list[weakref.ref[Image.Image]] = []
    most = [0]
    real = packing.decode_bytes

    def watched(*arguments: object, **options: object) -> object:
        decoded = real(*arguments, **options)  # type: ignore[arg-type]
        alive.append(weakref.ref(decoded.picture))
        return decoded

    monkeypatch.setattr(packing, "decode_bytes", watched)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)

    def slow_writer(done: int, total: int) -> None:
        time.sleep(0.02)  # the workers get as far ahead as they may
        most[0] = max(most[0], sum(picture() is not None for picture in alive))

    pack_folder(place, tmp_path / "out.npy", size_px=8, progress=slow_writer)
    assert most[0] <= 2, "no more than there are workers"


def test_no_more_than_a_few_are_decoded_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = images.fill(tmp_path / "in", 60)
    decoded, ahead, lock = [0], [], threading.Lock()
    real = packing.decode_bytes

    def counting(*arguments: object, **options: object) -> object:
        with lock:
            decoded[0] += 1
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "decode_bytes", counting)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    pack_folder(place, tmp_path / "out.npy", size_px=8, progress=lambda done, _: ahead.append(decoded[0] - done))
    assert max(ahead) <= 10


class TestOpenData:
    def test_a_folder_is_packed_once_until_a_file_changes(self, folder: Path) -> None:
        first = open_data(str(folder), "bg", 8)
        assert open_data(str(folder), "bg", 8).path == first.path
        assert open_data(str(folder), "bg", 16).path != first.path
        images.smooth(77, (40, 30)).save(folder / "0.jpg")
        changed = open_data(str(folder), "bg", 8)
        assert changed.path != first.path
        assert changed.content_sha256 != first.content_sha256

    def test_transparency_makes_an_alpha_pack_of_foregrounds_only(self, tmp_path: Path) -> None:
        images.smooth(1, mode="RGBA").save(tmp_path / "a.png")
        assert open_data(str(tmp_path), "fg", 8).fourth_channel == "alpha"
        assert open_data(str(tmp_path), "bg", 8).fourth_channel is None

    @pytest.mark.parametrize(("cut_out", "fourth"), [(2, None), (3, "alpha")])
    def test_an_alpha_pack_needs_half_of_the_pictures_to_be_cut_out(self, tmp_path: Path, cut_out: int, fourth: str | None) -> None:
        """Screenshots and exports carry an alpha that is opaque all over: a foreground generator must not learn a matte of 1."""
        for index in range(6):
            picture = images.smooth(index).convert("RGBA")
            if index < cut_out:
                picture.putalpha(Image.new("L", picture.size, 0))
            picture.save(tmp_path / f"{index}.png")
        assert open_data(str(tmp_path), "fg", 8).fourth_channel == fourth

    @pytest.mark.parametrize(("opaque", "cut_out"), [(40, 60), (60, 40), (1, 63), (80, 47), (47, 80)])
    @pytest.mark.parametrize("opaque_first", [True, False])
    def test_the_order_of_the_names_does_not_decide_about_alpha(self, tmp_path: Path, opaque: int, cut_out: int, opaque_first: bool) -> None:
        for index in range(opaque):
            images.smooth(index, (8, 8)).save(tmp_path / f"{'a' if opaque_first else 'z'}{index:03d}.png")
        for index in range(cut_out):
            picture = images.smooth(index, (8, 8)).convert("RGBA")
            picture.putalpha(Image.new("L", picture.size, 0))
            picture.save(tmp_path / f"m{index:03d}.png")
        assert (open_data(str(tmp_path), "fg", 8).fourth_channel == "alpha") == (cut_out > opaque)

    def test_a_start_from_the_cache_reads_no_picture(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made = open_data(str(folder), "fg", 8)
        for reader in ("pack_split", "is_cutout_file"):
            monkeypatch.setattr(open, reader, lambda *_, **__: pytest.fail("read"))
        assert open_data(str(folder), "fg", 8).path == made.path

    def test_a_single_picture_is_refused_by_its_own_name(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"--data .*0\.jpg: neither a folder, a zip or tar archive"):
            open_data(str(folder / "0.jpg"), "fg", 8)

    def test_splits_are_subfolders(self, tmp_path: Path) -> None:
        images.fill(tmp_path / "train", 3)
        images.fill(tmp_path / "test", 2, first=10)
        assert len(open_data(str(tmp_path), "scene", 8)) == 3
        assert len(open_data(str(tmp_path), "scene", 8, split="test")) == 2
        assert resolve_split(str(tmp_path), "scene", "validation") == "train"
        with pytest.raises(UsageError, match="--split other"):
            open_data(str(tmp_path), "scene", 8, split="other")

    def test_a_pack_of_another_size_is_refused(self, folder: Path, tmp_path: Path) -> None:
        packed = pack_folder(folder, tmp_path / "out.npy", size_px=8)
        assert open_data(str(packed.path), "bg", 8).content_sha256 == packed.content_sha256
        with pytest.raises(DataError, match="holds 8 px"):
            open_data(str(packed.path), "bg", 16)

    def test_pictures_that_cannot_be_read_are_named_also_from_the_cache(self, tmp_path: Path) -> None:
        for index in range(40):
            images.smooth(index, (20, 20)).save(tmp_path / f"{index:02d}.png")
        (tmp_path / "00.png").write_bytes((tmp_path / "01.png").read_bytes()[:60])
        (tmp_path / "empty.png").touch()
        (tmp_path / "elsewhere").symlink_to(tmp_path.parent)  # a leftover, which has a line of its own
        for _ in range(2):
            said: list[str] = []
            assert len(open_data(str(tmp_path), "bg", 8, say=said.append)) == 39
            (line,) = (line for line in said if "cannot be read" in line)
            assert line.startswith(f"{tmp_path}: 2 of 41 pictures cannot be read and are left out: '00.png' (damaged")
            assert line.endswith("'empty.png' (empty file)")

    def test_a_damaged_cached_pack_is_made_again(self, folder: Path) -> None:
        first = open_data(str(folder), "bg", 8)
        first.path.write_bytes(b"torn")
        assert len(open_data(str(folder), "bg", 8)) == 6


def test_a_full_disk_leaves_nothing(folder: Path, small_disk: Path) -> None:
    images.fill(folder, 12, size=(16, 16), first=20)
    with pytest.raises(ResourceError, match="cannot write the pack"):
        pack_folder(folder, small_disk / "out.npy", size_px=256)
    assert list(small_disk.iterdir()) == []


def test_an_unknown_filter_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--resize mitchell: .*lanczos"):
        pack_folder(folder, tmp_path / "out.npy", size_px=8, resize="mitchell")
