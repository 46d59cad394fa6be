"""The product's own errors and their exit codes.

Every error that a user can cause or meet is one of these. The command line prints its message as one line and ends with its exit code; anything else
is a bug and ends with 1.
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
        message: One line that starts with the option or file concerned and says what to do. Names that come from files may hold anything: whatever
            is not printable is escaped, and the middle of a very long message is left out, so that a terminal shows one line as it is meant.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        if len(message) > MAX_MESSAGE_CHARS:
            message = f"{message[: MAX_MESSAGE_CHARS // 2]} ... {message[-MAX_MESSAGE_CHARS // 2 :]}"
        super().__init__(to_one_line(message))


def to_one_line(text: str) -> str:
    """Text as a terminal can show it in one line: whatever is not printable is escaped."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode() for sign in text)


def to_terminal_text(text: str) -> str:
    """Text of several lines that cannot steer a terminal or a reader's eye: control and bidirectional signs are escaped, line ends and tabs stay."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" or unicodedata.category(sign) == "Zs" else to_one_line(sign) for sign in text)


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
    """What the machine fails at, not the file that is read: memory, open files, the disk. None for any other error.

    Ask it before a file is called damaged: what is short now may be there later.
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
def naming_faults(subject: str, way_out: str = "") -> Iterator[None]:
    """Name what was worked on when the machine failed, and perhaps another way out; see `resource_fault`."""
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
    """Stopped by a signal, after saving.

    Args:
        message: One line that says where the run can be resumed.
        signal_number: The signal; the exit code is 128 + this number.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
