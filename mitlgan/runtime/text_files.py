r"""Text files that a user hands in: one reader for all of them, whatever system or editor wrote them.

UTF-8, and UTF-16 or UTF-32 that begin with a byte order mark; lines end as on any system (`\n`, `\r\n`, or a lone `\r`).
"""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from mitlgan.errors import MitlganError
from mitlgan.runtime.files import ForeignFileError, open_regular

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_MARK_BYTES = 4  # of the longest mark
ENCODINGS = "UTF-8, or UTF-16 with a byte order mark"


class ErrorFactory(Protocol):
    """Makes the error that a refused file ends in."""

    def __call__(self, message: str) -> MitlganError:
        """The error of one line."""


class TextError(Exception):
    """What was read is no text.

    Attributes:
        line: Where, from 1.
        reason: Why, and what to do.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


def read_text(path: Path, label: str, make_error: ErrorFactory, max_bytes: int, *, has_file_names: bool = False, root: Path | None = None) -> str:
    r"""The text of a file, its lines ended by `\n`.

    Args:
        path: The file.
        label: What an error begins with: the option and the file.
        make_error: Makes the error.
        max_bytes: Larger files are refused.
        has_file_names: Its lines are names of files, which need not be UTF-8: other bytes are kept as `os.fsdecode` keeps them.
        root: Folder whose own the file must be; see `mitlgan.runtime.files.open_regular`. None follows links.

    Raises:
        MitlganError: Made by `make_error`: it cannot be read, is too large, or is no text.
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
        raise make_error(f"{label}: cannot be read ({error.strerror}); name a text file that is there") from None
    if len(raw) > max_bytes:
        raise make_error(f"{label}: grows while it is read")
    try:
        return decode_text(raw, names=has_file_names)
    except TextError as error:
        raise make_error(f"{label}:{error.line}: {error.reason}") from None


def decode_text(raw: bytes, *, names: bool = False) -> str:
    r"""Text of bytes, its lines ended by `\n`; see `read_text`.

    Raises:
        TextError: They are no text.
    """
    return "\n".join(iter_lines(io.BytesIO(raw), names=names))


def iter_lines(file: BinaryIO, *, names: bool = False) -> Iterator[str]:
    """The lines of an open file, without their ends, in memory of one line; a last empty one means that the text ends with a line end.

    Raises:
        TextError: At the first line that is no text.
    """
    head = file.read(_MARK_BYTES)
    encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "utf-8")
    marked = encoding.startswith(("utf-16", "utf-32"))
    errors = "strict" if marked else "surrogateescape"  # what is not UTF-8 is judged line by line, so that a message can name the line
    text = io.TextIOWrapper(io.BufferedReader(_PrefixedFile(head, file)), encoding, errors, newline=None)
    line, number = "\n", 0
    while True:
        number += 1
        try:
            following = text.readline()
        except UnicodeDecodeError:
            raise TextError(number, f"is not {encoding.upper()}, as which the file begins; save it as UTF-8") from None
        if not following:
            break
        line = following
        _check_line(line, number, names)
        yield line.removesuffix("\n")
    if line.endswith("\n"):
        yield ""


def _check_line(line: str, number: int, names: bool) -> None:
    if "\0" in line:
        raise TextError(number, f"holds a zero byte, so it is not {ENCODINGS}; save it as UTF-8")
    if names or line.isascii():
        return
    try:
        line.encode()
    except UnicodeEncodeError:
        raise TextError(number, f"is not UTF-8; save the file as {ENCODINGS}") from None


class _PrefixedFile(io.RawIOBase):
    """A file of which the first bytes were read already."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        part, self._head = (self._head[: len(buffer)], self._head[len(buffer) :]) if self._head else (self._file.read(len(buffer)), b"")
        buffer[: len(part)] = part
        return len(part)
