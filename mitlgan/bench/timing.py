"""Times of functions and of commands, as medians with their spread."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan.errors import ResourceError

BYTES_PER_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_LAUNCHER = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)
sys.exit(code)
"""
"""A small process between this one and the command: a command's peak memory is counted from that of the process that starts it."""


@dataclass(frozen=True)
class CommandCost:
    """What a command cost, with all processes that it started.

    Attributes:
        cpu_s: CPU seconds.
        memory_bytes: Largest memory of one of its processes.
        out: What it printed.
    """

    cpu_s: float
    memory_bytes: int
    out: str


def spread_of(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the smallest and the largest of values."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def time_alternately(first: Callable[[], Any], second: Callable[[], Any], rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of two functions that run alternately, round by round, after a warm-up of each."""
    times_s: tuple[list[float], list[float]] = ([], [])
    for round_ in range(rounds + 1):
        for index, work in enumerate((first, second)):
            start_s = time.perf_counter()
            work()
            if round_:
                times_s[index].append(time.perf_counter() - start_s)
    return times_s


def run_command(arguments: Sequence[str | Path], folder: Path) -> CommandCost:
    """Run `python -m ARGUMENTS` in a folder, and return what it cost; CPU time, because other processes do not use it up.

    Raises:
        ResourceError: It failed.
    """
    cost_file = folder / ".bench-cost"
    command = [sys.executable, "-S", "-c", _LAUNCHER, str(cost_file), sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        message = done.stderr.strip().splitlines() or ["no message"]
        raise ResourceError(f"{' '.join(map(str, arguments))}: ended with {done.returncode}: {message[-1]}")
    cpu_s, max_rss = json.loads(cost_file.read_text())
    cost_file.unlink()
    return CommandCost(float(cpu_s), int(max_rss) * BYTES_PER_RSS_UNIT, done.stdout)
