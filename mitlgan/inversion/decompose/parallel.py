"""Several ways to the same end, side by side: one thread each, which for networks this small is worth far more than many threads for one.

Ways do not know of one another, so what is found is what they would find one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

import torch
from torch import Tensor

from mitlgan.inversion.progress import Ended, Phase, Teller

T = TypeVar("T")
Way = Callable[[Teller], T]
"""What goes a way by a clock, which says when it must end."""


def abreast(ways: Sequence[Way[T]], enough: Callable[[T], bool], clock: Teller, device: torch.device) -> list[T]:
    """Go ways until one of them has found enough; on a CPU as many at a time as torch has threads.

    Args:
        ways: In the order in which they would be gone one after the other.
        enough: Whether what a way has found needs no other.
        clock: Told by the first of the ways that are still gone. When it is over those on their way give what they have, and no other begins.
        device: Where they are gone.

    Returns:
        What the ways found up to the first that is enough, at least one.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or min(threads, len(ways)) == 1:
        return _in_turn(ways, enough, clock)
    lane = _Lanes(clock)
    found: list[T] = []
    with ThreadPoolExecutor(min(threads, len(ways)), "mitlgan-way", torch.set_num_threads, (1,)) as pool:
        try:
            going = [pool.submit(lane.go, way, index) for index, way in enumerate(ways)]
            for index, one in enumerate(going):
                lane.leading = index
                got = one.result()
                found += got
                if not got or enough(found[-1]):
                    break
        finally:
            lane.left.set()
            pool.shutdown()
            torch.set_num_threads(threads)  # a thread that sets its own sets those of threads to come as well
    return found


def _in_turn(ways: Sequence[Way[T]], enough: Callable[[T], bool], clock: Teller) -> list[T]:
    found: list[T] = []
    for way in ways:
        found.append(way(clock))
        if enough(found[-1]) or clock.over is not None:
            break
    return found


class _Lanes:
    """What the ways have in common.

    Args:
        clock: The clock.

    Attributes:
        leading: Which way tells the clock.
        left: Set when no way is of interest any more.
    """

    def __init__(self, clock: Teller) -> None:
        self.clock = clock
        self.leading = 0
        self.left = Event()

    def go(self, way: Way[T], index: int) -> list[T]:
        """What a way finds, nothing if there is no time to begin."""
        own = _Lane(self, index)
        return [way(own)] if index == 0 or own.over is None else []


class _Lane:
    """The clock of one of the ways."""

    def __init__(self, lanes: _Lanes, index: int) -> None:
        self._lanes, self._index = lanes, index

    @property
    def over(self) -> Ended | None:
        """Why it must end now, if it must."""
        return "cancelled" if self._lanes.left.is_set() else self._lanes.clock.over

    @property
    def gone(self) -> float:
        """Share of the time that is over, from 0 on; 0 without a limit."""
        return self._lanes.clock.gone

    def tell(
        self, phase: Phase, done: int, total: int, psnr_db: float | None = None, z: Tensor | None = None, image: Tensor | None = None
    ) -> Ended | None:
        """Tell the clock, if this way is the first; the answer is that of `over`."""
        if self._index == self._lanes.leading and not self._lanes.left.is_set():
            self._lanes.clock.tell(phase, done, total, psnr_db, z, image)
        return self.over
