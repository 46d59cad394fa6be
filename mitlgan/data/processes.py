"""Work on many things in processes of their own, results in order, where the interpreter's lock would hold threads back.

A worker is a fresh interpreter that loads one module and answers requests over a pair of pipes. `multiprocessing` would run the caller's main module
again in each of them: that is a tenth of a second for a command, and an endless chain for a script that calls without a guard.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, Any

from mitlgan.data.parallel import in_order
from mitlgan.errors import ResourceError

REQUEST_S = 0.05  # of work at a time: long beside a pipe's wake-up, short beside what a kill may cost
REQUEST_BYTES = 1 << 20
MOST_ITEMS = 32
ENDING_S = 5.0  # after which a worker that was told to end is killed
_LENGTHS = struct.Struct("<QQ")  # of a message's JSON and of the bytes after it
_POSITION = struct.Struct("<q")
_PIPE_BYTES = 1 << 20  # a whole answer waits in it, so that its writer goes on
Item = tuple[Any, bytes | None]
"""What JSON can hold, and bytes that go with it."""
Result = tuple[Any, memoryview | None]
Work = Callable[[Any, memoryview | None], tuple[Any, memoryview | None]]


class WorkerDiedError(Exception):
    """A worker ended by itself, or ran out of memory.

    Attributes:
        item: What it was working on; None where it had not begun.
    """

    def __init__(self, item: Any, how: str) -> None:
        super().__init__(how)
        self.item = item


def in_processes(items: Iterable[Item], home: str, setup: Any, count: int) -> Generator[Result, None, None]:
    """Have `count` processes work; items are drawn in this thread, and results come in their order.

    Args:
        items: What to work on.
        home: The module whose function `serve_worker` calls `serve`; the lighter, the sooner a worker starts.
        setup: What each worker is told first; what JSON can hold.
        count: Number of processes.

    Raises:
        WorkerDiedError: One was killed or ran out of memory; says on which item.
        ResourceError: No process can be started.
    """
    pace = [1]
    workers: list[_Worker] = []
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def ask(chunk: Sequence[Item]) -> tuple[list[Result], float]:
        worker = idle.get()
        try:
            return worker.ask(chunk)
        finally:
            idle.put(worker)

    try:
        for _ in range(count):
            workers.append(_Worker(home, setup))
            idle.put(workers[-1])
        answers = in_order(_chunks(items, pace), ask)  # held: let go of by the loop, it would wait for the workers before they are killed
        for _, (results, seconds) in answers:
            size = sum(len(content) for _, content in results if content is not None)
            pace[0] = max(1, min(MOST_ITEMS, int(len(results) * min(REQUEST_S / max(seconds, 1e-6), REQUEST_BYTES / max(size, 1)))))
            yield from results
    except BaseException:
        for worker in workers:
            worker.kill()  # at once: whoever waits for an answer goes on
        raise
    finally:
        for worker in workers:
            worker.end()


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


class _Worker:
    """One process, seen from the one that started it."""

    def __init__(self, home: str, setup: Any) -> None:
        program = f"import sys; sys.path[:] = {sys.path!r}; from {home} import serve_worker; serve_worker()"
        try:
            self._at = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `end`)
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, str(self._at.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(self._at.fileno(),),
                process_group=0,  # a terminal's Ctrl-C is for the command, which ends its workers
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise ResourceError(f"a worker process cannot be started ({error.strerror}); free some memory or processes") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        for pipe in (self._requests, self._replies):
            with suppress(OSError, AttributeError):  # Linux only, and up to a limit
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        with suppress(OSError):  # dead already: asking it says so
            _send(self._requests, setup)

    def ask(self, chunk: Sequence[Item]) -> tuple[list[Result], float]:
        """Have it work on some items; gives their results and the seconds that it took.

        Raises:
            WorkerDiedError: It did not live to answer, or ran out of memory.
        """
        self._at.truncate(0)
        try:
            head = [[item, None if content is None else len(content)] for item, content in chunk]
            _send(self._requests, head, *(content for _, content in chunk if content is not None))
            answer = _receive(self._replies)
        except OSError:
            answer = None
        if answer is None:
            code = self._process.wait()
            raise WorkerDiedError(self._reached(chunk), f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}")
        head, body = answer
        if "error" in head:
            if head["error"] == "MemoryError":
                raise WorkerDiedError(self._reached(chunk), "ran out of memory")
            error = RuntimeError(f"{head['error']}: {head['text']}")
            error.add_note(head["trace"])
            raise error
        return list(_divided(head["results"], body)), head["seconds"]

    def _reached(self, chunk: Sequence[Item]) -> Any:
        """The item that it began last."""
        found = os.pread(self._at.fileno(), _POSITION.size, 0)
        return chunk[_POSITION.unpack(found)[0]][0] if found else None

    def kill(self) -> None:
        """End it now, whatever it does."""
        self._process.kill()

    def end(self) -> None:
        """Tell it to end, and wait until it has."""
        with suppress(OSError):
            self._requests.close()
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()
        self._at.close()


def serve(start: Callable[[Any], Work]) -> None:
    """Be a worker: answer requests until there are no more, or whoever sends them is gone.

    Args:
        start: Makes the work from the setup. The work takes an item and its bytes, and gives what JSON can hold, and bytes.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the end of the requests ends a worker
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    place = int(sys.argv[1])
    with suppress(BrokenPipeError):
        setup = _receive(requests)
        work = start(setup[0]) if setup else None
        while work and (request := _receive(requests)):
            head, body = request
            begun, made = time.perf_counter(), []
            try:
                for position, (item, content) in enumerate(_divided(head, body)):
                    os.pwrite(place, _POSITION.pack(position), 0)
                    made.append(work(item, content))
            except Exception as error:
                _send(replies, {"error": type(error).__name__, "text": str(error), "trace": traceback.format_exc()})
                continue
            results = [[value, None if content is None else len(content)] for value, content in made]
            _send(replies, {"results": results, "seconds": time.perf_counter() - begun}, *(content for _, content in made if content is not None))


def _divided(head: list[tuple[Any, int | None]], body: memoryview) -> Iterator[tuple[Any, memoryview | None]]:
    start = 0
    for value, length in head:
        yield value, None if length is None else body[start : start + length]
        start += length or 0


def _send(pipe: IO[bytes], head: Any, *contents: bytes | memoryview) -> None:
    text = json.dumps(head).encode()
    pipe.write(_LENGTHS.pack(len(text), sum(map(len, contents))) + text)
    for content in contents:
        pipe.write(content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[Any, memoryview] | None:
    """The next message; None where there is no whole one any more."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    text, body = (pipe.read(length) for length in _LENGTHS.unpack(lengths))
    return (json.loads(text), memoryview(body)) if (len(text), len(body)) == _LENGTHS.unpack(lengths) else None
