"""A worker process whose work the tests choose."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from typing import Any

from mitlgan.data.build.serving import Work, serve


def serve_worker() -> None:
    serve(start)


def start(setup: Any) -> Work:
    if setup == "no start":
        raise SystemExit(7)

    def one(number: Any, content: memoryview | None) -> tuple[Any, memoryview | None]:
        if number == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if number == "memory":
            raise MemoryError
        if number == "bug":
            raise ZeroDivisionError("of a picture by none")
        if number == "print":
            print("a library's chatter")
            os.write(1, b"and C's")
        if isinstance(number, float):
            time.sleep(number)
        return [setup, number, os.getpid()], None if content is None else memoryview(bytes(content)[::-1])

    def work(items: Iterable[tuple[Any, memoryview | None]]) -> Iterable[tuple[Any, memoryview | None]]:
        return (one(number, content) for number, content in items)

    return work
