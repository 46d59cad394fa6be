"""Progress of long work on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import numbers
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mitlgan.errors import to_one_line, to_terminal_text
from mitlgan.runtime.standard_streams import lasting

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_INTERVAL_S = 15.0
LINE_CHARS = 80
"""Width of a line of progress."""
LARGE_LOSS = 1e5
"""Larger losses are shown with an exponent."""
ProgressCallback = Callable[[int, int], None]
"""Receives the number of finished items and of all items."""
LabeledProgressCallback = Callable[[str, int, int], None]
"""Receives what is being processed, the number of finished items and of all items."""
Say = Callable[[str], None]
"""Receives a line for the user."""
UNBOUNDED_KIMG = 1e6
"""Length of a training that ends by time."""


def ignore_progress(done: int, total: int) -> None:
    """Report nothing."""


def ignore_message(text: str) -> None:
    """Report nothing."""


def print_message(text: str) -> None:
    """Print one line on stderr; if it cannot be written, the work goes on without it."""
    print(to_terminal_text(text), file=lasting(sys.stderr), flush=True)


def stderr_console() -> Console:
    """Return a console on stderr for bars; if it cannot be written, the work goes on without them."""
    from rich.console import Console

    return Console(file=lasting(sys.stderr))


def progress_logger(label: str, say: Say, interval_s: float = PLAIN_INTERVAL_S) -> ProgressCallback:
    """Return a callback that shows a line of progress at most once per interval, the first after one interval.

    Args:
        label: Begins each line.
        say: Shows a line.
        interval_s: Seconds between two lines.
    """
    start_s = time.monotonic()
    last_s = [start_s]

    def log(done: int, total: int) -> None:
        now_s = time.monotonic()
        if now_s - last_s[0] >= interval_s:
            last_s[0] = now_s
            left_s = (total - done) * (now_s - start_s) / max(done, 1)
            say(f"{label}: {done} of {total}" + (f", {format_duration(left_s)} left" if 0 < done < total else ""))

    return log


class Reporter(Protocol):
    """Shows a training's progress and messages."""

    def update(self, values: Mapping[str, Any]) -> None:
        """Show the current status, as in `status.json`; may be called often."""
        ...

    def say(self, text: str) -> None:
        """Print one line."""
        ...

    def close(self) -> None:
        """End the display."""
        ...


class SilentReporter:
    """Shows nothing."""

    def update(self, values: Mapping[str, Any]) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class PlainReporter:
    """Prints a line from time to time, for logs and pipes."""

    def __init__(self, label: str, interval_s: float = PLAIN_INTERVAL_S) -> None:
        self._label = label
        self._interval_s = interval_s
        self._last_s = -interval_s
        self._has_ended = False

    def update(self, values: Mapping[str, Any]) -> None:
        """Print the status once per interval, and once when the run has ended."""
        now_s, has_ended = time.monotonic(), values.get("state") != "running"
        if (has_ended and not self._has_ended) or (not has_ended and now_s - self._last_s >= self._interval_s):
            self._last_s, self._has_ended = now_s, has_ended
            self.say(f"{self._label}: {format_status(values, LINE_CHARS - len(self._label) - 2)}")

    def say(self, text: str) -> None:
        """Print a line."""
        print_message(text)

    def close(self) -> None:
        """Do nothing."""


class BarReporter:
    """Shows a bar of the `rich` library."""

    def __init__(self, label: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=16),
            # The numbers wrap in a narrow terminal, so that the remaining time and a collapse stay visible.
            TextColumn("{task.fields[line]}", markup=False, table_column=Column(no_wrap=False, ratio=1)),
            TimeElapsedColumn(),
            TextColumn("elapsed"),
            console=stderr_console(),
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
        """Stop the bar and leave it on the screen."""
        self._progress.stop()


def make_reporter(label: str) -> Reporter:
    """Return a bar if stderr is a terminal, else plain lines."""
    return BarReporter(label) if lasting(sys.stderr).isatty() else PlainReporter(label)


def format_status(values: Mapping[str, Any], max_chars: int = 0) -> str:
    """Return a status in one line: kimg, speed, losses, remaining time. It may come from any file, so values that are not finite are skipped.

    Args:
        values: As in `status.json`.
        max_chars: Width of the line; losses, then the speed, are left out where they do not fit. 0 leaves out nothing.
    """
    numeric = {key: number for key, value in values.items() if (number := finite(value)) is not None}
    target = numeric.get("target_kimg", 0.0)
    parts = [format_kimg(numeric.get("kimg", 0.0)) + (f"/{target:g} kimg" if target < UNBOUNDED_KIMG else " kimg")]
    if numeric.get("images_per_s"):
        parts.append(f"{numeric['images_per_s']:.0f} images/s")
    losses = [
        f"{label} {numeric[key]:+{'.3f' if abs(numeric[key]) < LARGE_LOSS else '.2e'}}"
        for key, label in (("critic_loss", "critic"), ("generator_loss", "generator"))
        if key in numeric
    ]
    optional = [*losses[::-1], *parts[1:]]  # in the order in which they are left out
    parts += losses
    if "eta_s" in numeric and values.get("state") == "running":
        parts.append(f"{format_duration(numeric['eta_s'])} left")
    if values.get("diverged_at_kimg") is not None:
        parts.append(f"DIVERGED at {_at(numeric, 'diverged_at_kimg')}")
    if values.get("collapsed_at_kimg") is not None:
        parts.append(f"COLLAPSED at {_at(numeric, 'collapsed_at_kimg')}")
    elif values.get("diagnosis") and values.get("diverged_at_kimg") is None:
        parts.append("WARNING, see its diagnosis")
    if values.get("state") not in (None, "running"):
        parts.append(str(values["state"]))
    while max_chars and optional and len(", ".join(parts)) > max_chars:
        parts.remove(optional.pop(0))
    return to_one_line(", ".join(parts))


def _at(numeric: Mapping[str, float], key: str) -> str:
    return f"{format_kimg(numeric[key])} kimg" if key in numeric else "an unknown time"


def finite(value: Any) -> float | None:
    """Return a finite float, or None for anything else: None, NaN, infinities, text."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer that is larger than any float
        return None


def format_kimg(kimg: float) -> str:
    """Return thousands of pictures, without the unit: `128.0`, `12.8`, and `0.032` where a tenth would be too coarse."""
    return f"{kimg:.3g}" if 0 < abs(kimg) < 1 else f"{kimg:.1f}"


def format_duration(seconds: float) -> str:
    """Return a duration such as `45 s`, `3 min 20 s` or `2 h 05 min`."""
    whole_s = int(seconds + 0.5)
    if whole_s < 60:
        return f"{whole_s} s"
    if whole_s < 3600:
        return f"{whole_s // 60} min {whole_s % 60:02d} s"
    return f"{whole_s // 3600} h {whole_s % 3600 // 60:02d} min"
