"""Child processes that do not outlive their parent, however it ends.

The child reads a pipe whose other end only the parent holds. When the parent ends, even by SIGKILL, the system closes that end, and the child kills
itself. On Linux the system also kills a child that is too busy to read. Its last checkpoint is whole, as after any SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

ENVIRONMENT_VARIABLE = "MITLGAN_LIFELINE"
"""Holds the file descriptor of the child's end."""
PR_SET_PDEATHSIG = 1


class Lifeline:
    """The parent's end of the pipe, open during the context, in the thread that starts the children."""

    def __enter__(self) -> Self:
        self._child, self._parent = os.pipe()  # children inherit neither unless told to
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._child)
        os.close(self._parent)

    def popen_options(self) -> dict[str, Any]:
        """Return the options of `subprocess.Popen` for a child that ends with this process."""
        return {"pass_fds": (self._child,), "env": {**os.environ, ENVIRONMENT_VARIABLE: str(self._child)}}


def end_with_parent() -> None:
    """Make this process end with its parent, if the parent started it with a lifeline."""
    number = os.environ.pop(ENVIRONMENT_VARIABLE, "")  # this process's own children must not inherit it
    if not number.isdecimal():
        return
    with suppress(OSError):  # no such descriptor: the variable is not from a parent
        os.set_inheritable(int(number), False)
        threading.Thread(target=_kill_on_close, args=(int(number),), name="lifeline", daemon=True).start()
        _set_parent_death_signal()


def _set_parent_death_signal() -> None:
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill_on_close(descriptor: int) -> None:
    with suppress(OSError):
        if not os.read(descriptor, 1):
            os.kill(os.getpid(), signal.SIGKILL)
