"""Errors that a user can cause or meet, and their exit codes.

The command line prints the message as one line and ends with the exit code. Any other exception is a bug and ends with 1.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

MAX_MESSAGE_CHARS = 2000
_MACHINE_ADVICE = {
    errno.ENOMEM: "free some memory, and ", errno.EMFILE: "close some files, and ", errno.ENFILE: "close some files, and ",
    errno.ENOSPC: "free some space, and ", errno.EDQUOT: "free some space, and ", errno.EIO: "look after the disk, and ", errno.EINTR: "",
}  # fmt: skip
"""What to do before the same command is run again, by the number of what failed."""
_OUT_OF_MEMORY = (
    "out of memory", "insufficient memory", "not enough memory", "allocate memory", "bad_alloc", "bad allocation", "alloc_failed",
    "could not create a memory", "could not execute a primitive", "could not initialize a memory", "failed to map segment", "failed to allocate",
    "null without setting an exception", "can't start new thread", "unable to mmap",
)  # fmt: skip
"""Of Pillow, OpenCV, torch, oneDNN, CUDA, onnxruntime, the dynamic linker, and of C extensions that report nothing."""
_NO_PRIMITIVE = "could not create a primitive"
"""Of oneDNN: alone it means too little memory; with "descriptor" it means a shape that has no implementation, a bug."""


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


class UnknownPicturesError(ArtifactError):
    """Nothing says which pictures a relative path of an artifact or a run means."""


class ResourceError(MitlganError):
    """Disk, port, memory, lock or permission."""

    exit_code = 5


class ShortageError(ResourceError):
    """Memory or disk gave out.

    Args:
        fault: What gave out, and for what.
        advice: What to do; the command line replaces it by what fits the command that was run.

    Attributes:
        is_memory: Whether it was memory.
    """

    def __init__(self, fault: str, advice: str, *, is_memory: bool) -> None:
        super().__init__(f"{fault}; {advice}")
        self.fault, self.advice, self.is_memory = fault, advice, is_memory

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross from a worker process; by default, an error is rebuilt from its message alone."""
        return partial(ShortageError, is_memory=self.is_memory), (self.fault, self.advice)


class UnwritableError(ResourceError):
    """A place that cannot be written.

    Args:
        fault: The place, and why.

    Attributes:
        fault: As above; the command line puts other advice after it where a command has no `--out`.
    """

    def __init__(self, fault: str) -> None:
        super().__init__(f"{fault}; choose another folder with --out")
        self.fault = fault

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross from a worker process; see `ShortageError`."""
        return UnwritableError, (self.fault,)


@contextmanager
def naming_option(option: str) -> Iterator[None]:
    """Let errors of recipes and artifacts begin with the option that led to them, unless they do."""
    try:
        yield
    except (UsageError, ArtifactError) as error:
        raise type(error)(str(error) if str(error).startswith(option) else f"{option}: {error}") from None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory gave out, whichever library says so, and in whatever words."""
    if isinstance(error, MemoryError) or (isinstance(error, ShortageError) and error.is_memory):
        return True
    if isinstance(error, MitlganError):
        return False
    if isinstance(error, OSError) and error.errno is not None:  # its text holds a file name
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    is_primitive = _NO_PRIMITIVE in text and "descriptor" not in text
    return is_primitive or any(words in text for words in _OUT_OF_MEMORY)


def resource_fault(error: BaseException) -> ResourceError | None:
    """Return a `ResourceError` if the machine failed, not the file: memory, open files, disk. Return None for any other error.

    Call it before reporting a file as damaged, because such a failure may be temporary.
    """
    if isinstance(error, ResourceError):
        return error
    number = errno.ENOMEM if is_out_of_memory(error) else error.errno if isinstance(error, OSError) else None
    if number not in _MACHINE_ADVICE:
        return None
    fault, advice = os.strerror(number).lower(), f"{_MACHINE_ADVICE[number]}run the same command again"
    if number in (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT):
        return ShortageError(fault, advice, is_memory=number == errno.ENOMEM)
    return ResourceError(f"{fault}; {advice}")


def unusable_path(error: BaseException) -> UsageError | None:
    """Return a `UsageError` if the disk takes no such path: its name is too long, or its links lead in a circle. Return None for any other error."""
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        subject, reason = str(error.filename or "path"), os.strerror(error.errno).lower()
    elif isinstance(error, RuntimeError) and (match := re.fullmatch(r"Symlink loop from '(.*)'", str(error), re.DOTALL)):  # `Path.resolve`
        subject, reason = match[1], os.strerror(errno.ELOOP).lower()
    else:
        return None
    return UsageError(f"{subject}: {reason}; give another path")


def raise_resource_fault(error: BaseException, subject: str, way_out: str = "") -> None:
    """Raise a `ResourceError` that names the subject if the machine failed; see `resource_fault`. Return for any other error."""
    fault = resource_fault(error)
    if isinstance(fault, ShortageError):
        raise ShortageError(f"{subject}: {fault.fault}", fault.advice + way_out, is_memory=fault.is_memory) from None
    if fault is not None:
        raise ResourceError(f"{subject}: {fault}{way_out}") from None


@contextmanager
def translate_resource_faults(subject: str, way_out: str = "") -> Iterator[None]:
    """Raise a `ResourceError` that names the subject if the machine fails during the context; see `resource_fault`."""
    try:
        yield
    except Exception as error:
        raise_resource_fault(error, subject, way_out)
        raise


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross from a worker process; see `ShortageError`."""
        return Stopped, (str(self), self.exit_code - 128)
