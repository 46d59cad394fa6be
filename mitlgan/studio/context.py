"""What all requests share, and how routes get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from pydantic import ValidationError

from mitlgan.studio.catalogue import ActiveArtifact, Catalogue
from mitlgan.studio.direction_names import DirectionNames
from mitlgan.studio.errors import RequestRefused, validation_message
from mitlgan.studio.jobs import JobRegistry
from mitlgan.studio.quiz import QuizStore
from mitlgan.studio.schemas import State
from mitlgan.studio.settings import StudioSettings
from mitlgan.studio.trainer import Trainer
from mitlgan.studio.worker import CancelToken, Worker

T = TypeVar("T")
MAX_QUERY_CHARS = 60_000


@dataclass(frozen=True)
class StudioContext:
    """State that all requests share.

    Attributes:
        settings: Settings of the studio.
        catalogue: The artifacts on offer.
        worker: Runs all work with models.
        jobs: Long work that a page watches.
        trainer: Starts and stops trainings.
        direction_names: Names that people have given to directions.
        quizzes: Quizzes in progress.
    """

    settings: StudioSettings
    catalogue: Catalogue
    worker: Worker
    jobs: JobRegistry
    trainer: Trainer
    direction_names: DirectionNames
    quizzes: QuizStore = field(default_factory=QuizStore)

    def close(self) -> None:
        """End all work."""
        self.trainer.stop_if_active()
        self.jobs.close()
        self.worker.close()
        self.trainer.close()

    async def run_with_artifact(
        self, request: Request, artifact_id: str, work: Callable[[ActiveArtifact, CancelToken], T], *, quick: bool = False
    ) -> T:
        """Run a function with an artifact in the worker and return its result; see `Worker.run`.

        Raises:
            RequestRefused: 404, there is no such artifact; or see `Worker.run`.
        """
        self.catalogue.entry(artifact_id)
        return await self.worker.run(request, lambda token: work(self.catalogue.load(artifact_id), token), quick=quick)


def _get_context(request: Request) -> StudioContext:
    context: StudioContext = request.app.state.context
    return context


def _parse_state(s: Annotated[str, Query(max_length=MAX_QUERY_CHARS)]) -> State:
    try:
        return State.model_validate_json(s)
    except ValidationError as error:
        reason = validation_message(error.errors(include_url=False, include_input=False), "its text")
        raise RequestRefused(422, f"s: is not the state of a picture; {reason}") from None


ContextDep = Annotated[StudioContext, Depends(_get_context)]
StateQuery = Annotated[State, Depends(_parse_state)]
"""A state in the query string, as links hold it."""
