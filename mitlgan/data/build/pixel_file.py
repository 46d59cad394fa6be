"""The file to which `data prepare` writes pixels while it reads: already the pack, unless more is left out later."""

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
    """A file with one row for each picture that may be used, hashed while it grows.

    As a context manager it opens the file; its attributes stay valid afterwards.

    Args:
        path: The file; created if absent.
        header_bytes: Bytes before the first row, for a header that is written later.
        row_bytes: Size of a picture's pixels.
        is_unique: Whether only the first of equal files has a row.

    Attributes:
        positions: Positions in the journal of the pictures that have a row.
        digest: Hash of the rows.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, header_bytes: int, row_bytes: int, *, is_unique: bool) -> None:
        self.path, self.header_bytes, self.row_bytes = path, header_bytes, row_bytes
        self.positions: list[int] = []
        self.digest = hashlib.sha256()
        self._is_unique = is_unique
        self._hashes: set[str] = set()
        self._sync_thread = ThreadPoolExecutor(1)  # starts when it is first needed
        self._sync_result: Future[None] | None = None

    def __enter__(self) -> Self:
        self.path.touch()
        self._file = self.path.open("r+b")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._sync_thread.shutdown()
        self._file.close()

    def resume(self, lines: Iterable[dict[str, Any]]) -> int:
        """Read the rows of an earlier call; return how many journal lines they cover (fewer after a power cut)."""
        row_count = max(0, self.path.stat().st_size - self.header_bytes) // self.row_bytes
        count = 0
        for position, line in enumerate(lines):
            if self._needs_row(line):
                if len(self.positions) == row_count:
                    break
                self._take(position, line)
            count += 1
        end = self.header_bytes + len(self.positions) * self.row_bytes
        self._file.truncate(end)
        self._file.seek(self.header_bytes)
        while self._file.tell() < end:
            self.digest.update(self._file.read(min(BLOCK_BYTES, end - self._file.tell())))
        self._file.seek(end)
        return count

    def add(self, position: int, line: dict[str, Any], planes: bytes) -> None:
        """Add a picture, if it may be used."""
        if self._needs_row(line):
            self._take(position, line)
            self.digest.update(planes)
            self._file.write(planes)

    def flush(self) -> None:
        """Pass all rows to the operating system."""
        self._file.flush()

    def sync(self, then: Callable[[], None]) -> None:
        """Write all rows to the disk in the background, then call `then`; does nothing while an earlier call is running."""
        if self._sync_result is not None:
            if not self._sync_result.done():
                return
            self._sync_result.result()

        def sync() -> None:
            os.fsync(self._file.fileno())
            then()

        self._sync_result = self._sync_thread.submit(sync)

    def _needs_row(self, line: dict[str, Any]) -> bool:
        return "outline" in line and not (self._is_unique and line["sha256"] in self._hashes)

    def _take(self, position: int, line: dict[str, Any]) -> None:
        self.positions.append(position)
        self._hashes.add(line["sha256"])
