"""The inside of a worker process, and the messages to and from it. Loads little, since every worker loads it."""

from __future__ import annotations

import gc
import json
import mmap
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any

_LENGTHS = struct.Struct("<QQ")  # of a message's JSON and of the bytes after it
REACHED = struct.Struct("<qq")  # the number of the request, from 1, and the position in it
Item = tuple[Any, bytes | None]
"""What JSON can hold, and bytes that go with it."""
Result = tuple[Any, memoryview | None]
Work = Callable[[Iterable[tuple[Any, memoryview | None]]], Iterable[tuple[Any, memoryview | None]]]
"""Several items at a time; the one that was drawn last is the one that a dying worker had reached."""


def serve(start: Callable[[Any], Work]) -> None:
    """Be a worker: answer requests until there are no more, or whoever sends them is gone.

    Args:
        start: Makes the work from the setup. The work takes items, each with its bytes, and gives of each what JSON can hold, and bytes.
    """
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)  # the end of the requests ends a worker
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    reached = mmap.mmap(int(sys.argv[1]), REACHED.size)  # outlives this process
    slots = mmap.mmap(int(sys.argv[2]), 0)
    with suppress(BrokenPipeError):
        setup = receive(requests)
        work = start(setup[0]) if setup else None
        gc.freeze()  # what was loaded stays: it need not be looked through again and again
        number = 0
        while work and (request := receive(requests)):
            begun, number = time.perf_counter(), number + 1
            REACHED.pack_into(reached, 0, number, 0)
            (items, slot), body = request
            try:
                made = list(work(_drawn(items, body, number, reached)))
            except Exception as error:
                position = REACHED.unpack_from(reached)[1]
                send(replies, {"error": type(error).__name__, "text": str(error), "trace": traceback.format_exc(), "position": position})
                continue
            results = [[value, None if content is None else len(content)] for value, content in made]
            contents = [content for _, content in made if content is not None]
            kept = _kept(slots, slot, contents)
            head = {"results": results, "seconds": time.perf_counter() - begun, "kept": kept}
            send(replies, head, *(() if kept else contents))


def _kept(slots: mmap.mmap, slot: tuple[int, int] | None, contents: list[memoryview]) -> bool:
    """Lay contents into a slot, its start and length, where there is one and it holds them all."""
    if slot is None or sum(map(len, contents)) > slot[1]:
        return False
    end = slot[0]
    for content in contents:
        slots[end : end + len(content)] = content
        end += len(content)
    return True


def _drawn(head: list[tuple[Any, int | None]], body: memoryview, number: int, reached: mmap.mmap) -> Iterator[tuple[Any, memoryview | None]]:
    for position, item in enumerate(divided(head, body)):
        REACHED.pack_into(reached, 0, number, position)
        yield item


def divided(head: list[tuple[Any, int | None]], body: memoryview) -> Iterator[tuple[Any, memoryview | None]]:
    """The values of a message, each with its bytes."""
    start = 0
    for value, length in head:
        yield value, None if length is None else body[start : start + length]
        start += length or 0


def send(pipe: IO[bytes], head: Any, *contents: bytes | memoryview) -> None:
    """Write a message."""
    text = json.dumps(head).encode()
    pipe.write(_LENGTHS.pack(len(text), sum(map(len, contents))) + text)
    for content in contents:
        pipe.write(content)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[Any, memoryview] | None:
    """The next message; None where there is no whole one any more."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    text, body = (pipe.read(length) for length in _LENGTHS.unpack(lengths))
    return (json.loads(text), memoryview(body)) if (len(text), len(body)) == _LENGTHS.unpack(lengths) else None
