"""A journal of finished work, by which an interrupted call resumes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mitlgan.data.build.typed_options import describe_changes
from mitlgan.errors import ResourceError, UsageError
from mitlgan.runtime.files import ensure_folder, lock_folder, translate_disk_errors, write_atomically
from mitlgan.runtime.output_folders import require_empty_folder

JOURNAL_FILE = ".journal.jsonl"
"""In a folder that a command works on; it stays when the work is finished."""


def _describe_other_work(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return how the work that a folder holds differs from the work that is to be done."""
    if before.get("work") != now.get("work"):
        return f"holds what `data {before.get('work', 'some command')}` wrote"
    if before.get("version") != now.get("version"):
        return "holds work of another version of mitlgan"
    if settings := describe_changes(before.get("settings", {}), _as_read(now).get("settings", {})):
        return f"was made with other settings ({'; '.join(settings)})"
    if before.get("listing_sha256") != now.get("listing_sha256"):
        return "was made from other pictures: some were added, removed or changed since, or are taken otherwise by this version"
    changed = ", ".join(sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)))
    return f"was made from other input ({changed})"


@dataclass(frozen=True)
class EarlierWork:
    """Work of an earlier version that goes on.

    Attributes:
        header: Its header.
        revise: Returns what a line of it is now.
    """

    header: Mapping[str, Any]
    revise: Callable[[dict[str, Any]], dict[str, Any]]


class Journal:
    """JSON lines under a header that describes the work; an incomplete last line is removed.

    Args:
        path: The file; created with `header` if absent.
        header: Describes the work; a different one in the file means other work.
        option: How an error names the folder.
        earlier: Works of earlier versions that go on as this: the file is written again, with revised lines.

    Raises:
        UsageError: The file belongs to other work, or is damaged before its end.
        ResourceError: The file cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], option: str = "--out", earlier: Iterable[EarlierWork] = ()) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        with translate_disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            version = (_read_header(path) or {}).get("version")
            for before in [one for one in earlier if one.header["version"] == version]:
                self._read(before.header, option)
                write_atomically(path, b"".join(map(_to_line, [header, *map(before.revise, self.lines)])))
                self.lines = []
            end = self._read(header, option)
            self._file: IO[bytes] = path.open("r+b" if end else "w+b")
            if path.stat().st_size > end:  # else its time stays, which says when work was last written
                self._file.truncate(end)
            self._file.seek(end)
        if not end:
            self.append(header)
            self.lines = []

    def _read(self, header: Mapping[str, Any], option: str) -> int:
        """Read the existing lines; return the position after the last complete one."""
        if not self.path.exists():
            return 0
        end, first = 0, True
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                value = _parse_line(line)
                if value is None:
                    if next(file, b""):
                        reason = f"line {number} of {self.path.name} is damaged, and the work of those after it would be lost"
                        advice = "mend it, or remove it and all after it, and their work is done again"
                        raise UsageError(f"{option} {self.path.parent}: {reason}; {advice}")
                    break
                if first and value != _as_read(header):
                    raise UsageError(
                        f"{option} {self.path.parent}: {_describe_other_work(value, header)}; give another folder, or remove this one first"
                    )
                if not first:
                    self.lines.append(value)
                first, end = False, end + len(line)
        return end

    def append(self, value: Mapping[str, Any], *, flush: bool = True) -> None:
        """Add one line; with `flush` it is passed to the operating system before this returns."""
        with translate_disk_errors(self.path):
            self._file.write(_to_line(value))
            if flush:
                self._file.flush()
        self.lines.append(dict(value))

    def truncate(self, count: int) -> None:
        """Remove all but the first `count` lines."""
        with translate_disk_errors(self.path):
            self._file.seek(0)
            self._file.readline()
            for _ in range(count):
                self._file.readline()
            self._file.truncate()
        self.lines = self.lines[:count]

    def flush(self) -> None:
        """Pass all lines to the operating system."""
        with translate_disk_errors(self.path):
            self._file.flush()

    def sync(self) -> None:
        """Write all lines to the disk."""
        with translate_disk_errors(self.path):
            os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            with translate_disk_errors(self.path):
                self._file.close()
        except ResourceError:  # closing writes what is left, which fails as before on a full disk
            if error is None:
                raise


@contextmanager
def open_journal(
    out: Path,
    header: Mapping[str, Any],
    option: str = "--out",
    check_new: Callable[[Path, str], None] = require_empty_folder,
    earlier: Iterable[EarlierWork] = (),
) -> Iterator[Journal]:
    """Lock a folder, and open its journal; work begins in a new or empty folder only.

    Args:
        out: The folder; created if it is missing.
        header: See `Journal`.
        option: How an error names the folder.
        check_new: Refuses a folder without a journal, with `option`, if what it holds would be in the way.
        earlier: See `Journal`.

    Raises:
        UsageError: The folder belongs to other work, or holds other files.
        ResourceError: It cannot be written, or another process works on it.
    """
    path = out / JOURNAL_FILE
    if _read_header(path) is None:
        try:
            check_new(out, option)
        except UsageError:
            if not _read_first_line(path).endswith(b"\n"):
                raise
            reason = f"the first line of {path.name} is damaged, so that nothing says what work is in it"
            raise UsageError(f"{option} {out}: {reason}; give another folder") from None
    ensure_folder(out)
    with lock_folder(out), Journal(path, header, option, earlier) as journal:
        yield journal


def read_work(folder: Path) -> dict[str, Any]:
    """Return what a folder's journal says of the work in it: `work`, `settings` and others; empty if there is no journal."""
    return _read_header(folder / JOURNAL_FILE) or {}


def _read_header(path: Path) -> dict[str, Any] | None:
    """Return the header of a journal; None if none was begun."""
    return _parse_line(_read_first_line(path))


def _read_first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.readline()
    except OSError:
        return b""


def _parse_line(line: bytes) -> dict[str, Any] | None:
    """Return what a line holds; None if it is torn or damaged."""
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _to_line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(value), ensure_ascii=True).encode() + b"\n"


def _as_read(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line as it is when it is read back, such as with lists in place of tuples."""
    read: dict[str, Any] = json.loads(_to_line(value))
    return read
