"""Reads the members of zip and tar archives. Nothing is unpacked to disk, and an unsafe archive is refused as a whole."""

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
from typing import Self

from mitlgan.data.decode.image_file import MAX_FILE_BYTES, UnreadableImageError
from mitlgan.data.sources.file_classifier import is_matte_name
from mitlgan.errors import DataError, resource_fault

MAX_COMPRESSION_RATIO = 200  # unpacked to packed; picture formats are compressed already
MIN_BOMB_BYTES = 64_000_000  # below this any ratio is harmless
MAX_MEMBERS = 5_000_000
MAX_CACHED_BYTES = 256_000_000
"""Mattes of a compressed tar kept in memory: it can only be read forwards, and each matte belongs to a picture elsewhere in it."""
SEVERAL_IN_ONE = "damaged, or several archives in one; get it again, or unpack it with a program that reports errors and name the folder"
NO_END = "the tar archive has no end mark: some programs write none, but if it was cut, pictures are missing"
ZIP_MEMBER, ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
_ZIP_END_BYTES = 22  # without the comment behind it
_MAX_ZIP_TAIL_BYTES = _ZIP_END_BYTES + 65_535
ARCHIVE_ERRORS = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, KeyError, zipfile.BadZipFile, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class ArchiveMember:
    """A file in an archive.

    Attributes:
        name: With slashes, without `./`.
        stamp: Changes when the file changes, as far as a listing can tell.
        read: Returns the bytes; raises `UnreadableImageError`.
        read_head: Returns so many of the first bytes, or all if it has fewer; raises `UnreadableImageError`.
        size_bytes: Unpacked size.
    """

    name: str
    stamp: str
    read: Callable[[], bytes]
    read_head: Callable[[int], bytes]
    size_bytes: int


def check_member(name: str, size: int, link_or_device: bool, label: str) -> None:
    """Refuse an archive for what a member's header says.

    Args:
        name: Name of the member.
        size: Unpacked size in bytes.
        link_or_device: Whether the member is a link or a device.
        label: The archive with its option, which begins the message.

    Raises:
        DataError: The path leaves the archive, the member is a link or device, or larger than any picture.
    """
    member = f"{label}: member {name[:200]!r}"
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute() or PureWindowsPath(name).drive or "\\" in name or "\0" in name:
        raise DataError(f"{member} has an absolute or foreign path; refused whole: pack it again with plain names")
    if ".." in PurePosixPath(name).parts:
        raise DataError(f"{member} points out of the archive; refused whole: pack it again with plain names")
    if link_or_device:
        raise DataError(f"{member} is a link or a device; refused whole: pack it again with plain files")
    if size > MAX_FILE_BYTES:
        raise DataError(f"{member} unpacks to {size} bytes, more than {MAX_FILE_BYTES}; refused whole as a decompression bomb")


def check_ratio(unpacked: int, packed: int, count: int, label: str) -> None:
    """Refuse an archive that unpacks to far more than pictures can, or has too many members.

    Raises:
        DataError: The archive may be a decompression bomb.
    """
    if unpacked > MIN_BOMB_BYTES and unpacked > MAX_COMPRESSION_RATIO * max(packed, 1):
        raise DataError(f"{label}: {packed} bytes unpack to {unpacked} or more; refused whole as a decompression bomb")
    if count > MAX_MEMBERS:
        raise DataError(f"{label}: more than {MAX_MEMBERS} members; refused whole")


def read_zip_members(path: Path, option: str) -> list[ArchiveMember]:
    """Return the files of a zip archive, sorted by name.

    Raises:
        DataError: The archive is encrypted or unsafe, or there are several in the file.
    """
    label, unpacked = f"{option} {path}", 0
    archive = zipfile.ZipFile(path)
    members = archive.infolist()
    for info in members:
        mode = info.external_attr >> 16
        unpacked += info.file_size
        check_member(info.filename, info.file_size, stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR), label)
        if info.flag_bits & 1:
            raise DataError(f"{label}: is encrypted; unpack it yourself and give the folder")
    check_ratio(unpacked, path.stat().st_size, len(members), label)
    _refuse_several_zips(path, archive, label)

    def member(info: zipfile.ZipInfo) -> ArchiveMember:
        def read(count: int = MAX_FILE_BYTES + 1) -> bytes:
            with _unreadable_errors(), archive.open(info) as file:
                return file.read(count)

        return ArchiveMember(_plain_name(info.filename), f"{info.file_size} {info.CRC}", read, read, info.file_size)

    return sorted((member(info) for info in members if not info.is_dir()), key=lambda one: one.name)


