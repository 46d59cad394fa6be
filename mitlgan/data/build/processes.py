"""Work on many things in processes of their own, results in order, where the interpreter's lock would hold threads back.

A worker is a fresh interpreter that loads one module and answers requests over a pair of pipes. `multiprocessing` would run the caller's main module
again in each of them: that is a tenth of a second for a command, and an endless chain for a script that calls without a guard.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from mitlgan.data.build.parallel import AHEAD_PER_WORKER, in_order
from mitlgan.data.build.serving import REACHED, Item, Result, divided, receive, send
from mitlgan.errors import ResourceError

REQUEST_S = 0.05  # of work at a time: long beside a pipe's wake-up, short beside what a kill may cost
REQUEST_BYTES = 1 << 20
SLOT_BYTES = 2 * REQUEST_BYTES  # for what one request makes; of more, all goes through the pipe
MOST_ITEMS = 32
REQUESTS_EACH = 2  # one is worked on, one waits: no worker does
ENDING_S = 5.0  # after which a worker that was told to end is killed
_PIPE_BYTES = 1 << 20  # a whole answer waits in it, so that its writer goes on
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # glibc would give a picture's memory back to the system, page by page, and fetch it anew for the next picture.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
    "MALLOC_TOP_PAD_": str(1 << 24),
}


class WorkerDiedError(Exception):
    """A worker ended by itself, or ran out of memory.

    Attributes:
        item: What it was working on; None where it had not begun.
    """

    def __init__(self, item: Any, how: str) -> None:
        super().__init__(how)
        self.item = item


class Workers:
    """Some processes for one piece of work; those made early load while their maker goes on. Used as a context manager: none is left after it.

    Args:
        home: The module whose function `serve_worker` calls `serve`; the lighter, the sooner a worker starts.
        count: Number of processes.

    Raises:
        ResourceError: No process can be started.
    """

    def __init__(self, home: str, count: int) -> None:
        self._workers: list[_Worker] = []
        self._begun = False
        self._slots = _Slots(count * REQUESTS_EACH * (AHEAD_PER_WORKER + 1))
        try:
            for _ in range(count):
                self._workers.append(_Worker(home, self._slots))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        for worker in self._workers:
            if self._begun:
                worker.dismiss()
            else:
                worker.kill()  # it may be loading still: there is nothing to wait for
        for worker in self._workers:
            worker.end()
        self._slots.close()

    def work(self, items: Iterable[Item], setup: Any) -> Generator[Result, None, None]:
        """Have them work, once; items are drawn in this thread, and results come in their order. The bytes of one are gone when the next is drawn.

        Args:
            items: What to work on.
            setup: What each worker is told first; what JSON can hold.

        Raises:
            WorkerDiedError: One was killed or ran out of memory; says on which item.
        """
        self._begun = True
        pace = [1]
        idle: SimpleQueue[_Worker] = SimpleQueue()

        def ask(chunk: Sequence[Item]) -> _Answer:
            worker = idle.get()
            try:
                return worker.ask(chunk)
            finally:
                idle.put(worker)

        try:
            for worker in self._workers:
                worker.tell(setup)
            for worker in self._workers * REQUESTS_EACH:
                idle.put(worker)
            # Held: let go of by the loop, it would wait for the workers before they are killed.
            answers = in_order(_chunks(items, pace), ask, idle.qsize())
            for _, answer in answers:
                results = answer.results
                size = sum(len(content) for _, content in results if content is not None)
                pace[0] = max(1, min(MOST_ITEMS, int(len(results) * min(REQUEST_S / max(answer.seconds, 1e-6), REQUEST_BYTES / max(size, 1)))))
                yield from results
                self._slots.give_back(answer.slot)
            for worker in self._workers:
                worker.dismiss()  # they end while their maker goes on
        except BaseException:
            for worker in self._workers:
                worker.kill()  # at once: whoever waits for an answer goes on
            raise


def in_processes(items: Iterable[Item], home: str, setup: Any, count: int) -> Generator[Result, None, None]:
    """Have `count` new processes work; see `Workers`."""
    with Workers(home, count) as workers:
        yield from workers.work(items, setup)


def _chunks(items: Iterable[Item], pace: list[int]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += len(item[1] or b"")
        if len(chunk) >= pace[0] or size >= REQUEST_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@dataclass(frozen=True)
class _Answer:
    """What came of one request.

    Attributes:
        results: Of its items.
        seconds: That the worker took.
        slot: In which the results' bytes are; None where they came through the pipe.
    """

    results: list[Result]
    seconds: float
    slot: int | None


class _Slots:
    """Memory that all workers share, for results: a pipe would copy them twice.

    Args:
        count: How many.

    Raises:
        ResourceError: There is not so much memory.
    """

    def __init__(self, count: int) -> None:
        try:
            if hasattr(os, "memfd_create"):
                self.descriptor = os.memfd_create("slots")
            else:
                with tempfile.TemporaryFile() as file:
                    self.descriptor = os.dup(file.fileno())
            os.truncate(self.descriptor, count * SLOT_BYTES)
            self._memory = memoryview(mmap.mmap(self.descriptor, 0))
        except OSError as error:
            raise ResourceError(f"no memory for worker processes' results ({error.strerror}); free some memory") from None
        self._free: SimpleQueue[int] = SimpleQueue()
        for slot in range(count):
            self._free.put(slot)

    def take(self) -> int | None:
        """One that nobody has, if there is one: to wait for it could be to wait for oneself."""
        with suppress(Empty):
            return self._free.get_nowait()
        return None

    def give_back(self, slot: int | None) -> None:
        """Let another have it."""
        if slot is not None:
            self._free.put(slot)

    def content(self, slot: int) -> memoryview:
        """Its memory, valid until it is given back."""
        return self._memory[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES]

    def close(self) -> None:
        """Let go of the file; the memory stays as long as somebody has a part of it."""
        os.close(self.descriptor)


class _Worker:
    """One process, seen from the one that started it."""

    def __init__(self, home: str, slots: _Slots) -> None:
        self._slots = slots
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._asked: dict[int, Sequence[Item]] = {}  # by the number of the request, from 1
        self._answers: dict[int, tuple[Any, memoryview] | None] = {}
        self._sent = self._received = 0
        program = f"import sys; sys.path[:] = {sys.path!r}; from {home} import serve_worker; serve_worker()"
        try:
            self._at = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `end`)
            self._at.truncate(REACHED.size)
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, str(self._at.fileno()), str(slots.descriptor)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(self._at.fileno(), slots.descriptor),
                process_group=0,  # a terminal's Ctrl-C is for the command, which ends its workers
                env=os.environ | _ENVIRONMENT,
            )
        except OSError as error:
            raise ResourceError(f"a worker process cannot be started ({error.strerror}); free some memory or processes") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        for pipe in (self._requests, self._replies):
            with suppress(OSError, AttributeError):  # Linux only, and up to a limit
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def tell(self, setup: Any) -> None:
        """Say what all its work needs."""
        with suppress(OSError):  # dead already: asking it says so
            send(self._requests, setup)

    def ask(self, chunk: Sequence[Item]) -> _Answer:
        """Have it work on some items, after those that it was asked about before.

        Raises:
            WorkerDiedError: It did not live to answer, or ran out of memory.
        """
        slot = self._slots.take()
        items = [[item, None if content is None else len(content)] for item, content in chunk]
        head = [items, None if slot is None else [slot * SLOT_BYTES, SLOT_BYTES]]
        with self._sending:
            self._sent += 1
            number = self._sent
            self._asked[number] = chunk
            with suppress(OSError):  # dead: there will be no answer
                send(self._requests, head, *(content for _, content in chunk if content is not None))
        with self._receiving:
            while number not in self._answers:  # they come in order, to whoever listens
                self._received += 1
                self._answers[self._received] = self._receive()
            answer = self._answers.pop(number)
        if answer is None:
            code = self._process.wait()
            raise WorkerDiedError(self._reached(), f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}")
        values, body = answer
        if "error" in values:
            if values["error"] == "MemoryError":
                raise WorkerDiedError(self._asked[number][values["position"]][0], "ran out of memory")
            error = RuntimeError(f"{values['error']}: {values['text']}")
            error.add_note(values["trace"])
            raise error
        del self._asked[number]
        if slot is not None and values["kept"]:
            return _Answer(list(divided(values["results"], self._slots.content(slot))), values["seconds"], slot)
        self._slots.give_back(slot)
        return _Answer(list(divided(values["results"], body)), values["seconds"], None)

    def _receive(self) -> tuple[Any, memoryview] | None:
        try:
            return receive(self._replies)
        except OSError:
            return None

    def _reached(self) -> Any:
        """The item that it began last, if it did not finish with it."""
        number, position = REACHED.unpack(os.pread(self._at.fileno(), REACHED.size, 0))
        return self._asked[number][position][0] if number in self._asked else None

    def kill(self) -> None:
        """End it now, whatever it does."""
        self._process.kill()

    def dismiss(self) -> None:
        """Tell it to end."""
        with suppress(OSError):
            self._requests.close()

    def end(self) -> None:
        """Wait until it has ended."""
        self.dismiss()
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()
        self._at.close()
