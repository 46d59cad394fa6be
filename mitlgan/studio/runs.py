"""Runs in progress and past, for the page: by ids that are no paths, numbers that are finite, and no more of them than a curve shows."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mitlgan.errors import ResourceError
from mitlgan.runtime.files import ForeignFileError, is_regular, read_bytes
from mitlgan.runtime.json_files import read_jsonl
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
        id: Of no meaning but here.
        status: See `mitlgan.training.run_directory.Run.state`.
        kimg: How far it is.
        of: How far it goes.
        started: Seconds since 1970.
        snapshots: The kimg, or the iterations, of each that there is.
    """

    id: str
    command: str
    name: str
    status: str
    kimg: float | None
    of: float | None
    started: float
    has_report: bool
    snapshots: list[int]
    images_per_s: float | None
    eta_s: float | None
    diagnosis: str


@dataclass(frozen=True)
class RunBrowser:
    """A folder of runs.

    Args:
        root: Its place.
    """

    root: Path

    def list_runs(self) -> list[RunAnswer]:
        """All runs, the most recently written first."""
        return [_answer(run_id, run) for run_id, run in self._by_id().items()]

    def stats(self, run_id: str, after: int) -> list[dict[str, Any]]:
        """Rows of statistics of later iterations than one, thinned evenly where there are very many.

        Raises:
            RequestRefused: 404, there is no such run, or its statistics are not its own file.
        """
        run = self._run(run_id)
        try:
            rows = [_finite(row) for row in read_jsonl(run.stats_file) if _iteration(row) > after]
        except ForeignFileError as error:
            log.warning("%s", error)  # which begins with a path, and is nothing for a client
            raise RequestRefused(404, "stats: a link or a pipe stands in their place; the terminal in which the studio runs says where") from None
        step = max(1, math.ceil(len(rows) / MAX_ROWS))
        return rows[::-step][::-1]  # from the end: the newest is always there

    def snapshot(self, run_id: str, number: int) -> bytes:
        """A snapshot by its kimg or iterations.

        Raises:
            RequestRefused: 404, there is no such run or snapshot.
        """
        run = self._run(run_id)
        with suppress(KeyError, OSError):
            return read_bytes(_snapshots(run)[number], root=run.path)
        raise RequestRefused(404, "snapshot: this run has none of this number; choose one of /api/runs")

    def report(self, run_id: str) -> bytes:
        """A run's report.

        Raises:
            RequestRefused: 404, there is no such run, or it has none.
        """
        run = self._run(run_id)
        with suppress(OSError):
            if run.report_file is not None:
                return read_bytes(run.report_file, root=run.path)
        raise RequestRefused(404, "report: this run has none; make it with `mitlgan report RUN`")

    def _by_id(self) -> dict[str, Run]:
        """Runs by the hash of where they lie, the newest first."""
        newest = run_directory.list_all(self.root)[::-1][:MAX_RUNS]
        return {hashlib.sha256(run.path.relative_to(self.root).as_posix().encode("utf-8", "surrogateescape")).hexdigest()[:12]: run for run in newest}

    def _run(self, run_id: str) -> Run:
        found = self._by_id().get(run_id)
        if found is None:
            raise RequestRefused(404, "run: there is none of this id; choose one of /api/runs")
        return found


def _answer(run_id: str, run: Run) -> RunAnswer:
    status = _finite(run.read_status())
    begun = next((path for path in (run.recipe_file, run.path / "report.html") if is_regular(path, root=run.path)), run.path)
    return RunAnswer(
        id=run_id,
        command=run.path.parent.name,
        name=run.path.name.encode("utf-8", "replace").decode(),
        status=run.read_state(),
        kimg=finite(status.get("kimg")),
        of=finite(status.get("target_kimg")),
        started=begun.stat().st_mtime,
        has_report=run.report_file is not None,
        snapshots=list(_snapshots(run)),
        images_per_s=finite(status.get("images_per_s")),
        eta_s=finite(status.get("eta_s")),
        diagnosis=str(status.get("diagnosis") or ""),
    )


def _snapshots(run: Run) -> dict[int, Path]:
    """Files by the number in their names, in its order."""
    with suppress(ResourceError):
        named = ((re.fullmatch(r"i?([0-9]{1,12})\.png", path.name), path) for path in run.list_snapshots())
        return dict(sorted((int(found.group(1)), path) for found, path in named if found))
    return {}


def _iteration(row: Mapping[str, Any]) -> int:
    value = row.get("iteration")
    return value if isinstance(value, int) else -1


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with null for what is not finite, as JSON wants it."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
