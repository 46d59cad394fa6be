"""Where pictures come from: a folder, a zip or tar archive, or a file that lists paths. Nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from mitlgan.data.decode.image_file import UnreadableImageError, read_file, read_head
from mitlgan.data.sources.archives import DAMAGE, Member, tar_members, zip_members
from mitlgan.data.sources.folders import walk
from mitlgan.data.sources.formats import IMAGE_SUFFIXES
from mitlgan.data.sources.leftovers import LeftoverFile, Leftovers
from mitlgan.data.sources.listing import FileClassifier, index_mattes, is_hidden_name, is_matte_name, printable_name
from mitlgan.errors import DataError, UsageError, resource_fault
from mitlgan.runtime.text_files import read_text

MAX_UNREADABLE_FRACTION = 0.05  # of the files may be no usable pictures; more than that is no accident
MAX_LIST_BYTES = 1_000_000_000
CLOCK_STEP_NS = 20_000_000  # file systems tell time in steps of up to 10 ms
LISTS = (".txt", ".lst")


@dataclass(frozen=True)
class ImageEntry:
    """One picture of a source.

    Attributes:
        name: Relative to the source, with slashes, printable or escaped.
        stamp: Changes when the file does, as far as a listing can tell.
        read: Gives its content; raises `UnreadableImageError` with the reason why not.
        file: Its path, where it is a file; of the many of a folder, few are ever needed as a `Path`.
        matte: The matte beside it, where there is one.
    """

    name: str
    stamp: str
    read: Callable[[], bytes]
    file: str | None = None
    matte: ImageEntry | None = None

    @property
    def path(self) -> Path | None:
        """The file, where it is one."""
        return None if self.file is None else Path(self.file)


@dataclass(frozen=True)
class ImageSource:
    """Pictures in a fixed order.

    Attributes:
        spec: As the user named it.
        entries: What are pictures, by their names' endings, or, where those tell nothing, by their first bytes.
        sequential: Reading in another order than this, or from several threads, would be slow.
        leftovers: All other files.
    """

    spec: str
    entries: tuple[ImageEntry, ...]
    sequential: bool = False
    leftovers: Leftovers = field(default_factory=Leftovers)

    def listing_sha256(self) -> str:
        """Tells whether a source is still the same, without reading it."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.name!r} {entry.stamp}\n".encode())
            if entry.matte is not None:
                digest.update(f" {entry.matte.name!r} {entry.matte.stamp}\n".encode())
        for left in self.leftovers.named:
            digest.update(f"- {left.name!r} {left.reason}\n".encode())
        return digest.hexdigest()

    def subset(self, entries: Iterable[ImageEntry], left: Sequence[LeftoverFile] = (), remarks: Sequence[str] = ()) -> ImageSource:
        """A part of it, with what is left out of it besides."""
        return replace(self, entries=tuple(entries), leftovers=self.leftovers.extended(left, remarks))


@dataclass(frozen=True)
class Contents:
    """A picture's files: read already where a source can only be read in order, else when they are asked for.

    Attributes:
        entry: Which.
        picture: Its content, or why it cannot be had.
        matte: Likewise of its matte.
    """

    entry: ImageEntry
    picture: bytes | UnreadableImageError | None = None
    matte: bytes | UnreadableImageError | None = None

    def read(self) -> bytes:
        """The picture's file.

        Raises:
            UnreadableImageError: It cannot be had.
        """
        return _given(self.entry.read if self.picture is None else self.picture)

    def read_matte(self) -> bytes | None:
        """The matte's file; None where there is none.

        Raises:
            UnreadableImageError: It cannot be had.
        """
        if self.entry.matte is None:
            return None
        try:
            return _given(self.entry.matte.read if self.matte is None else self.matte)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"its matte: {error}") from None


def contents(source: ImageSource, entries: Iterable[ImageEntry] | None = None) -> Iterator[Contents]:
    """A source's pictures in order, or some of them, with what can be read in this order only."""
    for entry in source.entries if entries is None else entries:
        if source.sequential:
            yield Contents(entry, _tried(entry), None if entry.matte is None else _tried(entry.matte))
        else:
            yield Contents(entry)


