"""One picture of a source: its name, how its bytes are read, and the matte next to it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mitlgan.data.decode.image_file import UnreadableImageError, read_file
from mitlgan.data.sources.file_classifier import index_mattes, printable_name

CLOCK_STEP_NS = 20_000_000  # file systems record times in steps of up to 10 ms


@dataclass(frozen=True)
class ImageEntry:
    """One picture of a source.

    Attributes:
        name: Path relative to the source, with slashes; unprintable characters are escaped.
        stamp: Changes when the file changes, as far as a listing can tell.
        reader: Returns the bytes or raises `UnreadableImageError`; None once `content` is set.
        file: Path of the file; None for archive members. A string, since a folder may hold millions.
        matte: The matte next to the picture.
        content: Bytes that were read in advance, or why they cannot be read.
    """

    name: str
    stamp: str
    reader: Callable[[], bytes] | None
    file: str | None = None
    matte: ImageEntry | None = None
    content: bytes | UnreadableImageError | None = None

    @property
    def path(self) -> Path | None:
        """Path of the file; None for archive members."""
        return None if self.file is None else Path(self.file)

    def read(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            UnreadableImageError: The file cannot be read.
        """
        if isinstance(self.content, UnreadableImageError):
            raise self.content
        if self.content is None:
            assert self.reader is not None
            return self.reader()
        return self.content

    def preload(self) -> ImageEntry:
        """Return the entry with the bytes of the picture and its matte, or why they cannot be read, in memory."""
        content: bytes | UnreadableImageError
        try:
            content = self.read()
        except UnreadableImageError as error:
            content = error
        return replace(self, reader=None, content=content, matte=None if self.matte is None else self.matte.preload())


def file_entry(file: str, name: str, matte: str | None = None) -> ImageEntry:
    """Return the entry of a file, which need not exist.

    Args:
        file: Path of the file.
        name: Name in the source.
        matte: Path of the matte next to it.
    """
    matte_entry = None if matte is None else file_entry(matte, printable_name(Path(name).with_name(os.path.basename(matte))))  # noqa: PTH119
    return ImageEntry(name, file_stamp(file), partial(read_file, file), file, matte_entry)


def file_entries(folder: Path, names: Iterable[str]) -> tuple[ImageEntry, ...]:
    """Return the entries of named files, which need not exist, with the mattes next to them.

    Args:
        folder: Folder of relative names.
        names: Paths, relative or absolute.
    """
    mattes: dict[str, dict[str, str]] = {}  # by folder and stem

    def matte_of(file: str) -> str | None:
        parent, base = os.path.split(file)
        if parent not in mattes:
            mattes[parent] = {}
            with suppress(OSError, ValueError):
                mattes[parent] = index_mattes(sorted(os.listdir(parent or ".")))  # noqa: PTH208
        name = mattes[parent].get(os.path.splitext(base)[0])  # noqa: PTH122
        return None if name is None or name == base else os.path.join(parent, name)  # noqa: PTH118

    files = [(str(folder / name), printable_name(Path(name))) for name in names]
    return tuple(file_entry(file, name, matte_of(file)) for file, name in files)


def file_stamp(file: str | Path) -> str:
    """Return size, inode and times of a file, which tell whether it changed; no program can set its ctime.

    Waits until the file system's clock has moved on from that time: another change within the same step would leave no trace.
    """
    try:
        status = os.lstat(file)
        target = os.stat(file) if stat.S_ISLNK(status.st_mode) else None  # noqa: PTH116
    except (OSError, ValueError):
        return "gone"
    age_ns = time.time_ns() - status.st_ctime_ns
    if 0 <= age_ns < CLOCK_STEP_NS:
        time.sleep((CLOCK_STEP_NS - age_ns) / 1e9)
    return " / ".join(f"{one.st_size} {one.st_mtime_ns} {one.st_ino} {one.st_ctime_ns}" for one in (status, target) if one is not None)
