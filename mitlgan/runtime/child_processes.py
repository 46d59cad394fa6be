"""Child processes that do not outlive their parent, however that ends: a pipe whose other end the parent alone holds.

The system closes it with the parent, even by SIGKILL, wherever there are pipes; the child reads it, and ends at once when there is nothing more to
read. Linux is asked for the same, besides, for a child that is too busy to read. Its last checkpoint is whole, as after any SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

VARIABLE = "MITLGAN_LIFELINE"
"""The child's end, by its number."""
PR_SET_PDEATHSIG = 1


class Lifeline:
    """The parent's end, held while the context lasts, in the thread that begins the children."""

    def __enter__(self) -> Self:
        self._child, self._parent = os.pipe()  # neither is inherited by chance
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._child)
        os.close(self._parent)

    def popen_options(self) -> dict[str, Any]:
        """What `subprocess.Popen` takes for a child that holds on to it."""
        return {"pass_fds": (self._child,), "env": {**os.environ, VARIABLE: str(self._child)}}


def end_with_parent() -> None:
    """End this process with its parent, if that holds a lifeline to it."""
    number = os.environ.pop(VARIABLE, "")  # it is not for this process's own children
    if not number.isdecimal():
        return
    with suppress(OSError):  # no such descriptor: it is none of a parent
        os.set_inheritable(int(number), False)
        threading.Thread(target=_wait, args=(int(number),), name="lifeline", daemon=True).start()
        _ask_system()


def _ask_system() -> None:
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait(descriptor: int) -> None:
    with suppress(OSError):
        if not os.read(descriptor, 1):
            os.kill(os.getpid(), signal.SIGKILL)