def open_source(spec: str | Path, option: str = "SRC") -> ImageSource:
    """List what a folder, archive or list holds.

    Args:
        spec: A folder; a `.zip`, `.tar`, `.tar.gz` and the like; a `.txt` or `.lst` of paths, one a line, relative to its own folder.
        option: How error messages name it.

    Raises:
        DataError: Missing, empty, or an archive that tries anything.
    """
    path = Path(spec)
    if path.is_dir():
        return _nonempty(_of_folder(path, option), option)
    if not path.is_file():
        raise DataError(f"{option} {path}: no such folder, archive or list; name one that holds pictures")
    if path.suffix.lower() in LISTS:
        return _nonempty(_of_list(path, option), option)
    try:
        if zipfile.is_zipfile(path):
            return _nonempty(_of_members(path, zip_members(path, option)), option)
        if tarfile.is_tarfile(path):
            return _nonempty(_of_members(path, tar_members(path, option, file_stamp(path))), option)
    except DAMAGE as error:
        raise resource_fault(error) or DataError(f"{option} {path}: a damaged archive ({error}); get it again") from None
    raise DataError(f"{option} {path}: neither a folder, a zip or tar archive, nor a list of paths (.txt)")


def list_pictures(folder: Path, option: str = "--data") -> list[Path]:
    """The pictures under a folder, sorted; linked and special files are left for decoding to refuse.

    Raises:
        DataError: No such folder, or none in it.
    """
    if not folder.exists():
        raise DataError(f"{option} {folder}: no such folder; name one that holds pictures")
    if not folder.is_dir():
        raise DataError(f"{option} {folder}: neither a folder nor a pack (.npy)")
    return [Path(entry.file) for entry in open_source(folder, option).entries if entry.file is not None]


def of_file(file: str, name: str, matte: str | None = None) -> ImageEntry:
    """The entry of a file, there or not.

    Args:
        file: Its path.
        name: In the source.
        matte: Path of the matte beside it.
    """
    beside = None if matte is None else of_file(matte, printable_name(Path(name).with_name(os.path.basename(matte))))  # noqa: PTH119
    return ImageEntry(name, file_stamp(file), lambda: read_file(file), file, beside)


def of_files(folder: Path, names: Iterable[str]) -> tuple[ImageEntry, ...]:
    """The entries of named files, there or not, relative to a folder or absolute, with the mattes beside them."""
    found: dict[str, dict[str, str]] = {}

    def beside(file: str) -> str | None:
        parent, base = os.path.split(file)
        if parent not in found:
            found[parent] = {}
            with suppress(OSError, ValueError):
                found[parent] = index_mattes(sorted(os.listdir(parent or ".")))  # noqa: PTH208
        name = found[parent].get(os.path.splitext(base)[0])  # noqa: PTH122
        return None if name is None or name == base else os.path.join(parent, name)  # noqa: PTH118

    files = [(str(folder / name), printable_name(Path(name))) for name in names]
    return tuple(of_file(file, name, beside(file)) for file, name in files)


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


def refuse_output_inside(source: ImageSource, out: Path) -> None:
    """Refuse to write pictures among those that they are made of: the next call would take them for more of these.

    Raises:
        UsageError: `--out` is a source's folder, or lies in it where it would be read.
    """
    folder, target = Path(source.spec).resolve(), out.resolve()
    if folder.is_dir() and target.is_relative_to(folder) and not any(is_hidden_name(part) for part in target.relative_to(folder).parts):
        raise UsageError(f"--out {out}: lies in SRC, {source.spec}, and would be read as part of it from then on; choose a folder outside of it")


def output_stem(name: str) -> str:
    """A file name of plain letters for a picture of any name, different for different names."""
    stem = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in PurePosixPath(name).stem)[:48]
    return f"{stem or 'picture'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _nonempty(source: ImageSource, option: str) -> ImageSource:
    if not source.entries:
        there = "; ".join(["", *source.leftovers.describe()])
        raise DataError(f"{option} {source.spec}: no pictures in it{there}; looked for {', '.join(sorted(IMAGE_SUFFIXES))}")
    return source


