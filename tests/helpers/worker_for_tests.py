"""The work of a worker process, which the tests choose."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def make(setup: Any) -> Callable[[list[Any]], list[Any]]:
    if setup == "no start":
        raise SystemExit(7)

    def one(item: Any) -> Any:
        if item == "kill" or (isinstance(item, Path) and not item.exists() and not item.touch()):
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "bug":
            raise ZeroDivisionError("of a picture by none")
        if item == "print":
            print("a library's chatter", flush=True)
            os.write(1, b"and C's")
        if isinstance(item, float):
            time.sleep(item)
        return [setup, item[::-1] if isinstance(item, bytes) else item, os.getpid()]

    return lambda batch: [one(item) for item in batch]
