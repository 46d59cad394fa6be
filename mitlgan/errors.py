"""The product's own errors and their exit codes.

Every error that a user can cause or meet is one of these. The command line prints its message as one line and ends with its exit code; anything else
is a bug and ends with 1.
"""

from __future__ import annotations


class MitlganError(Exception):
    """Base of all errors that are reported in one line.

    Args:
        message: One line that starts with the option or file concerned and says what to do.
    """

    exit_code = 1


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


class NanError(MitlganError):
    """Training stopped because losses, gradients or weights were not finite."""

    exit_code = 6


class Stopped(MitlganError):
    """Stopped by a signal, after saving.

    Args:
        message: One line that says where the run can be resumed.
        signal_number: The signal; the exit code is 128 + this number.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
