r"""Reading of text files from users, whatever system or editor wrote them.

UTF-8, and UTF-16 or UTF-32 with a byte order mark; lines may end with `\n`, `\r\n`, or `\r`.
"""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from mitlgan.errors import MitlganError, raise_resource_fault
from mitlgan.runtime.files import ForeignFileError, open_regular

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_MARK_BYTES = 4  # length of the longest mark
ENCODINGS = "UTF-8, or UTF-16 with a byte order mark"


class ErrorFactory(Protocol):
    """Makes the error for a refused file."""

    def __call__(self, message: str) -> MitlganError:
        """Return the error with a message of one line."""


class TextError(Exception):
    """A file or its bytes are not text.

    Attributes:
        line: Number of the line, from 1.
        reason: What is wrong, and what to do.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


def read_text(path: Path, label: str, make_error: ErrorFactory, max_bytes: int, *, has_file_names: bool = False, root: Path | None = None) -> str:
    r"""Read a text file; lines end with `\n`.

    Args:
        path: The file.
        label: Option and file, which an error begins with.
        make_error: Makes the error.
        max_bytes: Largest accepted size.
        has_file_names: Whether the lines are file names, which need not be UTF-8: other bytes are decoded as by `os.fsdecode`.
        root: Folder that the file must be in; see `mitlgan.runtime.files.open_regular`. None follows links.

    Raises:
        MitlganError: The file cannot be read, is too large, or is not text; made by `make_error`.
    """
    try:
        with open_regular(path, root=root) as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise make_error(f"{label}: {size} bytes, more than {max_bytes}; such a file is smaller")
            raw = file.read(max_bytes + 1)
    except ForeignFileError as error:
        raise make_error(f"{label}: {'not a file; name a text file' if root is None else error.strerror}") from None
    except OSError as error:
        raise_resource_fault(error, label)
        raise make_error(f"{label}: cannot be read ({error.strerror}); name a text file that is there") from None
    if len(raw) > max_bytes:
        raise make_error(f"{label}: is growing while it is read")
    try:
        return decode_text(raw, has_file_names=has_file_names)
    except TextError as error:
        raise make_error(f"{label}:{error.line}: {error.reason}") from None


def decode_text(raw: bytes, *, has_file_names: bool = False) -> str:
    r"""Decode text; lines end with `\n`. See `read_text`.

    Raises:
        TextError: The bytes are not text.
    """
    return "\n".join(iter_lines(io.BytesIO(raw), has_file_names=has_file_names))


def iter_lines(file: BinaryIO, *, has_file_names: bool = False) -> Iterator[str]:
    """Yield the lines of an open file without their ends, one at a time; a last empty line means that the text ends with a line end.

    Raises:
        TextError: A line is not text.
    """
    head = file.read(_MARK_BYTES)
    encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "utf-8")
    is_wide = encoding.startswith(("utf-16", "utf-32"))
    errors = "strict" if is_wide else "surrogateescape"  # lines are checked one by one, so that a message can name the line
    text = io.TextIOWrapper(io.BufferedReader(_PrefixedFile(head, file)), encoding, errors, newline=None)
    line, number = "\n", 0
    while True:
        number += 1
        try:
            next_line = text.readline()
        except UnicodeDecodeError:
            raise TextError(number, f"is not {encoding.upper()}, although the file has its byte order mark; save it as UTF-8") from None
        if not next_line:
            break
        line = next_line
        _check_line(line, number, has_file_names)
        yield line.removesuffix("\n")
    if line.endswith("\n"):
        yield ""


def _check_line(line: str, number: int, has_file_names: bool) -> None:
    if "\0" in line:
        raise TextError(number, f"holds a zero byte, so it is not {ENCODINGS}; save it as UTF-8")
    if has_file_names or line.isascii():
        return
    try:
        line.encode()
    except UnicodeEncodeError:
        raise TextError(number, f"is not UTF-8; save the file as {ENCODINGS}") from None


class _PrefixedFile(io.RawIOBase):
    """A file whose first bytes have already been read."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        part, self._head = (self._head[: len(buffer)], self._head[len(buffer) :]) if self._head else (self._file.read(len(buffer)), b"")
        buffer[: len(part)] = part
        return len(part)
