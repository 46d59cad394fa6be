"""The pixels of `data prepare` as they come: already the pack, if nothing more is left out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BLOCK_BYTES = 1 << 20  # stays in a processor's cache from the reading to the hash


class PixelFile:
    """A file of one row for each picture that may stay: all usable ones, or of equal files the first; hashed while it grows.

    Used as a context manager, which opens the file; what it tells afterwards stays.

    Args:
        path: The file; made where absent.
        room: Bytes before the first row, for a header to come.
        row_bytes: Of one picture.
        first_only: Of equal files only the first has a row.

    Attributes:
        positions: Of the pictures that have a row, among the journal's lines.
        digest: Of the rows.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: Path, room: int, row_bytes: int, *, first_only: bool) -> None:
        self.path, self.room, self.row_bytes = path, room, row_bytes
        self.positions: list[int] = []
        self.digest = hashlib.sha256()
        self._first_only = first_only
        self._seen: set[str] = set()
        self._aside = ThreadPoolExecutor(1)  # starts a thread when it is first needed
        self._syncing: Future[None] | None = None

    def __enter__(self) -> Self:
        self.path.touch()
        self._file = self.path.open("r+b")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._aside.shutdown()
        self._file.close()

    def keep(self, lines: Iterable[dict[str, Any]]) -> int:
        """Take up the rows that are there; gives how many of the lines they go with: after a power cut the journal may be ahead of them."""
        whole = max(0, self.path.stat().st_size - self.room) // self.row_bytes
        count = 0
        for position, line in enumerate(lines):
            if self._wanted(line):
                if len(self.positions) == whole:
                    break
                self._take(position, line)
            count += 1
        end = self.room + len(self.positions) * self.row_bytes
        self._file.truncate(end)
        self._file.seek(self.room)
        while self._file.tell() < end:
            self.digest.update(self._file.read(min(BLOCK_BYTES, end - self._file.tell())))
        self._file.seek(end)
        return count

    def add(self, position: int, line: dict[str, Any], planes: bytes) -> None:
        """Add a picture, if it may stay."""
        if self._wanted(line):
            self._take(position, line)
            self.digest.update(planes)
            self._file.write(planes)

    def flush(self) -> None:
        """Give all to the system."""
        self._file.flush()

    def sync(self, then: Callable[[], None]) -> None:
        """Begin to bring all to the disk, and then what `then` does, unless that is still going on."""
        if self._syncing is not None:
            if not self._syncing.done():
                return
            self._syncing.result()

        def sync() -> None:
            os.fsync(self._file.fileno())
            then()

        self._syncing = self._aside.submit(sync)

    def _wanted(self, line: dict[str, Any]) -> bool:
        return "outline" in line and not (self._first_only and line["sha256"] in self._seen)

    def _take(self, position: int, line: dict[str, Any]) -> None:
        self.positions.append(position)
        self._seen.add(line["sha256"])
