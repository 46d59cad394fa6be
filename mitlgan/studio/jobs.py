"""Long work that a page watches: embedding and inpainting, with events, and an end when nobody watches any more."""

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
MIN_EVENT_INTERVAL_S = 0.1
POLL_INTERVAL_S = 0.05
CANCELLED = {"message": "cancelled"}
EventKind = Literal["progress", "done", "failed", "cancelled"]


class JobEvent(NamedTuple):
    """What is told of a job.

    Attributes:
        kind: All but `progress` are the last.
        data: As JSON.
    """

    kind: EventKind
    data: dict[str, Any]


class StudioJob:
    """One piece of long work.

    Only its newest event is kept, so it takes no more memory the longer it runs: who comes late, or reads slowly, sees where it is now.

    Args:
        orphan_s: Time without a listener after which it is cancelled.
    """

    def __init__(self, orphan_s: float) -> None:
        self.id = secrets.token_urlsafe(12)
        self.withdraw: Callable[[], bool] = lambda: False
        self._orphan_s = orphan_s
        self._event: JobEvent | None = None
        self._count = 0
        self._listeners = 0
        self._left = time.monotonic()
        self._told = 0.0
        self._cancelled = threading.Event()

    @property
    def is_finished(self) -> bool:
        """Whether its last event has been told."""
        return self._event is not None and self._event.kind != "progress"

    def cancel(self) -> None:
        """End it at its next step, or before its first one."""
        self._cancelled.set()
        if self.withdraw():
            self.emit("cancelled", CANCELLED)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""
        listened = self._listeners > 0 or time.monotonic() - self._left < self._orphan_s
        return listened and not self._cancelled.is_set()

    @property
    def is_event_due(self) -> bool:
        """Whether it is time to tell of progress again."""
        return time.monotonic() - self._told >= MIN_EVENT_INTERVAL_S

    def emit(self, kind: EventKind, data: dict[str, Any]) -> None:
        """Tell what there is to tell."""
        self._told = time.monotonic()
        self._event = JobEvent(kind, data)
        self._count += 1

    async def events(self) -> AsyncIterator[JobEvent]:
        """What is told from now on, beginning with the newest, up to the last."""
        self._listeners += 1
        seen = 0
        try:
            while True:
                if self._count != seen and self._event is not None:
                    seen, event = self._count, self._event
                    yield event
                    if event.kind != "progress":
                        return
                await asyncio.sleep(POLL_INTERVAL_S)
        finally:
            self._listeners -= 1
            self._left = time.monotonic()


class JobRegistry:
    """The jobs of a studio; of those that have ended, the oldest are forgotten.

    Args:
        worker: Does them, one after another.
        orphan_s: See `Job`.
    """

    def __init__(self, worker: Worker, orphan_s: float) -> None:
        self._worker, self._orphan_s = worker, orphan_s
        self._jobs: OrderedDict[str, StudioJob] = OrderedDict()

    def start(self, work: Callable[[StudioJob], dict[str, Any]]) -> StudioJob:
        """Let a job be done when its turn comes.

        Args:
            work: Called in the worker's thread; what it gives is told as done.

        Raises:
            Refused: 503, too many wait.
        """
        for job_id in [job_id for job_id, job in self._jobs.items() if job.is_finished][: max(0, len(self._jobs) - MAX_JOBS + 1)]:
            del self._jobs[job_id]
        if len(self._jobs) >= MAX_JOBS:
            raise refuse_busy("too many jobs are waiting")
        job = StudioJob(self._orphan_s)
        job.withdraw = self._worker.submit(lambda: _run_job(job, work))
        self._jobs[job.id] = job
        return job

    def close(self) -> None:
        """Cancel all of them."""
        for job in self._jobs.values():
            job.cancel()

    def get(self, job_id: str) -> StudioJob:
        """The job of an id.

        Raises:
            Refused: 404, there is none.
        """
        if job_id not in self._jobs:
            raise RequestRefused(404, "job: there is none of this id, or it ended too long ago")
        return self._jobs[job_id]


def _run_job(job: StudioJob, work: Callable[[StudioJob], dict[str, Any]]) -> None:
    """Do a job, and tell how it ended, whatever happens."""
    try:
        if not job.is_wanted:
            raise Cancelled
        job.emit("done", work(job))
    except Cancelled:
        job.emit("cancelled", CANCELLED)
    except RequestRefused as refused:
        job.emit("failed", {"message": refused.message})
    except ArtifactError as error:  # its message begins with a path, which is nothing for a client
        log.warning("%s", error)
        job.emit("failed", {"message": "artifact: it is not there, or cannot be read; choose another way"})
    except MitlganError as error:
        job.emit("failed", {"message": str(error)})
    except Exception as error:
        log.exception("job")
        job.emit("failed", {"message": f"bug: {type(error).__name__}; the terminal in which the studio runs says where"})
