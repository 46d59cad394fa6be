"""Progress of searches for latents."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitlgan.inversion import InversionStatus, StatusCallback


@contextmanager
def search_progress(pictures: int) -> Iterator[StatusCallback]:
    """Show a progress bar on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from mitlgan.runtime.progress import stderr_console

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), TextColumn("{task.fields[line]}", markup=False))
    with Bar(*columns, TimeElapsedColumn(), TextColumn("elapsed"), console=stderr_console()) as bar:
        task = bar.add_task("embed", line="")

        def update(status: InversionStatus) -> None:
            label = status.phase if pictures == 1 or status.phase == "starts" else f"{status.phase} {status.picture + 1}/{pictures}"
            bar.update(task, description=label, completed=status.done, total=status.total, line=_line(status))

        yield update


def _line(status: InversionStatus) -> str:
    return "" if status.psnr_db is None else f"{status.psnr_db:.1f} dB"
