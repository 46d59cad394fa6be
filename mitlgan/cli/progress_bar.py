"""How far a command over many files is: a bar on a terminal, a line now and then elsewhere, always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mitlgan.cli.options import note
from mitlgan.runtime.progress import progress_logger

PLAIN_INTERVAL_S = 10.0


@contextmanager
def counted(label: str) -> Iterator[Callable[[int, int], None]]:
    """A function to tell how many of how many are done."""
    if sys.stderr.isatty():
        with _bar(label) as told:
            yield told
    else:
        yield progress_logger(label, note, PLAIN_INTERVAL_S)


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
