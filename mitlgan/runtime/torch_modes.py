"""Torch's modes within a call of the package: its defaults, whatever modes the caller is in.

A default type or device, inference mode, autocast, deterministic algorithms or gradients switched off would change pictures and trainings, or end them
in errors of torch's. Modes that all threads share (the default type, deterministic algorithms, random numbers) are changed for trainings and
measurements only. What loads, makes and edits pictures names types instead, and draws nothing: other threads must not notice it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

R = TypeVar("R")
_SHARED_MODES: tuple[tuple[Callable[[], Any], Callable[[Any], None], Any], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0),
)
"""How a mode that all threads share is read and set, and its default."""
_AUTOCAST_DEVICES = ("cpu", "cuda", "mps")


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Have torch's defaults of this thread within the context, and the caller's modes again after it; also a decorator.

    They are the CPU for new tensors, gradients, and neither inference mode nor autocast. The default type is the caller's: name one for new tensors.
    """
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":  # else it would slow down every function of torch
            modes.enter_context(torch.device("cpu"))
        for kind in _AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        yield


class _SharedDefaults:
    """What all threads share, and the calls that are under way with torch's defaults of it. The last of them to end puts back the caller's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[object, int] = {}
        """Thread of each call."""
        self._modes: dict[int, Any] = {}
        self._numbers: list[Callable[[], None]] = []

    def begin(self, call: object) -> None:
        """Enter the defaults; wherever it is interrupted, `end` puts back what was changed."""
        with self._lock:
            if not self._threads:
                self._numbers = list(_saved_numbers())
            self._threads[call] = threading.get_ident()
            for index, (get, put, default) in enumerate(_SHARED_MODES):
                if (value := get()) != default:
                    self._modes[index] = value
                    put(default)

    def end(self, call: object) -> None:
        """Leave the defaults; a second time does nothing, or what an interruption of the first has left."""
        with self._lock:
            self._threads.pop(call, None)
            if not self._threads:
                self._put_back()

    def after_fork(self) -> None:
        """In a child, in which the other threads are no more, end their calls."""
        self._lock = threading.Lock()  # one of them may have held it
        own = threading.get_ident()
        self._threads = {call: thread for call, thread in self._threads.items() if thread == own}
        if not self._threads:
            self._put_back()

    def _put_back(self) -> None:
        for index, value in self._modes.items():
            get, put, default = _SHARED_MODES[index]
            if get() == default:  # else somebody else has changed it meanwhile
                put(value)
        for put_back in self._numbers:
            put_back()
        self._modes, self._numbers = {}, []


_shared = _SharedDefaults()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _shared.after_fork())


def call_with_shared_defaults(function: Callable[[], R]) -> R:
    """Call a function with float32 as the default type and without deterministic algorithms, and leave torch's global random numbers as they were.

    All threads share these. They are put back when no thread is in such a call any more, but for modes that were changed to others meanwhile. Until
    then other threads of the process must not rely on them: a default type of theirs does not hold, and numbers that they draw may come again.
    """
    call = object()
    try:
        _shared.begin(call)
        return function()
    finally:
        try:
            _shared.end(call)
        finally:  # again, if an interruption came in between
            _shared.end(call)


def _saved_numbers() -> Iterator[Callable[[], None]]:
    """Yield functions that put back the random numbers of each kind of device in use."""
    cpu: Tensor = torch.get_rng_state()
    yield lambda: torch.set_rng_state(cpu)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # asking for its numbers would initialize every GPU
        cuda = torch.cuda.get_rng_state_all()
        yield lambda: torch.cuda.set_rng_state_all(cuda)
    if torch.backends.mps.is_available():
        mps = torch.mps.get_rng_state()
        yield lambda: torch.mps.set_rng_state(mps)
