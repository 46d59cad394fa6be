"""Two threads that do all work with models, one of them for single pictures alone, and the one bounded queue before them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request

from mitlgan.studio.errors import Cancelled, RequestRefused, refuse_busy

T = TypeVar("T")
JOIN_TIMEOUT_S = 10.0


class CancelToken:
    """Whether somebody still waits for a piece of work."""

    def __init__(self) -> None:
        self._gone = threading.Event()

    def cancel(self) -> None:
        """Nobody does."""
        self._gone.set()

    def check(self) -> None:
        """End the work if nobody waits for it; to be called between its chunks.

        Raises:
            Cancelled: Nobody does.
        """
        if self._gone.is_set():
            raise Cancelled


@dataclass(eq=False)
class _Task:
    work: Callable[[CancelToken], Any]
    ticket: CancelToken
    long: bool
    quick: bool
    future: Future[Any] = field(default_factory=Future)

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.ticket.check()
            self.future.set_result(self.work(self.ticket))
        except BaseException as error:
            self.future.set_exception(error)


TaskFilter = Callable[[_Task], bool]
"""Which pieces a thread takes."""


class Worker:
    """Does pieces of work, the quick ones in a thread that does nothing else: no animation, sheet or job, however long, holds a picture up.

    The other thread does everything, one piece at a time. A long job gives way there to all that is shorter between its steps (`give_way`).
    Each thread has networks of its own (`Catalogue.loaded`).

    Args:
        waiting: Quick pieces that may wait, and as many others; of these a quarter, and at least one, may be long.
        work_s: Time in which a piece that a request waits for must be done.
    """

    def __init__(self, waiting: int, work_s: float) -> None:
        self._waiting, self._work_s = waiting, work_s
        self._queue: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._current: set[_Task] = set()
        lanes: dict[str, TaskFilter] = {"studio-worker": lambda _: True, "studio-pictures": lambda task: task.quick}
        self._threads = [threading.Thread(target=self._work, args=(lane,), name=name, daemon=True) for name, lane in lanes.items()]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Take nothing any more, drop what waits, and wait for what is being done to end at its next check."""
        with self._changed:
            self._closed = True
            for task in self._queue:
                task.future.cancel()
            self._queue.clear()
            for task in self._current:
                task.ticket.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():  # one that is still in torch when the interpreter ends would abort the process
                thread.join(JOIN_TIMEOUT_S)

    async def run(self, request: Request, work: Callable[[CancelToken], T], *, quick: bool = False) -> T:
        """What a piece of work gives, for a request that waits for it.

        Args:
            request: Whose body has been read; when its client goes, the work ends.
            work: Called in a worker's thread.
            quick: It is a single picture.

        Raises:
            Refused: 503, too many wait; 504, it took too long.
            Cancelled: The client has gone.
        """
        task = self._put(work, quick=quick)
        result = asyncio.wrap_future(task.future)
        gone = asyncio.ensure_future(_wait_for_disconnect(request))
        try:
            done, _ = await asyncio.wait({result, gone}, timeout=self._work_s, return_when=asyncio.FIRST_COMPLETED)
            if result in done:
                given: T = result.result()
                return given
            if done:
                raise Cancelled
            raise RequestRefused(504, "this took too long; ask for less at once")
        finally:
            task.ticket.cancel()
            self._drop(task)
            result.cancel()
            gone.cancel()

    def submit(self, work: Callable[[], None]) -> Callable[[], bool]:
        """Let a long piece of work be done when its turn comes.

        Returns:
            A function that takes it back, and says whether it could: whether it had not begun.

        Raises:
            Refused: 503, too many wait.
        """
        task = self._put(lambda _ticket: work(), long=True)
        return lambda: self._drop(task)

    def run_pending(self) -> None:
        """Do the short pieces that wait, in the middle of a long one. For the worker's thread only."""
        while (task := self._take(lambda task: not task.long, wait=False)) is not None:
            self._do(task)

    def _put(self, work: Callable[[CancelToken], Any], *, long: bool = False, quick: bool = False) -> _Task:
        with self._changed:
            if self._closed:
                raise refuse_busy("the studio is being closed")
            if sum(task.quick == quick for task in self._queue) >= self._waiting or (
                long and sum(task.long for task in self._queue) >= max(1, self._waiting // 4)
            ):
                raise refuse_busy("too many are waiting")
            task = _Task(work, CancelToken(), long, quick)
            self._queue.append(task)
            self._changed.notify_all()
            return task

    def _take(self, lane: TaskFilter, *, wait: bool) -> _Task | None:
        with self._changed:
            while not self._closed:
                found = next(filter(lane, self._queue), None)
                if found is not None:
                    self._queue.remove(found)
                    self._current.add(found)
                    return found
                if not wait:
                    return None
                self._changed.wait()
            return None

    def _drop(self, task: _Task) -> bool:
        with self._changed:
            waited = task in self._queue
            if waited:
                self._queue.remove(task)
            return waited

    def _do(self, task: _Task) -> None:
        task.run()
        with self._changed:
            self._current.discard(task)

    def _work(self, lane: TaskFilter) -> None:
        while (task := self._take(lane, wait=True)) is not None:
            self._do(task)
            del task  # it may hold pictures


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
