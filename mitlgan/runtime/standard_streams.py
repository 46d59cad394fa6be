"""Standard output and error that may break during the work: a pager that ends, a full disk, a closed terminal. Messages never end work."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, TextIO, cast

STDERR = 2


class LastingStream:
    """A text stream whose writes always succeed: what cannot be written is dropped.

    If it is the process's own stderr, that leads to the null device from then on, for all else that writes there: libraries and child processes.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, or drop it; return its length."""
        with self._dropping_what_fails():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        with self._dropping_what_fails():
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal; a closed stream is none."""
        with suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _dropping_what_fails(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                if self._stream.fileno() == STDERR:
                    _discard(self._stream)


def lasting(stream: TextIO | None) -> TextIO:
    """Return a stream whose writes always succeed; of no stream, one that drops all. See `LastingStream`."""
    if isinstance(stream, LastingStream):
        return stream
    return cast("TextIO", LastingStream(stream if stream is not None else _null_stream()))


@contextmanager
def lasting_standard_streams() -> Iterator[None]:
    """Keep a command's standard streams usable during the context, whatever becomes of them.

    What cannot be written on stderr is dropped. Stdout still raises `OSError`, for a result that nobody gets is an error; at the end, what it could not
    write is dropped. Characters that a stream's encoding lacks are escaped. A stream that the process was started without leads to the null device, or
    the next file that is opened would have its descriptor, and messages of libraries would be written into that.
    """
    _open_missing_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = sys.stdout or _null_stream(), lasting(sys.stderr)
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            _discard(sys.stdout)  # or the interpreter's last flush fails
        sys.stdout, sys.stderr = before


@cache
def _null_stream() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _open_missing_descriptors() -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _lead_to_null(number)


def _discard(stream: IO[str]) -> None:
    """Let a stream's file lead to the null device."""
    with suppress(OSError, ValueError):
        _lead_to_null(stream.fileno())


def _lead_to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null == descriptor:
        os.set_inheritable(null, True)
    else:
        os.dup2(null, descriptor)
        os.close(null)
