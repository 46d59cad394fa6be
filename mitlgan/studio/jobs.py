"""Jobs: long work (embedding, inpainting) that a page watches by events, and that ends when nobody watches."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, NamedTuple

from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.studio.errors import Cancelled, RequestRefused, refuse_busy
from mitlgan.studio.worker import Worker

log = logging.getLogger(__name__)
MAX_JOBS = 32
MAX_FILES = 4
"""Results of finished jobs that are kept for download; they are large."""
MIN_EVENT_INTERVAL_S = 0.1
POLL_INTERVAL_S = 0.05
CANCELLED = {"message": "cancelled"}
EventKind = Literal["progress", "done", "failed", "cancelled"]


class JobEvent(NamedTuple):
    """An event of a job.

    Attributes:
        kind: All kinds but `progress` are final.
        data: JSON values.
    """

    kind: EventKind
    data: dict[str, Any]


class StudioJob:
    """One piece of long work.

    Only its newest event is stored, so memory does not grow; a late or slow listener sees the current state. Its `file` is its result, if that is too
    large for an event: the PNG of a filled picture.

    Args:
        orphan_s: Time without a listener after which it is cancelled.
    """

    def __init__(self, orphan_s: float) -> None:
        self.id = secrets.token_urlsafe(12)
        self.withdraw: Callable[[], bool] = lambda: False
        self.file: bytes | None = None
        self._orphan_s = orphan_s
        self._event: JobEvent | None = None
        self._count = 0
        self._listeners = 0
        self._last_listener_s = time.monotonic()
        self._last_event_s = 0.0
        self._cancelled = threading.Event()

    @property
    def is_finished(self) -> bool:
        """Whether its final event has been emitted."""
        return self._event is not None and self._event.kind != "progress"

    def cancel(self) -> None:
        """End the job at its next step, or before its first one."""
        self._cancelled.set()
        if self.withdraw():
            self.emit("cancelled", CANCELLED)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for the job."""
        has_listener = self._listeners > 0 or time.monotonic() - self._last_listener_s < self._orphan_s
        return has_listener and not self._cancelled.is_set()

    @property
    def is_event_due(self) -> bool:
        """Whether it is time for another progress event."""
        return time.monotonic() - self._last_event_s >= MIN_EVENT_INTERVAL_S

    def emit(self, kind: EventKind, data: dict[str, Any]) -> None:
        """Emit an event."""
        self._last_event_s = time.monotonic()
        self._event = JobEvent(kind, data)
        self._count += 1

    async def events(self) -> AsyncIterator[JobEvent]:
        """Yield events from now on, starting with the newest, up to the final one."""
        self._listeners += 1
        last_count = 0
        try:
            while True:
                if self._count != last_count and self._event is not None:
                    last_count, event = self._count, self._event
                    yield event
                    if event.kind != "progress":
                        return
                await asyncio.sleep(POLL_INTERVAL_S)
        finally:
            self._listeners -= 1
            self._last_listener_s = time.monotonic()


class JobRegistry:
    """The jobs of a studio; the oldest finished ones are removed.

    Args:
        worker: Runs them one after another.
        orphan_s: See `StudioJob`.
    """

    def __init__(self, worker: Worker, orphan_s: float) -> None:
        self._worker, self._orphan_s = worker, orphan_s
        self._jobs: OrderedDict[str, StudioJob] = OrderedDict()

    def start(self, work: Callable[[StudioJob], dict[str, Any]]) -> StudioJob:
        """Queue a job.

        Args:
            work: Called in the worker's thread; its result is the data of the event `done`.

        Raises:
            RequestRefused: 503, too many jobs are waiting.
        """
        for job_id in [job_id for job_id, job in self._jobs.items() if job.is_finished][: max(0, len(self._jobs) - MAX_JOBS + 1)]:
            del self._jobs[job_id]
        if len(self._jobs) >= MAX_JOBS:
            raise refuse_busy("too many jobs are waiting")
        job = StudioJob(self._orphan_s)
        job.withdraw = self._worker.submit(lambda: _run_job(job, work))
        self._jobs[job.id] = job
        with_file = [each for each in self._jobs.values() if each.file is not None]
        for each in with_file[: max(0, len(with_file) - MAX_FILES)]:
            each.file = None
        return job

    def close(self) -> None:
        """Cancel all jobs."""
        for job in self._jobs.values():
            job.cancel()

    def get(self, job_id: str) -> StudioJob:
        """Return the job of an id.

        Raises:
            RequestRefused: 404, there is none.
        """
        if job_id not in self._jobs:
            raise RequestRefused(404, "job: no job has this id, or it ended too long ago")
        return self._jobs[job_id]


def _run_job(job: StudioJob, work: Callable[[StudioJob], dict[str, Any]]) -> None:
    """Run a job and emit how it ended, whatever happens."""
    try:
        if not job.is_wanted:
            raise Cancelled
        job.emit("done", work(job))
    except Cancelled:
        job.emit("cancelled", CANCELLED)
    except RequestRefused as refused:
        job.emit("failed", {"message": refused.message})
    except ArtifactError as error:  # its message begins with a path, which clients must not see
        log.warning("%s", error)
        job.emit("failed", {"message": "artifact: is missing or cannot be read; choose another one"})
    except MitlganError as error:
        job.emit("failed", {"message": str(error)})
    except Exception as error:
        log.exception("job")
        job.emit("failed", {"message": f"bug: {type(error).__name__}; the terminal in which the studio runs says where"})