def _refuse_several_zips(path: Path, archive: zipfile.ZipFile, label: str) -> None:
    """Refuse a file in which another zip is before or after the one that is read; only other data may be there, such as a program that unpacks it."""
    with path.open("rb") as file:
        has_member_first = file.read(len(ZIP_MEMBER)) == ZIP_MEMBER
        file.seek(max(0, path.stat().st_size - _MAX_ZIP_TAIL_BYTES))
        tail = file.read()
    rest = tail[tail.rfind(ZIP_END) + _ZIP_END_BYTES + len(archive.comment) :]
    first = min((info.header_offset for info in archive.infolist()), default=archive.start_dir)
    if (has_member_first and first > 0) or ZIP_MEMBER in rest:
        raise DataError(f"{label}: {SEVERAL_IN_ONE}")


class _StrictTarInfo(tarfile.TarInfo):
    """Refuses a damaged header inside an archive; a `TarFile` takes it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the member of a header.

        Raises:
            ReadError: The header is damaged or cut.
            HeaderError: It is all zeros, or empty: the end.
        """
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):
                raise tarfile.ReadError(f"a header in it is damaged or cut: {error}") from None
            raise


def read_tar_members(path: Path, option: str, stamp: str) -> tuple[list[ArchiveMember], list[str]]:
    """Return the files of a tar archive, compressed or not, in its order, and remarks about it.

    Args:
        path: The archive.
        option: How an error names it.
        stamp: Stamp of the archive: a tar has no checksums of its members, and reproducible archives give all of them one date.

    Raises:
        DataError: The archive is unsafe, or something follows its end.
        ReadError: A member or its header is damaged.
    """
    label, unpacked, packed = f"{option} {path}", 0, path.stat().st_size
    archive = tarfile.open(path, tarinfo=_StrictTarInfo)  # noqa: SIM115  (members are read from it later)
    forwards_only = not isinstance(archive.fileobj, io.BufferedReader)
    lock = threading.Lock()
    cache: dict[int, bytes] = {}  # by the position in the archive
    free_bytes = MAX_CACHED_BYTES
    members: list[ArchiveMember] = []

    def member(info: tarfile.TarInfo) -> ArchiveMember:
        def read(count: int = -1) -> bytes:
            if info.offset in cache:
                return cache[info.offset]
            with _unreadable_errors(), lock:
                file = archive.extractfile(info)
                return b"" if file is None else file.read(count)

        return ArchiveMember(_plain_name(info.name), f"{info.size} {info.mtime} of {stamp}", read, read, info.size)

    for count, info in enumerate(archive, start=1):  # each member is checked before the next is sought, so that a bomb is never unpacked
        unpacked += info.size
        check_member(info.name, info.size, not (info.isfile() or info.isdir()), label)
        check_ratio(unpacked, packed, count, label)
        if not info.isfile():
            continue
        members.append(member(info))
        if forwards_only and is_matte_name(info.name) and info.size <= free_bytes:
            free_bytes -= info.size
            with suppress(UnreadableImageError):
                cache[info.offset] = members[-1].read()
    return members, [] if _has_end_mark(archive, unpacked, packed, label) else [NO_END]


def _has_end_mark(archive: tarfile.TarFile, unpacked: int, packed: int, label: str) -> bool:
    """Whether zeros follow the last member of a tar, rather than nothing; anything else is refused.

    Args:
        archive: All of its members were listed.
        unpacked: Their size in bytes.
        packed: Size of the file in bytes.
        label: The archive with its option.
    """
    file = archive.fileobj
    assert file is not None
    has_mark = file.tell() > archive.offset  # else not even a block of zeros was there to be read
    while block := file.read(io.DEFAULT_BUFFER_SIZE):
        unpacked += len(block)
        check_ratio(unpacked, packed, 0, label)
        if block.count(0) < len(block):
            raise DataError(f"{label}: {SEVERAL_IN_ONE}")
    return has_mark


@contextmanager
def _unreadable_errors() -> Iterator[None]:
    """Turn what a damaged member raises into an `UnreadableImageError`."""
    try:
        yield
    except ARCHIVE_ERRORS as error:
        raise resource_fault(error) or UnreadableImageError(f"damaged in the archive: {' '.join(str(error).split())[:120]}") from None


def _plain_name(name: str) -> str:
    return PurePosixPath(name).as_posix()
