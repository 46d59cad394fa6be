"""What commands print: results on stdout; notes and progress on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from mitlgan.errors import ResourceError, to_terminal_text
from mitlgan.runtime.progress import LabeledProgressCallback, ProgressCallback, print_message, progress_logger, stderr_console

PLAIN_INTERVAL_S = 10.0


def print_result(as_json: bool, values: Mapping[str, Any], text: str) -> None:
    """Print a command's result: one JSON object, or text for people.

    Raises:
        ResourceError: It cannot be written.
        BrokenPipeError: Nobody reads it.
    """
    try:
        print(json.dumps(values, allow_nan=False) if as_json else to_terminal_text(text), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ResourceError(f"stdout: {os.strerror(error.errno or 0).lower()}; the work is done, only its result could not be printed") from None


def log(text: str) -> None:
    """Print one line on stderr."""
    print_message(text)


@contextmanager
def progress_bar(label: str) -> Iterator[ProgressCallback]:
    """Yield a callback (done, total) that shows a bar on a terminal, and a line every ten seconds elsewhere."""
    if sys.stderr.isatty():
        with _rich_bar(label) as callback:
            yield callback
    else:
        yield progress_logger(label, log, PLAIN_INTERVAL_S)


@contextmanager
def labeled_progress() -> Iterator[LabeledProgressCallback]:
    """Yield a callback (label, done, total) that shows a bar for each kind of work, or lines; see `progress_bar`."""
    with ExitStack() as stack:
        bars: dict[str, ProgressCallback] = {}

        def show(label: str, done: int, total: int) -> None:
            if label not in bars:
                stack.close()
                bars[label] = stack.enter_context(progress_bar(label))
            bars[label](done, total)
            if done >= total:
                stack.close()
                del bars[label]

        yield show


@contextmanager
def _rich_bar(label: str) -> Iterator[ProgressCallback]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[unit]}"))
    with Progress(*columns, console=stderr_console()) as progress:
        task = progress.add_task(label, total=None, unit="")
        yield lambda done, total: progress.update(task, completed=done, total=total, unit="left")
