"""Signals that end a command: during work that can be saved after its current step; elsewhere at once, and in good order."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a scheduler's request, a terminal that was closed."""
CLEANUP_S = 10.0
RETRY_S, MAX_DEFERRED_S = 0.05, 10.0
"""A signal that comes while a module is imported is sent again after the first time (s), for the second at most."""


class TerminationInterrupt(KeyboardInterrupt):
    """SIGTERM or SIGHUP came; what Ctrl-C cleans up is cleaned up.

    Args:
        signal_number: The signal; the exit code is 128 + this number.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.exit_code = 128 + signal_number


class _SignalHandlers:
    """Handles signals during the context, in the main thread; a SIGHUP that is ignored, as under nohup, stays so."""

    def __init__(self, signals: Sequence[signal.Signals]) -> None:
        self.received: int | None = None
        self._signals = signals
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                before = signal.getsignal(number)
                if before is not None and (number != signal.SIGHUP or before != signal.SIG_IGN):  # None: another language's, which could not come back
                    self._previous[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        raise NotImplementedError


class StopSignals(_SignalHandlers):
    """Remembers a request to stop during the context.

    Attributes:
        received: The signal's number, or None. A second SIGINT raises `KeyboardInterrupt`.
    """

    def __init__(self) -> None:
        super().__init__(STOP_SIGNALS)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number


class TerminationSignals(_SignalHandlers):
    """Raises `TerminationInterrupt` at SIGTERM or SIGHUP, and `KeyboardInterrupt` at Ctrl-C, during the context, where no `StopSignals` waits for one.

    Schedulers send several: SIGTERM and SIGHUP that follow within `CLEANUP_S` are ignored, so that what is being cleaned up is cleaned up. While a
    module is imported none is raised: native libraries import others, and go on without them, and without a word, if that raises anything.

    Args:
        is_active: Whether to do so at all.

    Attributes:
        received: The number of SIGTERM or SIGHUP, or None.
    """

    def __init__(self, *, is_active: bool = True) -> None:
        interrupts = (signal.SIGINT,) if signal.getsignal(signal.SIGINT) is signal.default_int_handler else ()  # else it is ignored, as in a background
        super().__init__((*interrupts, signal.SIGTERM, signal.SIGHUP) if is_active else ())
        self._raised_s = -math.inf
        self._deferred_s: dict[int, float] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if _is_importing(frame) and now_s - self._deferred_s.setdefault(number, now_s) <= MAX_DEFERRED_S:
            _raise_later(number)
            return
        self._deferred_s.pop(number, None)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if now_s - self._raised_s > CLEANUP_S:
            self.received, self._raised_s = number, now_s
            raise TerminationInterrupt(number)

    def ignore_from_now_on(self) -> None:
        """Ignore all signals that end a command, also after the context: the process is about to end, and says what it ends by."""
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            self._previous.clear()


class HeldSignals(_SignalHandlers):
    """Holds back signals that end a command during the context; they come at its end.

    It is for what must not stop halfway, such as the removal of half-written files, and for what would turn an interrupt into another error: native
    libraries that run Python and report all that it raises as their own.
    """

    def __init__(self) -> None:
        super().__init__(STOP_SIGNALS)
        self._held: list[int] = []
        self._is_holding = False

    def __enter__(self) -> Self:
        super().__enter__()
        self._is_holding = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_holding = False
        try:
            super().__exit__(kind, error, trace)
        finally:
            for number in self._held:
                signal.raise_signal(number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._is_holding:  # another signal has come while handlers were exchanged
            signal.signal(number, self._previous[number])
            signal.raise_signal(number)
        elif number not in self._held:
            self._held.append(number)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether some frame on the stack imports a module."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _raise_later(number: int) -> None:
    """Send a signal to the main thread again in `RETRY_S`, which wakes it if it waits."""
    timer = threading.Timer(RETRY_S, signal.pthread_kill, (threading.main_thread().ident, number))
    timer.daemon = True
    timer.start()
