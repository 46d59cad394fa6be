"""What all requests share, and how a route comes by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request

from mitlgan.studio.catalogue import ActiveArtifact, Catalogue
from mitlgan.studio.jobs import JobRegistry
from mitlgan.studio.quiz import QuizStore
from mitlgan.studio.schemas import State
from mitlgan.studio.settings import StudioSettings
from mitlgan.studio.worker import CancelToken, Worker

T = TypeVar("T")
MAX_QUERY_CHARS = 60_000


@dataclass(frozen=True)
class StudioContext:
    """What all requests share.

    Attributes:
        settings: What the studio was started with.
        catalogue: The artifacts.
        worker: Does the work.
        jobs: Long work that is watched.
        quizzes: Those that are being taken.
    """

    settings: StudioSettings
    catalogue: Catalogue
    worker: Worker
    jobs: JobRegistry
    quizzes: QuizStore = field(default_factory=QuizStore)

    def close(self) -> None:
        """End all work, so that nobody waits for it any more."""
        self.jobs.close()
        self.worker.close()

    async def run_with_artifact(
        self, request: Request, artifact_id: str, work: Callable[[ActiveArtifact, CancelToken], T], *, quick: bool = False
    ) -> T:
        """What a piece of work with an artifact gives; see `Worker.run`.

        Raises:
            Refused: 404, there is no such artifact; else as `Worker.run`.
        """
        self.catalogue.entry(artifact_id)
        return await self.worker.run(request, lambda ticket: work(self.catalogue.load(artifact_id), ticket), quick=quick)


def _get_context(request: Request) -> StudioContext:
    context: StudioContext = request.app.state.context
    return context


def _parse_state(s: Annotated[str, Query(max_length=MAX_QUERY_CHARS)]) -> State:
    return State.model_validate_json(s)


ContextDep = Annotated[StudioContext, Depends(_get_context)]
StateQuery = Annotated[State, Depends(_parse_state)]
"""A state in the query, as a link holds it."""
