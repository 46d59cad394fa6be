"""Folders, archives and lists of pictures."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import images

from mitlgan.data.decode.image_file import UnreadableImageError
from mitlgan.data.sources import archives
from mitlgan.data.sources.image_source import open_source, output_stem
from mitlgan.errors import DataError

PICTURE = images.encoded(images.smooth(1), "PNG")


def zipped(path: Path, members: dict[str, bytes], form: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", form) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w", change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            archive.addfile(info, io.BytesIO(content))
    return path


MEMBERS = {"b/2.png": PICTURE, "b/1.PNG": PICTURE, "notes.txt": b"no", "__MACOSX/b/._1.png": b"junk", "b/.hidden.png": b"junk", "1.matte.png": PICTURE}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_archives(tmp_path: Path, name: str) -> None:
    path = (
        zipped(tmp_path / name, MEMBERS)
        if name.endswith("zip")
        else tarred(tmp_path / name, MEMBERS, f"w:{name.split('.')[2] if name.count('.') > 1 else ''}")
    )
    source = open_source(path)
    assert sorted(entry.name for entry in source.entries) == ["b/1.PNG", "b/2.png"]
    assert all(entry.read() == PICTURE for entry in source.entries)
    assert source.listing_sha256() == open_source(path).listing_sha256()
    assert list(tmp_path.iterdir()) == [path]  # nothing is unpacked


def test_a_folder_and_its_zip_have_the_same_pictures_in_the_same_order(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 5)
    packed = zipped(tmp_path / "a.zip", {file.name: file.read_bytes() for file in sorted(place.iterdir(), reverse=True)})
    first, second = open_source(place), open_source(packed)
    assert [(entry.name, entry.read()) for entry in first.entries] == [(entry.name, entry.read()) for entry in second.entries]


def test_a_list_of_paths(tmp_path: Path) -> None:
    place = images.fill(tmp_path / "in", 3)
    odd = Path(os.fsdecode(os.fsencode(place) + b"/\xff.png"))
    odd.write_bytes(PICTURE)
    lines = [b"in/0002.png", b"", b"in/0000.png", b"in/0002.png", b"in/\xff.png", os.fsencode(place / "0001.png"), b"in/gone.png"]
    (tmp_path / "list.txt").write_bytes(b"\r\n".join(lines))
    source = open_source(tmp_path / "list.txt")
    assert [entry.name for entry in source.entries] == ["in/0002.png", "in/0000.png", r"in/\xff.png", str(place / "0001.png"), "in/gone.png"]
    assert source.entries[2].read() == PICTURE
    with pytest.raises(UnreadableImageError, match="No such file"):
        source.entries[-1].read()


ATTACKS = ["../up.png", "/etc/up.png", "a/../../up.png", "C:\\up.png", "a\\..\\up.png", "//host/up.png"]


@pytest.mark.parametrize("name", ATTACKS)
def test_names_that_leave_the_archive_refuse_it_whole(tmp_path: Path, name: str) -> None:
    members = {"good.png": PICTURE, name: PICTURE}
    for path in (zipped(tmp_path / "a.zip", members), tarred(tmp_path / "a.tar", members)):
        with pytest.raises(DataError, match="refused whole") as caught:
            open_source(path)
        assert caught.value.exit_code == 3
        assert str(caught.value).startswith(f"SRC {path}")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    with pytest.raises(DataError, match="link or a device; refused whole"):
        open_source(tarred(tmp_path / "a.tar", {"a.png": b""}, change=change))


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("a.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="link"):
        open_source(tmp_path / "a.zip")


def test_ratio_bombs(tmp_path: Path) -> None:
    zeros = bytes(40_000_000)
    bombs = [
        zipped(tmp_path / "a.zip", {"a.png": zeros, "b.png": zeros}, zipfile.ZIP_DEFLATED),
        tarred(tmp_path / "a.tar.gz", {"a.png": zeros, "b.png": zeros}, "w:gz"),
    ]
    for path in bombs:
        with pytest.raises(DataError, match="bomb"):
            open_source(path)


def test_a_tar_that_only_claims_to_be_huge_is_refused_without_unpacking(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.png")
    info.size = 10**12
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(50_000_000))
    with pytest.raises(DataError, match="bomb"):
        open_source(tmp_path / "a.tar.gz")


def test_one_member_beyond_any_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 10)
    with pytest.raises(DataError, match="unpacks to 11 bytes"):
        open_source(zipped(tmp_path / "a.zip", {"a.png": bytes(11)}))


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    for path in (zipped(tmp_path / "a.zip", dict.fromkeys("abc", b"")), tarred(tmp_path / "a.tar", dict.fromkeys("abc", b""))):
        with pytest.raises(DataError, match="more than 2 members"):
            open_source(path)


def test_a_damaged_member_is_a_reason(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": PICTURE})
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(UnreadableImageError, match="damaged in the archive"):
        open_source(path).entries[0].read()


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.png": PICTURE})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="encrypted"):
        open_source(path)


def test_mutated_archives_open_or_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    whole = [
        zipped(tmp_path / "a.zip", MEMBERS).read_bytes(),
        tarred(tmp_path / "a.tar", MEMBERS).read_bytes(),
        tarred(tmp_path / "a.tgz", MEMBERS, "w:gz").read_bytes(),
    ]
    for turn in range(240):
        data = bytearray(whole[turn % 3])
        for _ in range(4):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        path = tmp_path / "mutated.bin"
        path.write_bytes(bytes(data[: int(rng.integers(1, len(data)))] if turn % 5 == 0 else data))
        try:
            for entry in open_source(path).entries:
                with contextlib.suppress(UnreadableImageError):
                    entry.read()
        except DataError:
            pass


@pytest.mark.parametrize("make", ["missing", "text", "empty zip", "empty list"])
def test_nothing_there(tmp_path: Path, make: str) -> None:
    path = tmp_path / {"missing": "a", "text": "a.bin", "empty zip": "a.zip", "empty list": "a.txt"}[make]
    if make == "text":
        path.write_bytes(b"hello")
    elif make == "empty zip":
        zipped(path, {})
    elif make == "empty list":
        path.write_text("\n")
    with pytest.raises(DataError, match=str(path)):
        open_source(path)


def test_output_names_are_plain_and_different() -> None:
    names = ["a/b.png", "b.png", "../x.png", "ü\n.png", "<script>.png", "x" * 300 + ".png", ".png"]
    stems = [output_stem(name) for name in names]
    assert len(set(stems)) == len(names)
    for stem in stems:
        assert len(stem) < 64
        assert stem.isascii()
        assert not set(stem) & set("/\\<>.\n ")


def test_a_list_that_names_a_file_again_counts_it_once(tmp_path: Path) -> None:
    """In the same spelling or another."""
    for name in ("in/a.png", "in/b.png", "out/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PICTURE)
    lines = ["a.png", "b.png", "a.png", "./a.png", str(tmp_path / "in" / "a.png"), "../in/b.png", "../out/c.png"]
    (tmp_path / "in" / "list.txt").write_text("\n".join(lines))
    source = open_source(tmp_path / "in" / "list.txt")
    assert [entry.name for entry in source.entries] == ["a.png", "b.png", "../out/c.png"]
    assert [(left.name, left.reason) for left in source.leftovers.named] == [
        *((line, "the list names it already, as 'a.png'") for line in lines[2:5]),
        ("../in/b.png", "the list names it already, as 'b.png'"),
    ]


class TestDamagedAndJoinedArchives:
    """A reader that stops at the first thing it does not know would give some of the pictures, and not a word."""

    NAMES = tuple(f"{index:02d}.png" for index in range(9))
    MODES = ("w", "w:gz", "w:bz2", "w:xz")

    def tar(self, path: Path, mode: str, change: Callable[[bytes], bytes] = lambda content: content) -> Path:
        """Nine members of a header and a block of content each, then padding; changed, then compressed."""
        plain = tarred(path.with_name("plain"), dict.fromkeys(self.NAMES, PICTURE[:500]))
        content = change(plain.read_bytes())
        plain.unlink()
        path.write_bytes({"w": bytes, "w:gz": gzip.compress, "w:bz2": bz2.compress, "w:xz": lzma.compress}[mode](content))
        return path

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("end", [9 * 1024, 9 * 1024 + 512, 9 * 1024 + 1024, 10_240, 20_480, 2_000_000])
    def test_a_tar_may_end_with_any_number_of_zeros_or_none(self, tmp_path: Path, mode: str, end: int) -> None:
        source = open_source(self.tar(tmp_path / "a", mode, lambda content: content[:end].ljust(end, b"\0")))
        assert [entry.name for entry in source.entries] == list(self.NAMES)
        assert all(entry.read() == PICTURE[:500] for entry in source.entries)
        assert list(source.leftovers.remarks) == ([archives.NO_END] if end == 9 * 1024 else [])

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("cut", [4 * 1024 + 100, 4 * 1024 + 511, 4 * 1024 + 512, 4 * 1024 + 600, 9 * 1024 - 1])
    def test_a_cut_tar_is_refused_or_said_to_have_no_end(self, tmp_path: Path, mode: str, cut: int) -> None:
        with pytest.raises(DataError, match=r"a damaged archive .*; get it again") as caught:
            open_source(self.tar(tmp_path / "a", mode, lambda content: content[:cut]))
        assert caught.value.exit_code == 3
        cut_before_a_header = open_source(self.tar(tmp_path / "a", mode, lambda content: content[: 4 * 1024]))
        assert (len(cut_before_a_header.entries), list(cut_before_a_header.leftovers.remarks)) == (4, [archives.NO_END])

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("place", [0, 124, 148, 156, 257])
    def test_a_damaged_header_refuses_the_tar(self, tmp_path: Path, mode: str, place: int) -> None:
        def flip(content: bytes) -> bytes:
            at = 5 * 1024 + place
            return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]

        with pytest.raises(DataError, match=r"a damaged archive \(a header in it is damaged or cut: bad checksum\)"):
            open_source(self.tar(tmp_path / "a", mode, flip))

    @pytest.mark.parametrize("mode", MODES)
    def test_several_tars_in_one_are_refused(self, tmp_path: Path, mode: str) -> None:
        first, second = self.tar(tmp_path / "a", mode).read_bytes(), self.tar(tmp_path / "b", mode).read_bytes()
        for content in (first + second, first + first):
            (tmp_path / "c").write_bytes(content)
            with pytest.raises(DataError, match=f"^SRC {tmp_path / 'c'}: damaged, or several archives in one; .*unpack it"):
                open_source(tmp_path / "c")
        for junk in (b"x", bytes(100_000) + b"x"):
            with pytest.raises(DataError, match="several archives in one"):
                open_source(self.tar(tmp_path / "d", mode, lambda content, junk=junk: content + junk))  # type: ignore[misc]

    def test_zeros_without_end_behind_a_tar_are_a_bomb(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="decompression bomb"):
            open_source(self.tar(tmp_path / "a", "w:gz", lambda content: content + bytes(100_000_000)))

    def test_a_compressed_tar_that_is_cut_in_its_padding_is_refused(self, tmp_path: Path) -> None:
        whole = self.tar(tmp_path / "a", "w:gz").read_bytes()
        (tmp_path / "a").write_bytes(whole[:-12])
        with pytest.raises(DataError, match="a damaged archive"):
            open_source(tmp_path / "a")

    def test_several_zips_in_one_are_refused_and_a_program_before_one_is_not(self, tmp_path: Path) -> None:
        zips = [zipped(tmp_path / f"{name}.zip", {f"{name}{index}.png": PICTURE for index in range(5)}).read_bytes() for name in "ab"]
        commented = bytearray(zips[0])
        commented[-2:] = (7).to_bytes(2, "little")
        for content in (zips[0] + zips[1], zips[0] + zips[1][: len(zips[1]) // 2], bytes(commented) + b"comment" + zips[1][:999], *[zips[0] * 2]):
            (tmp_path / "c.zip").write_bytes(content)
            with pytest.raises(DataError, match=f"^SRC {tmp_path / 'c.zip'}: damaged, or several archives in one"):
                open_source(tmp_path / "c.zip")
        for content in (b"MZ a program that unpacks it" + zips[0], zips[0] + bytes(100), bytes(commented) + b"comment"):
            (tmp_path / "c.zip").write_bytes(content)
            assert len(open_source(tmp_path / "c.zip").entries) == 5

    @pytest.mark.parametrize("bytes_cut", [1, 21, 22, 60, 300])
    def test_a_zip_without_its_end_is_damaged(self, tmp_path: Path, bytes_cut: int) -> None:
        path = zipped(tmp_path / "a.zip", dict.fromkeys("abcdefgh", PICTURE))
        path.write_bytes(path.read_bytes()[:-bytes_cut])
        with pytest.raises(DataError, match=r"a damaged archive .*; get it again"):
            open_source(path)

    @pytest.mark.parametrize("mode", ["w", "w:gz"])
    def test_a_zip_at_the_end_of_a_tar_is_not_taken_for_it(self, tmp_path: Path, mode: str) -> None:
        inner = zipped(tmp_path / "z.zip", {"inner.png": PICTURE}).read_bytes()
        source = open_source(tarred(tmp_path / "a.tar", {"a.png": PICTURE, "z.zip": inner}, mode))
        assert [(entry.name, entry.read()) for entry in source.entries] == [("a.png", PICTURE)]
        assert [leftover.name for leftover in source.leftovers.named] == ["z.zip"]


def test_two_files_that_are_printed_alike_are_refused(tmp_path: Path) -> None:
    """One of bytes that are no text, one that is called as these are printed."""
    place = images.fill(tmp_path / "in", 1)
    content = (place / "0000.png").read_bytes()
    names = [os.fsdecode(b"\xff\xfe.png"), "\\xff\\xfe.png"]
    for name in names:
        (place / name).write_bytes(content)
    with pytest.raises(DataError) as refused:
        open_source(place, "PHOTOS")
    assert str(refused.value) == (
        f"PHOTOS {place}: two of its files are printed as '\\\\xff\\\\xfe.png' and cannot be told apart by name; rename one of them"
    )
    (place / names[0]).unlink()
    assert [entry.name for entry in open_source(place).entries] == ["0000.png", names[1]]
