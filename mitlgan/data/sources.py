"""Where pictures come from: a folder, a zip or tar archive, or a file that lists paths. Nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from mitlgan.data.decode import LARGEST_FILE_BYTES, UnreadableError, read_file
from mitlgan.data.formats import SUFFIXES
from mitlgan.errors import DataError
from mitlgan.text import read_text

MATTE_SUFFIX = ".matte.png"  # NAME.matte.png is the matte of NAME.png (or .jpg, ...) beside it
BAD_SHARE = 0.05  # of the files may be no usable pictures; more than that is no accident
LARGEST_RATIO = 200  # unpacked to packed; picture formats are compressed already
SMALLEST_BOMB_BYTES = 64_000_000  # below this any ratio is harmless
LARGEST_COUNT = 5_000_000
LARGEST_LIST_BYTES = 1_000_000_000
CLOCK_STEP_NS = 20_000_000  # file systems tell time in steps of up to 10 ms
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, KeyError, zipfile.BadZipFile, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class Entry:
    """One file of a source.

    Attributes:
        name: Relative to the source, with slashes, printable or escaped.
        stamp: Changes when the file does, as far as a listing can tell.
        read: Gives its content; raises `UnreadableError` with the reason why not.
        file: Its path, where it is a file; of the many of a folder, few are ever needed as a `Path`.
    """

    name: str
    stamp: str
    read: Callable[[], bytes]
    file: str | None = None

    @property
    def path(self) -> Path | None:
        """The file, where it is one."""
        return None if self.file is None else Path(self.file)


@dataclass(frozen=True)
class Source:
    """Pictures in a fixed order.

    Attributes:
        spec: As the user named it.
        entries: What may be pictures, by their names' endings.
        sequential: Reading in another order than this, or from several threads, would be slow.
    """

    spec: str
    entries: tuple[Entry, ...]
    sequential: bool = False

    def listing_sha256(self) -> str:
        """Tells whether a source is still the same, without reading it."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.name!r} {entry.stamp}\n".encode())
        return digest.hexdigest()


def open_source(spec: str | Path, option: str = "SRC") -> Source:
    """List what a folder, archive or list holds.

    Args:
        spec: A folder; a `.zip`, `.tar`, `.tar.gz` and the like; a `.txt` or `.lst` of paths, one a line, relative to its own folder.
        option: How error messages name it.

    Raises:
        DataError: Missing, empty, or an archive that tries anything.
    """
    path = Path(spec)
    if path.is_dir():
        return Source(str(spec), tuple(of_file(os.path.join(spec, name), printable_name(name)) for name in _picture_names(path, option)))  # noqa: PTH118
    if not path.is_file():
        raise DataError(f"{option} {path}: no such folder, archive or list; name one that holds pictures")
    if path.suffix.lower() in (".txt", ".lst"):
        return Source(str(spec), _nonempty(_of_list(path, option), f"{option} {path}"))
    try:
        if zipfile.is_zipfile(path):
            return Source(str(spec), _nonempty(_of_zip(path, option), f"{option} {path}"), sequential=True)
        if tarfile.is_tarfile(path):
            return Source(str(spec), _nonempty(_of_tar(path, option), f"{option} {path}"), sequential=True)
    except _DAMAGE as error:
        raise DataError(f"{option} {path}: a damaged archive ({error}); get it again") from None
    raise DataError(f"{option} {path}: neither a folder, a zip or tar archive, nor a list of paths (.txt)")


def list_pictures(folder: Path, option: str = "--data") -> list[Path]:
    """Files under a folder whose names end as pictures' do, sorted; links and special files are left for decoding to refuse.

    Raises:
        DataError: No such folder, or none in it.
    """
    return [folder / name for name in _picture_names(folder, option)]


def _picture_names(folder: Path, option: str) -> list[str]:
    """Their names, relative to the folder."""
    if not folder.exists():
        raise DataError(f"{option} {folder}: no such folder; name one that holds pictures")
    if not folder.is_dir():
        raise DataError(f"{option} {folder}: neither a folder nor a pack (.npy)")

    def refuse(error: OSError) -> None:
        raise DataError(f"{option} {error.filename}: cannot be listed ({error.strerror}); give the rights to read it, or move it out of the folder")

    found: list[str] = []
    top = str(folder)
    for parent, folders, names in os.walk(top, onerror=refuse):  # links to folders are not followed, so a loop of them ends here
        folders[:] = [name for name in folders if not _hidden(name)]
        inside = parent[len(top) :].lstrip(os.sep)
        found += [os.path.join(inside, name) for name in names if is_picture_name(name)]  # noqa: PTH118
    if not found:
        raise DataError(f"{option} {folder}: no pictures in it; looked for {', '.join(sorted(SUFFIXES))}")
    return sorted(found)


def is_picture_name(name: str) -> bool:
    """Whether a file's name is that of a picture, not of a matte beside one or of something hidden."""
    lower = name.lower()
    return os.path.splitext(lower)[1] in SUFFIXES and not lower.endswith(MATTE_SUFFIX) and not _hidden(name)  # noqa: PTH122


def matte_beside(picture: Path) -> Path:
    """Where the matte of a picture lies, if it has one."""
    return picture.with_name(picture.stem + MATTE_SUFFIX)


def printable_name(path: str | Path) -> str:
    """A file's name as text that any file or terminal takes: what is not UTF-8 is escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def output_stem(name: str) -> str:
    """A file name of plain letters for a picture of any name, different for different names."""
    stem = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in PurePosixPath(name).stem)[:48]
    return f"{stem or 'picture'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _hidden(name: str) -> bool:
    """Thumbnails' caches and what other systems leave beside pictures (`.thumbnails/`, `._picture.jpg`, `__MACOSX/`)."""
    return name.startswith(".") or name == "__MACOSX"


