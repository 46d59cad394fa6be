"""Work on many files at once, results in order, a bounded number ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD_PER_WORKER = 4


def in_order(items: Iterable[Item], work: Callable[[Item], Result], threads: int | None = None) -> Iterator[tuple[Item, Result]]:
    """Apply `work` on all cores, in threads: Pillow, OpenCV and onnxruntime let go of the interpreter's lock.

    Items are drawn in this thread, so what can only be read one after the other may be read by the iterable itself.

    Args:
        items: What to work on.
        work: Done to each.
        threads: How many; as many as there are cores where not said.
    """
    workers = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                ahead.append((item, pool.submit(work, item)))
                if len(ahead) > AHEAD_PER_WORKER * workers:
                    done, future = ahead.popleft()
                    yield done, future.result()
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result()
        finally:
            for _, future in ahead:  # stopped early: start nothing more
                future.cancel()
