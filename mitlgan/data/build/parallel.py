"""Work on many items at once, results in order: in threads, or in processes where the interpreter's lock would hold threads back."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from mitlgan.runtime.signals import STOP_SIGNALS

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD_PER_WORKER = 4
MIN_FOR_PROCESSES = 500  # pictures; with less, starting them takes longer than they save
_ORPHAN_CHECK_S = 0.5
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # glibc would give a picture's memory back to the system, page by page, and fetch it again for the next picture.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
    "MALLOC_TOP_PAD_": str(1 << 24),
    # A large picture is no memory leak, and a killed worker's stack helps no user.
    "LOKY_MAX_MEMORY_LEAK_SIZE": "1e15",
    "PYTHONFAULTHANDLER": "",
}
# Said once, since `warnings.catch_warnings` is not safe across threads; what it warns of is reported here, in one line.
warnings.filterwarnings("ignore", module=r"loky\.")
_work: Callable[[list[Any]], list[Any]]  # of a worker process


class WorkerDiedError(Exception):
    """A worker process was killed or ended by itself.

    Attributes:
        item: What it worked on when it was alone with it; None where workers cannot even start.
    """

    def __init__(self, item: Any) -> None:
        super().__init__("a worker process died")
        self.item = item


def processes_for(pictures: int) -> int:
    """Return the number of processes for so many pictures; 0 if threads are better."""
    cores = os.cpu_count() or 1
    return cores if cores > 1 and pictures >= MIN_FOR_PROCESSES else 0


def in_order(items: Iterable[Item], work: Callable[[Item], Result]) -> Iterator[tuple[Item, Result]]:
    """Apply `work` on all cores, in threads: Pillow, OpenCV and onnxruntime let go of the interpreter's lock.

    Items are drawn in this thread, so what can only be read one after the other may be read by the iterable itself.

    Args:
        items: What to work on.
        work: Done to each.
    """
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        queue = _Queue(items, AHEAD_PER_WORKER * workers)
        try:
            yield from queue.results(pool, work)
        finally:
            queue.cancel()  # stopped early: start nothing more


def in_processes(
    batches: Iterable[list[Item]], make_work: Callable[[], Callable[[list[Item]], list[Result]]], count: int
) -> Generator[Result, None, None]:
    """Apply work to batches of items in worker processes; batches are drawn in this thread.

    Workers ignore `STOP_SIGNALS`, end at once when the generator is closed, and do not outlive their parent. When one dies, the batches
    under way are done again one item at a time, so that the item it dies of is known, and what merely was too much at once is done after all.

    Args:
        batches: What to work on, some items at a time.
        make_work: Called once in each worker; can be pickled. What it returns gives a result for each item of a batch.
        count: Number of processes.

    Raises:
        WorkerDiedError: A worker died of one item alone, or cannot be started.
    """
    queue = _Queue(batches, AHEAD_PER_WORKER * count)
    while not queue.is_done:
        try:
            with _worker_pool(make_work, count) as pool:
                for _, results in queue.results(pool, _run_work):
                    yield from results
        except BrokenExecutor:
            with _worker_pool(make_work, 1) as pool:
                _alone(pool, [])
                while queue.ahead:
                    for item in queue.ahead[0][0]:
                        yield from _alone(pool, [item])
                    queue.ahead.popleft()


class _Queue(Generic[Item]):
    """Items drawn but not done yet, oldest first, with what will come of them; outlives a pool that breaks."""

    def __init__(self, items: Iterable[Item], max_ahead: int) -> None:
        self._items, self._max_ahead = iter(items), max_ahead
        self.ahead: deque[tuple[Item, Future[Any]]] = deque()
        self.is_done = False

    def results(self, pool: Executor, work: Callable[[Item], Result]) -> Iterator[tuple[Item, Result]]:
        for item in self._items:
            self.ahead.append((item, _submitted(pool, work, item)))
            if len(self.ahead) > self._max_ahead:
                yield self._oldest()
        while self.ahead:
            yield self._oldest()
        self.is_done = True

    def _oldest(self) -> tuple[Item, Any]:
        item, future = self.ahead[0]
        result = future.result()
        self.ahead.popleft()  # only now: of a broken pool, it is to be done again
        return item, result

    def cancel(self) -> None:
        for _, future in self.ahead:
            future.cancel()


def _submitted(pool: Executor, work: Callable[[Item], Result], item: Item) -> Future[Result]:
    try:
        return pool.submit(work, item)
    except BrokenExecutor as error:
        future: Future[Result] = Future()
        future.set_exception(error)
        return future


def _alone(pool: Executor, batch: list[Item]) -> list[Any]:
    try:
        return pool.submit(_run_work, batch).result()
    except BrokenExecutor:
        raise WorkerDiedError(batch[0] if batch else None) from None


@contextmanager
def _worker_pool(make_work: Callable[[], Any], count: int) -> Iterator[Executor]:
    """Started worker processes, which inherit that `STOP_SIGNALS` are blocked. loky, since it does not run the caller's main module again."""
    from loky import ProcessPoolExecutor

    try:
        pool = ProcessPoolExecutor(count, initializer=_begin_worker, initargs=(os.getpid(), make_work), env=_ENVIRONMENT)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            pool.submit(int)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except OSError:
        raise WorkerDiedError(None) from None
    finished = False
    try:
        yield pool
        finished = True
    finally:
        pool.shutdown(kill_workers=not finished)


def _begin_worker(parent: int, make_work: Callable[[], Any]) -> None:
    global _work
    os.dup2(2, 1)  # what a library prints is no result of the command
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _work = make_work()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK_S)
    os._exit(1)


def _run_work(batch: list[Any]) -> list[Any]:
    return _work(batch) if batch else []
