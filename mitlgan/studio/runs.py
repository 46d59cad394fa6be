"""Training runs for the page: ids that are not paths, finite numbers, and no more rows than a curve needs."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mitlgan.errors import ResourceError
from mitlgan.runtime.files import ForeignFileError, is_regular, read_bytes
from mitlgan.runtime.json_files import read_log
from mitlgan.runtime.progress import finite
from mitlgan.studio.errors import RequestRefused
from mitlgan.training import run_directory
from mitlgan.training.run_directory import Run

log = logging.getLogger(__name__)
MAX_RUNS = 200
MAX_ROWS = 1000


class RunAnswer(BaseModel):
    """One run.

    Attributes:
        id: Id of the run in the studio.
        status: See `mitlgan.training.run_directory.Run.state`.
        kimg: Progress.
        of: Length in kimg.
        started: Seconds since 1970.
        snapshots: The kimg or iterations of each snapshot; see `snapshot_unit`.
        artifact: Id of what it has trained, if that is on offer.
        can_resume: Whether the studio can continue it.
    """

    id: str
    command: str
    name: str
    status: str
    kimg: float | None
    of: float | None
    started: float
    has_report: bool
    snapshot_unit: str
    snapshots: list[float]
    images_per_s: float | None
    eta_s: float | None
    diagnosis: str
    artifact: str | None = None
    can_resume: bool = False


@dataclass(frozen=True)
class RunBrowser:
    """Reads the runs of a folder.

    Args:
        root: The folder.
    """

    root: Path

    def stats(self, run_id: str, after: int) -> list[dict[str, Any]]:
        """Return statistics of iterations after `after`, thinned evenly if there are very many.

        Raises:
            RequestRefused: 404, there is no such run, or its statistics are not a file of its own.
        """
        run = self.find(run_id)
        try:
            rows = [_finite(row) for row in read_log(run.stats_file) if _iteration(row) > after]
        except ForeignFileError as error:
            log.warning("%s", error)  # it begins with a path, which clients must not see
            raise RequestRefused(404, "stats: their file is a link or a pipe; the terminal in which the studio runs says where") from None
        step = max(1, math.ceil(len(rows) / MAX_ROWS))
        return rows[::-step][::-1]  # from the end: the newest is always there

    def snapshot(self, run_id: str, number: float) -> bytes:
        """Return a snapshot by its kimg or iterations.

        Raises:
            RequestRefused: 404, there is no such run or snapshot.
        """
        run = self.find(run_id)
        with suppress(KeyError, OSError):
            return read_bytes(_snapshots(run)[number], root=run.path)
        raise RequestRefused(404, "snapshot: this run has no snapshot of this number; choose one from /api/runs")

    def report(self, run_id: str) -> bytes:
        """Return a run's report.

        Raises:
            RequestRefused: 404, there is no such run, or it has none.
        """
        run = self.find(run_id)
        with suppress(OSError):
            if run.report_file is not None:
                return read_bytes(run.report_file, root=run.path)
        raise RequestRefused(404, "report: this run has no report; write it with `mitlgan report RUN`")

    def by_id(self) -> dict[str, Run]:
        """Return runs by the hash of their path, the newest first."""
        newest = run_directory.list_all(self.root)[::-1][:MAX_RUNS]
        return {hashlib.sha256(run.path.relative_to(self.root).as_posix().encode("utf-8", "surrogateescape")).hexdigest()[:12]: run for run in newest}

    def find(self, run_id: str) -> Run:
        """Return the run of an id.

        Raises:
            RequestRefused: 404, there is none.
        """
        run = self.by_id().get(run_id)
        if run is None:
            raise RequestRefused(404, "run: none has this id; choose one from /api/runs")
        return run


def describe_run(run_id: str, run: Run) -> RunAnswer:
    """Return what the page shows of a run, without its links."""
    status = _finite(run.read_status())
    first_file = next((path for path in (run.recipe_file, run.path / "report.html") if is_regular(path, root=run.path)), run.path)
    return RunAnswer(
        id=run_id,
        command=run.path.parent.name,
        name=run.path.name.encode("utf-8", "replace").decode(),
        status=run.read_state(),
        kimg=finite(status.get("kimg")),
        of=finite(status.get("target_kimg")),
        started=first_file.stat().st_mtime,
        has_report=run.report_file is not None,
        snapshots=list(_snapshots(run)),
        snapshot_unit="updates" if any(path.name.startswith("i") for path in _snapshots(run).values()) else "kimg",
        images_per_s=finite(status.get("images_per_s")),
        eta_s=finite(status.get("eta_s")),
        diagnosis=str(status.get("diagnosis") or ""),
    )


def _snapshots(run: Run) -> dict[float, Path]:
    """Return snapshot files by the number in their names, in the order of the training."""
    with suppress(ResourceError):
        positions = ((run_directory.snapshot_position(path), path) for path in run.list_snapshots())
        return {position: path for position, path in positions if position is not None}
    return {}


def _iteration(row: Mapping[str, Any]) -> int:
    value = row.get("iteration")
    return value if isinstance(value, int) else -1


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with None for values that are not finite, as JSON requires."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
