"""The inside of a worker process, and the messages to and from it. Loads little, since every worker loads it."""

from __future__ import annotations

import json
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
POSITION = struct.Struct("<q")
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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the end of the requests ends a worker
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    place = int(sys.argv[1])
    with suppress(BrokenPipeError):
        setup = receive(requests)
        work = start(setup[0]) if setup else None
        while work and (request := receive(requests)):
            begun = time.perf_counter()
            try:
                made = list(work(_drawn(*request, place)))
            except Exception as error:
                send(replies, {"error": type(error).__name__, "text": str(error), "trace": traceback.format_exc()})
                continue
            results = [[value, None if content is None else len(content)] for value, content in made]
            send(replies, {"results": results, "seconds": time.perf_counter() - begun}, *(content for _, content in made if content is not None))


def _drawn(head: list[tuple[Any, int | None]], body: memoryview, place: int) -> Iterator[tuple[Any, memoryview | None]]:
    for position, item in enumerate(divided(head, body)):
        os.pwrite(place, POSITION.pack(position), 0)
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
