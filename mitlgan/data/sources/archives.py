"""The members of zip and tar archives. Nothing is unpacked to disk, and an archive that tries anything is refused whole."""

from __future__ import annotations

import io
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from mitlgan.data.decode.image_file import MAX_FILE_BYTES, UnreadableImageError
from mitlgan.data.sources.formats import HEAD_BYTES
from mitlgan.data.sources.listing import is_matte_name
from mitlgan.errors import DataError, resource_fault

MAX_COMPRESSION_RATIO = 200  # unpacked to packed; picture formats are compressed already
MIN_BOMB_BYTES = 64_000_000  # below this any ratio is harmless
MAX_MEMBERS = 5_000_000
MAX_CACHED_BYTES = 256_000_000
"""Of the mattes of a compressed tar, which can only be read forwards: so many are kept in memory, since each belongs to a picture elsewhere in it."""
DAMAGE = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, KeyError, zipfile.BadZipFile, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: With slashes, without `./`.
        stamp: Changes when the file does, as far as a listing can tell.
        read: Gives its content; raises `UnreadableImageError`.
        head: Gives its first bytes, likewise.
    """

    name: str
    stamp: str
    read: Callable[[], bytes]
    head: Callable[[], bytes]


def check_member(name: str, size: int, link_or_device: bool, named: str) -> None:
    """Refuse an archive for what a member's header says.

    Raises:
        DataError: A path out of the archive, a link or device, or a size beyond any picture's.
    """
    shown = repr(name[:200])
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute() or PureWindowsPath(name).drive or "\\" in name or "\0" in name:
        raise DataError(f"{named}: member {shown} has an absolute or foreign path; refused whole: pack it again with plain names")
    if ".." in PurePosixPath(name).parts:
        raise DataError(f"{named}: member {shown} points out of the archive; refused whole: pack it again with plain names")
    if link_or_device:
        raise DataError(f"{named}: member {shown} is a link or a device; refused whole: pack it again with plain files")
    if size > MAX_FILE_BYTES:
        raise DataError(f"{named}: member {shown} unpacks to {size} bytes, more than {MAX_FILE_BYTES}; refused whole as a decompression bomb")


def check_ratio(unpacked: int, packed: int, count: int, named: str) -> None:
    """Refuse an archive that unpacks to far more than pictures can."""
    if unpacked > MIN_BOMB_BYTES and unpacked > MAX_COMPRESSION_RATIO * max(packed, 1):
        raise DataError(f"{named}: {packed} bytes unpack to {unpacked} or more; refused whole as a decompression bomb")
    if count > MAX_MEMBERS:
        raise DataError(f"{named}: more than {MAX_MEMBERS} members; refused whole")


def zip_members(path: Path, option: str) -> list[Member]:
    """The files of a zip archive, by name.

    Raises:
        DataError: It is encrypted, or tries anything.
    """
    named, unpacked = f"{option} {path}", 0
    archive = zipfile.ZipFile(path)
    members = archive.infolist()
    for info in members:
        mode = info.external_attr >> 16
        unpacked += info.file_size
        check_member(info.filename, info.file_size, stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR), named)
        if info.flag_bits & 1:
            raise DataError(f"{named}: is encrypted; unpack it yourself and give the folder")
    check_ratio(unpacked, path.stat().st_size, len(members), named)

    def member(info: zipfile.ZipInfo) -> Member:
        def read(count: int = MAX_FILE_BYTES + 1) -> bytes:
            with _damage_told(), archive.open(info) as file:
                return file.read(count)

        return Member(_plain(info.filename), f"{info.file_size} {info.CRC}", read, lambda: read(HEAD_BYTES))

    return sorted((member(info) for info in members if not info.is_dir()), key=lambda one: one.name)


def tar_members(path: Path, option: str, stamp: str) -> list[Member]:
    """The files of a tar archive, in its order, compressed or not.

    Args:
        path: The archive.
        option: How an error names it.
        stamp: Of the archive: a tar has no checksums of its members, and archives that anybody can make again have one date for all.

    Raises:
        DataError: It tries anything.
    """
    named, unpacked, packed = f"{option} {path}", 0, path.stat().st_size
    archive = tarfile.open(path)  # noqa: SIM115  (members are read from it later)
    forwards = not isinstance(archive.fileobj, io.BufferedReader)
    lock = threading.Lock()
    kept: dict[int, bytes] = {}  # by the position in the archive
    room = MAX_CACHED_BYTES
    members: list[Member] = []

    def member(info: tarfile.TarInfo) -> Member:
        def read(count: int = -1) -> bytes:
            if info.offset in kept:
                return kept[info.offset]
            with _damage_told(), lock:
                file = archive.extractfile(info)
                return b"" if file is None else file.read(count)

        return Member(_plain(info.name), f"{info.size} {info.mtime} of {stamp}", read, lambda: read(HEAD_BYTES))

    for count, info in enumerate(archive, start=1):  # each member is judged before the next is sought, so a bomb is not unpacked to find out
        unpacked += info.size
        check_member(info.name, info.size, not (info.isfile() or info.isdir()), named)
        check_ratio(unpacked, packed, count, named)
        if not info.isfile():
            continue
        members.append(member(info))
        if forwards and is_matte_name(info.name) and info.size <= room:
            room -= info.size
            with suppress(UnreadableImageError):
                kept[info.offset] = members[-1].read()
    return members


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise resource_fault(error) or UnreadableImageError(f"damaged in the archive: {' '.join(str(error).split())[:120]}") from None


def _plain(name: str) -> str:
    return PurePosixPath(name).as_posix()
