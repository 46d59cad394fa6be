"""The processes of `data prepare`. Loads little: a command starts them before it loads the rest, so that they load meanwhile."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

from mitlgan.data.build.processes import WorkerDiedError, Workers
from mitlgan.errors import ResourceError

if TYPE_CHECKING:
    from mitlgan.data.build.prepare_image import PrepareSettings, Shaped, Task

HOME = "mitlgan.data.build.prepare_image"
FEWEST_FOR_PROCESSES = 500  # pictures; with less, starting them takes longer than they save


def processes_for(pictures: int) -> int:
    """How many processes so many pictures are worth; none where threads do."""
    cores = os.cpu_count() or 1
    return cores if cores > 1 and pictures >= FEWEST_FOR_PROCESSES else 0


@contextmanager
def started_for(spec: str) -> Iterator[Workers | None]:
    """Processes for a folder that has many files itself, before anything in it is read; None for any other source."""
    found = 0
    with suppress(OSError), os.scandir(spec) as entries:
        found = sum(1 for _ in islice(entries, FEWEST_FOR_PROCESSES))
    count = processes_for(found)
    with Workers(HOME, count) if count else nullcontext() as workers:
        yield workers


def in_workers(
    tasks: Iterable[Task], settings: PrepareSettings, with_matte: bool, count: int, workers: Workers | None = None
) -> Generator[Shaped, None, None]:
    """What a `Shaper` makes of each, in order.

    Args:
        tasks: The files.
        settings: How.
        with_matte: See `Shaper`.
        count: Number of processes.
        workers: Those started already.

    Raises:
        ResourceError: A picture took its process with it; says which.
    """
    items = (task.pack() for task in tasks)
    try:
        with nullcontext(workers) if workers else Workers(HOME, count) as crew, closing(crew.work(items, [asdict(settings), with_matte])) as results:
            yield from results
    except WorkerDiedError as error:
        picture = f"picture {error.item[0]!r}: the process that read it" if error.item else "a worker process"
        raise ResourceError(f"{picture} {error}; free some memory, or leave such a picture out with --exclude (in another folder)") from None