def _nonempty(entries: Iterable[Entry], named: str) -> tuple[Entry, ...]:
    found = tuple(entries)
    if not found:
        raise DataError(f"{named}: no pictures in it; looked for {', '.join(sorted(SUFFIXES))}")
    return found


def of_file(file: str, name: str) -> Entry:
    """The entry of a file, there or not; its stamp tells of its matte, too."""
    matte = os.path.splitext(file)[0] + MATTE_SUFFIX  # noqa: PTH122  (of many files)
    return Entry(name, f"{file_stamp(file)}, matte {file_stamp(matte)}", lambda: read_file(file), file)


def file_stamp(file: str | Path) -> str:
    """What tells whether a file was changed, even in place, to the same size and time: its inode and the time of that change, which nobody can set.

    A file that was changed within this step of the file system's clock is waited for, since another change within it would leave no trace.
    """
    try:
        status = os.lstat(file)
        linked = os.stat(file) if stat.S_ISLNK(status.st_mode) else None  # noqa: PTH116
    except (OSError, ValueError):
        return "gone"
    since = time.time_ns() - status.st_ctime_ns
    if 0 <= since < CLOCK_STEP_NS:
        time.sleep((CLOCK_STEP_NS - since) / 1e9)
    return " / ".join(f"{one.st_size} {one.st_mtime_ns} {one.st_ino} {one.st_ctime_ns}" for one in (status, linked) if one is not None)


def _of_list(path: Path, option: str) -> Iterable[Entry]:
    text = read_text(path, f"{option} {path}", DataError, LARGEST_LIST_BYTES, names=True)
    for line in dict.fromkeys(line.strip() for line in text.split("\n") if line.strip()):
        name = _foreign(line, path.parent)
        yield of_file(str(path.parent / name), printable_name(Path(name)))


def _foreign(line: str, folder: Path) -> str:
    """A path as this system writes it: of a list made on Windows, whose parts a backslash divides, where no file has that very name."""
    if "\\" not in line or os.sep == "\\" or os.path.lexists(folder / line):
        return line
    return line.replace("\\", "/")


def refuse_member(name: str, size: int, link_or_device: bool, named: str) -> None:
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
    if size > LARGEST_FILE_BYTES:
        raise DataError(f"{named}: member {shown} unpacks to {size} bytes, more than {LARGEST_FILE_BYTES}; refused whole as a decompression bomb")


def refuse_ratio(unpacked: int, packed: int, count: int, named: str) -> None:
    """Refuse an archive that unpacks to far more than pictures can."""
    if unpacked > SMALLEST_BOMB_BYTES and unpacked > LARGEST_RATIO * max(packed, 1):
        raise DataError(f"{named}: {packed} bytes unpack to {unpacked} or more; refused whole as a decompression bomb")
    if count > LARGEST_COUNT:
        raise DataError(f"{named}: more than {LARGEST_COUNT} members; refused whole")


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and is_picture_name(parts[-1]) and not any(_hidden(part) for part in parts[:-1])


def _of_zip(path: Path, option: str) -> list[Entry]:
    named, unpacked = f"{option} {path}", 0
    archive = zipfile.ZipFile(path)
    members = archive.infolist()
    for info in members:
        mode = info.external_attr >> 16
        unpacked += info.file_size
        refuse_member(info.filename, info.file_size, stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR), named)
        if info.flag_bits & 1:
            raise DataError(f"{named}: is encrypted; unpack it yourself and give the folder")
    refuse_ratio(unpacked, path.stat().st_size, len(members), named)

    def entry(info: zipfile.ZipInfo) -> Entry:
        def read() -> bytes:
            try:
                with archive.open(info) as file:
                    return file.read(LARGEST_FILE_BYTES + 1)
            except _DAMAGE as error:
                raise UnreadableError(f"damaged in the archive: {' '.join(str(error).split())[:120]}") from None

        return Entry(info.filename, f"{info.file_size} {info.CRC}", read)

    found = {info.filename: entry(info) for info in members if not info.is_dir() and _wanted(info.filename)}
    return [found[name] for name in sorted(found)]


def _of_tar(path: Path, option: str) -> list[Entry]:
    named, unpacked, packed = f"{option} {path}", 0, path.stat().st_size
    archive = tarfile.open(path)  # noqa: SIM115  (entries read from it later)
    lock = threading.Lock()
    archive_stamp = file_stamp(path)  # a tar has no checksums of its members, and archives that anybody can make again have one date for all
    found: dict[str, Entry] = {}

    def entry(info: tarfile.TarInfo) -> Entry:
        def read() -> bytes:
            try:
                with lock:
                    file = archive.extractfile(info)
                    return b"" if file is None else file.read()
            except _DAMAGE as error:
                raise UnreadableError(f"damaged in the archive: {' '.join(str(error).split())[:120]}") from None

        return Entry(info.name, f"{info.size} {info.mtime} of {archive_stamp}", read)

    for count, info in enumerate(archive, start=1):  # each member is judged before the next is sought, so a bomb is not unpacked to find out
        unpacked += info.size
        refuse_member(info.name, info.size, not (info.isfile() or info.isdir()), named)
        refuse_ratio(unpacked, packed, count, named)
        if info.isfile() and _wanted(info.name):
            found[info.name] = entry(info)
    return list(found.values())  # in the archive's order: it can only be read forwards
