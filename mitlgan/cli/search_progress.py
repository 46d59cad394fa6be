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
    """A bar on a terminal; elsewhere nothing until the figures."""
    if not sys.stderr.isatty():
        yield lambda state: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), TextColumn("{task.fields[line]}", markup=False))
    with Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("embed", line="")

        def watch(state: InversionStatus) -> None:
            label = state.phase if pictures == 1 or state.phase == "starts" else f"{state.phase} {state.picture + 1}/{pictures}"
            bar.update(task, description=label, completed=state.done, total=state.total, line=_line(state))

        yield watch


def _line(state: InversionStatus) -> str:
    return "" if state.psnr_db is None else f"{state.psnr_db:.1f} dB"
