"""The worker: two threads that do all work with models, one of them only single pictures, and a bounded queue."""

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
    """Tells a task whether somebody still waits for it."""

    def __init__(self) -> None:
        self._gone = threading.Event()

    def cancel(self) -> None:
        """Mark the task as abandoned."""
        self._gone.set()

    def check(self) -> None:
        """End the task if it was abandoned; call it between chunks of work.

        Raises:
            Cancelled: The task was abandoned.
        """
        if self._gone.is_set():
            raise Cancelled


@dataclass(eq=False)
class _Task:
    work: Callable[[CancelToken], Any]
    token: CancelToken
    long: bool
    quick: bool
    future: Future[Any] = field(default_factory=Future)

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.token.check()
            self.future.set_result(self.work(self.token))
        except BaseException as error:
            self.future.set_exception(error)


TaskFilter = Callable[[_Task], bool]
"""Selects the tasks that a thread takes."""


class Worker:
    """Runs tasks in two threads. One takes only quick tasks, so that no animation, sheet or job delays a single picture.

    The other thread runs all tasks, one at a time. A long job lets shorter tasks run between its steps (`run_pending`).
    Each thread has its own networks (`Catalogue.load`).

    Args:
        waiting: Maximum number of waiting quick tasks, and of others; a quarter of the latter, at least one, may be long.
        work_s: Time limit of a task that a request waits for.
    """

    def __init__(self, waiting: int, work_s: float) -> None:
        self._waiting, self._work_s = waiting, work_s
        self._queue: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._current: set[_Task] = set()
        filters: dict[str, TaskFilter] = {"studio-worker": lambda _: True, "studio-pictures": lambda task: task.quick}
        self._threads = [threading.Thread(target=self._work, args=(accepts,), name=name, daemon=True) for name, accepts in filters.items()]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Refuse new tasks, drop waiting ones, and wait for running ones to end at their next check."""
        with self._changed:
            self._closed = True
            for task in self._queue:
                task.future.cancel()
            self._queue.clear()
            for task in self._current:
                task.token.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():  # one that is still in torch when the interpreter ends would abort the process
                thread.join(JOIN_TIMEOUT_S)

    async def run(self, request: Request, work: Callable[[CancelToken], T], *, quick: bool = False) -> T:
        """Run a task for a request and return its result.

        Args:
            request: The request, with its body read; if its client disconnects, the task ends.
            work: Called in a worker thread.
            quick: The task is a single picture.

        Raises:
            RequestRefused: 503, too many tasks are waiting; 504, the task took too long.
            Cancelled: The client disconnected.
        """
        task = self._put(work, quick=quick)
        result = asyncio.wrap_future(task.future)
        gone = asyncio.ensure_future(_wait_for_disconnect(request))
        try:
            done, _ = await asyncio.wait({result, gone}, timeout=self._work_s, return_when=asyncio.FIRST_COMPLETED)
            if result in done:
                value: T = result.result()
                return value
            if done:
                raise Cancelled
            raise RequestRefused(504, "this took too long; ask for less at once")
        finally:
            task.token.cancel()
            self._drop(task)
            result.cancel()
            gone.cancel()

    def submit(self, work: Callable[[], None]) -> Callable[[], bool]:
        """Queue a long task.

        Returns:
            A function that withdraws the task, and returns whether it could: whether the task had not begun.

        Raises:
            RequestRefused: 503, too many tasks are waiting.
        """
        task = self._put(lambda _token: work(), long=True)
        return lambda: self._drop(task)

    def run_pending(self) -> None:
        """Run the short tasks that are waiting, in the middle of a long one. For the worker's thread only."""
        while (task := self._take(lambda task: not task.long, wait=False)) is not None:
            self._do(task)

    def _put(self, work: Callable[[CancelToken], Any], *, long: bool = False, quick: bool = False) -> _Task:
        with self._changed:
            if self._closed:
                raise refuse_busy("the studio is being closed")
            if sum(task.quick == quick for task in self._queue) >= self._waiting or (
                long and sum(task.long for task in self._queue) >= max(1, self._waiting // 4)
            ):
                raise refuse_busy("too many requests are waiting")
            task = _Task(work, CancelToken(), long, quick)
            self._queue.append(task)
            self._changed.notify_all()
            return task

    def _take(self, accepts: TaskFilter, *, wait: bool) -> _Task | None:
        with self._changed:
            while not self._closed:
                task = next(filter(accepts, self._queue), None)
                if task is not None:
                    self._queue.remove(task)
                    self._current.add(task)
                    return task
                if not wait:
                    return None
                self._changed.wait()
            return None

    def _drop(self, task: _Task) -> bool:
        with self._changed:
            is_waiting = task in self._queue
            if is_waiting:
                self._queue.remove(task)
            return is_waiting

    def _do(self, task: _Task) -> None:
        task.run()
        with self._changed:
            self._current.discard(task)

    def _work(self, accepts: TaskFilter) -> None:
        while (task := self._take(accepts, wait=True)) is not None:
            self._do(task)
            del task  # it may hold pictures


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
