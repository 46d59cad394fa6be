"""Wall and CPU time of training iterations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Lap(NamedTuple):
    """Time of one iteration: wall, CPU over all threads, and the wall time of forward, backward and optimiser."""

    seconds: float
    cpu_seconds: float
    computing_s: float


class Stopwatch:
    """Measures iterations, and how much of each is computing."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start a lap and drop the one before."""
        self._start_s, self._start_cpu_s, self._computing_s = time.perf_counter(), time.process_time(), 0.0

    def lap(self) -> Lap:
        """Return the times since the last lap, and start another."""
        lap = Lap(time.perf_counter() - self._start_s, time.process_time() - self._start_cpu_s, self._computing_s)
        self._start_s, self._start_cpu_s, self._computing_s = self._start_s + lap.seconds, self._start_cpu_s + lap.cpu_seconds, 0.0
        return lap

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Count the time of the context as computing."""
        start_s = time.perf_counter()
        yield
        self._computing_s += time.perf_counter() - start_s
