"""Errors that a user can cause or meet, and their exit codes.

The command line prints the message as one line and ends with the exit code. Any other exception is a bug and ends with 1.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

MAX_MESSAGE_CHARS = 2000
_MACHINE_ERRNOS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINTR)
_OUT_OF_MEMORY = ("out of memory error", "insufficient memory", "can't allocate memory")  # of Pillow, OpenCV and torch


class MitlganError(Exception):
    """Base of all errors that are reported in one line.

    Args:
        message: One line that starts with the option or file concerned and says what to do. Characters that are not printable, which file names may
            contain, are escaped, and the middle of a very long message is omitted.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        if len(message) > MAX_MESSAGE_CHARS:
            message = f"{message[: MAX_MESSAGE_CHARS // 2]} ... {message[-MAX_MESSAGE_CHARS // 2 :]}"
        super().__init__(to_one_line(message))


def to_one_line(text: str) -> str:
    """Return text as one line for a terminal: characters that are not printable are escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text)


def to_terminal_text(text: str) -> str:
    """Return text of several lines with control and bidirectional characters escaped; line ends and tabs stay."""
    return "".join(char if char.isprintable() or char in "\n\t" or unicodedata.category(char) == "Zs" else to_one_line(char) for char in text)


class UsageError(MitlganError):
    """A wrong option or recipe, or metric weights that are absent."""

    exit_code = 2


class DataError(MitlganError):
    """Pictures that cannot be used: missing, broken, too few, hostile."""

    exit_code = 3


class ArtifactError(MitlganError):
    """A checkpoint or an artifact that cannot be read or does not fit."""

    exit_code = 4


class ResourceError(MitlganError):
    """Disk, port, memory, lock or permission."""

    exit_code = 5


def resource_fault(error: BaseException) -> ResourceError | None:
    """Return a `ResourceError` if the machine failed, not the file: memory, open files, disk. Return None for any other error.

    Call it before reporting a file as damaged, because such a failure may be temporary.
    """
    if isinstance(error, ResourceError):
        return error
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY):
        number = errno.ENOMEM
    if number in _MACHINE_ERRNOS:
        return ResourceError(f"{os.strerror(number).lower()}; free some memory, files or disk, and run the same command again")
    return None


@contextmanager
def translate_resource_faults(subject: str, way_out: str = "") -> Iterator[None]:
    """Raise a `ResourceError` that names the subject if the machine fails during the context; see `resource_fault`."""
    try:
        yield
    except Exception as error:
        fault = resource_fault(error)
        if fault is None:
            raise
        raise ResourceError(f"{subject}: {fault}{way_out}") from None


class NanError(MitlganError):
    """Training stopped because losses, gradients or weights were not finite."""

    exit_code = 6


class DivergedError(MitlganError):
    """Training stopped because its numbers stayed far beyond all scale, though finite."""

    exit_code = 6


class Stopped(MitlganError):  # noqa: N818  (no error: what was asked for)
    """A signal stopped the work, which was saved.

    Args:
        message: One line that says how to continue.
        signal_number: The signal; the exit code is 128 + this number.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
