"""What a person sees while a run goes on: a live bar on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import math
import numbers
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from mitlgan.errors import to_one_line, to_terminal_text

PLAIN_INTERVAL_S = 15.0
LARGE = 1e5  # a loss beyond it is written with its exponent
ProgressCallback = Callable[[int, int], None]
"""Receives the number of finished items and of all items."""
Say = Callable[[str], None]
"""Receives a line for the user."""
UNBOUNDED_KIMG = 1e6  # the length of a training that a clock ends


def ignore_progress(done: int, total: int) -> None:
    """Report nothing."""


def ignore_message(text: str) -> None:
    """Report nothing."""


def progress_logger(label: str, say: Callable[[str], None], interval_s: float = PLAIN_INTERVAL_S) -> ProgressCallback:
    """A function to tell how many of how many are done, which says a line now and then, the first after an interval.

    Args:
        label: Begins each line.
        say: Shows a line.
        interval_s: Between two lines.
    """
    last = [time.monotonic()]

    def told(done: int, total: int) -> None:
        now = time.monotonic()
        if now - last[0] >= interval_s:
            last[0] = now
            say(f"{label}: {done} of {total}")

    return told


class Reporter(Protocol):
    """Told by the loop how far it is."""

    def update(self, values: Mapping[str, Any]) -> None:
        """Take the current state, as `status.json` has it; may be called often."""
        ...

    def say(self, text: str) -> None:
        """Show one line that stays."""
        ...

    def close(self) -> None:
        """End the display."""
        ...


class SilentReporter:
    """Shows nothing."""

    def update(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class PlainReporter:
    """A line now and then, for logs and pipes."""

    def __init__(self, label: str, interval_s: float = PLAIN_INTERVAL_S) -> None:
        self._label = label
        self._interval_s = interval_s
        self._last = -interval_s
        self._ended = False

    def update(self, values: Mapping[str, Any]) -> None:
        """Print the state when the last line is old enough, and once when the run has ended."""
        now, ended = time.monotonic(), values.get("state") != "running"
        if (ended and not self._ended) or (not ended and now - self._last >= self._interval_s):
            self._last, self._ended = now, ended
            self.say(f"{self._label}: {format_status(values)}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(to_terminal_text(text), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to end."""


class BarReporter:
    """A rich progress bar."""

    def __init__(self, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=16),
            # The numbers wrap in a narrow terminal: cut off, they would hide the time left or a collapse.
            TextColumn("{task.fields[line]}", markup=False, table_column=Column(no_wrap=False, ratio=1)),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            expand=True,
        )
        self._task = self._progress.add_task(label, total=None, line="")
        self._progress.start()

    def update(self, values: Mapping[str, Any]) -> None:
        """Move the bar."""
        self._progress.update(
            self._task, total=finite(values.get("target_kimg")), completed=finite(values.get("kimg")) or 0.0, line=format_status(values)
        )

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(to_terminal_text(text), markup=False, highlight=False)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()


def make_reporter(label: str) -> Reporter:
    """A bar when stderr is a terminal, else plain lines."""
    return BarReporter(label) if sys.stderr.isatty() else PlainReporter(label)


def format_status(values: Mapping[str, Any]) -> str:
    """The state in one line: kimg, speed, losses, time left. A status may come from anywhere: what is no finite number is left out."""
    known = {key: number for key, value in values.items() if (number := finite(value)) is not None}
    target = known.get("target_kimg", 0.0)
    parts = [f"{known.get('kimg', 0.0):.1f}" + (f"/{target:g} kimg" if target < UNBOUNDED_KIMG else " kimg")]
    if known.get("images_per_s"):
        parts.append(f"{known['images_per_s']:.0f} images/s")
    for key, label in (("critic_loss", "critic"), ("generator_loss", "generator")):
        if key in known:
            parts.append(f"{label} {known[key]:+{'.3f' if abs(known[key]) < LARGE else '.2e'}}")
    if "eta_s" in known and values.get("state") == "running":
        parts.append(f"{format_duration(known['eta_s'])} left")
    if values.get("diverged_at_kimg") is not None:
        parts.append(f"DIVERGED at {_at(known, 'diverged_at_kimg')}")
    if values.get("collapsed_at_kimg") is not None:
        parts.append(f"COLLAPSED at {_at(known, 'collapsed_at_kimg')}")
    elif values.get("diagnosis") and values.get("diverged_at_kimg") is None:
        parts.append("WARNING, see its diagnosis")
    if values.get("state") not in (None, "running"):
        parts.append(str(values["state"]))
    return to_one_line(", ".join(parts))


def _at(known: Mapping[str, float], key: str) -> str:
    return f"{known[key]:.1f} kimg" if key in known else "an unknown time"


def finite(value: Any) -> float | None:
    """A finite float, or None for anything else: None, NaN, infinities, text."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond all floats
        return None


def format_duration(seconds: float) -> str:
    """A time for people: `45 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