def _of_folder(folder: Path, option: str) -> ImageSource:
    tree, listing, top = walk(folder, option), FileClassifier(), str(folder)
    for name in tree.names:
        listing.add(name, lambda name=name: read_head(os.path.join(top, name)))  # type: ignore[misc]  # noqa: PTH118
    for left in tree.left:
        listing.add_leftover(left)
    listing.add_hidden(tree.hidden)

    def path(name: str | None) -> str | None:
        return None if name is None else os.path.join(top, name)  # noqa: PTH118

    entries = (of_file(path(name) or "", printable_name(name), path(listing.matte_of(name))) for name in listing.pictures())
    return ImageSource(top, tuple(entries), leftovers=listing.leftovers())


def _of_list(path: Path, option: str) -> ImageSource:
    """The files that a list names, whatever they are called, each once; of mattes that it names, those of its pictures are known beside them."""
    text = read_text(path, f"{option} {path}", DataError, MAX_LIST_BYTES, has_file_names=True)
    lines, again = _each_once([_foreign(line.strip(), path.parent) for line in text.split("\n") if line.strip()], path.parent)
    entries = of_files(path.parent, [line for line in lines if not is_matte_name(line)])
    taken = {entry.matte.file for entry in entries if entry.matte is not None}
    left = [
        LeftoverFile(printable_name(line), "its picture is not in the list", "matte")
        for line in lines
        if is_matte_name(line) and str(path.parent / line) not in taken
    ]
    return ImageSource(str(path), entries, leftovers=Leftovers(tuple(again + left)))


def _each_once(lines: Sequence[str], folder: Path) -> tuple[list[str], list[LeftoverFile]]:
    """Paths in order, and those that name a file again, in the same spelling or another (`./a.png`, an absolute path)."""
    parents: dict[str, str] = {}
    first: dict[str, str] = {}
    again: list[LeftoverFile] = []
    for line in lines:
        parent, base = os.path.split(folder / line)
        if parent not in parents:
            parents[parent] = os.path.realpath(parent)
        file = os.path.join(parents[parent], base)  # noqa: PTH118  (of many files)
        if file in first:
            again.append(LeftoverFile(printable_name(line), f"the list names it already, as {printable_name(first[file])!r}", "line of the list"))
        else:
            first[file] = line
    return list(first.values()), again


def _foreign(line: str, folder: Path) -> str:
    """A path as this system writes it: of a list made on Windows, whose parts a backslash divides, where no file has that very name."""
    if "\\" not in line or os.sep == "\\" or os.path.lexists(folder / line):
        return line
    return line.replace("\\", "/")


def _of_members(path: Path, members: Sequence[Member]) -> ImageSource:
    listing, by_name = FileClassifier(), {member.name: member for member in members}  # of equal names the last, as unpacking would leave it
    for member in members:
        if by_name[member.name] is member:
            listing.add(member.name, member.head)
        else:
            listing.add_leftover(LeftoverFile(printable_name(member.name), "a later member of the archive has the same name", "member"))

    def entry(name: str, matte: str | None) -> ImageEntry:
        beside = None if matte is None else entry(matte, None)
        return ImageEntry(printable_name(name), by_name[name].stamp, by_name[name].read, matte=beside)

    entries = tuple(entry(name, listing.matte_of(name)) for name in listing.pictures())
    return ImageSource(str(path), entries, sequential=True, leftovers=listing.leftovers())


def _tried(entry: ImageEntry) -> bytes | UnreadableImageError:
    try:
        return entry.read()
    except UnreadableImageError as error:
        return error


def _given(content: bytes | UnreadableImageError | Callable[[], bytes]) -> bytes:
    if isinstance(content, UnreadableImageError):
        raise content
    return content if isinstance(content, bytes) else content()
