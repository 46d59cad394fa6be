"""What all requests share, and how a route comes by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request

from mitlgan.studio.catalogue import Catalogue, Loaded
from mitlgan.studio.jobs import Jobs
from mitlgan.studio.quiz import Quizzes
from mitlgan.studio.schemas import State
from mitlgan.studio.settings import Settings
from mitlgan.studio.worker import Ticket, Worker

T = TypeVar("T")
LONGEST_QUERY = 60_000


@dataclass(frozen=True)
class Desk:
    """What all requests share.

    Attributes:
        settings: What the studio was started with.
        catalogue: The artifacts.
        worker: Does the work.
        jobs: Long work that is watched.
        quizzes: Those that are being taken.
    """

    settings: Settings
    catalogue: Catalogue
    worker: Worker
    jobs: Jobs
    quizzes: Quizzes = field(default_factory=Quizzes)

    def close(self) -> None:
        """End all work, so that nobody waits for it any more."""
        self.jobs.close()
        self.worker.close()

    async def work(self, request: Request, artifact_id: str, work: Callable[[Loaded, Ticket], T], *, quick: bool = False) -> T:
        """What a piece of work with an artifact gives; see `Worker.run`.

        Raises:
            Refused: 404, there is no such artifact; else as `Worker.run`.
        """
        self.catalogue.entry(artifact_id)
        return await self.worker.run(request, lambda ticket: work(self.catalogue.loaded(artifact_id), ticket), quick=quick)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _state(s: Annotated[str, Query(max_length=LONGEST_QUERY)]) -> State:
    return State.model_validate_json(s)


OfDesk = Annotated[Desk, Depends(_desk)]
AskedState = Annotated[State, Depends(_state)]
"""A state in the query, as a link holds it."""
