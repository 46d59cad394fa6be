"""The studio's ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from mitlgan.errors import ArtifactError, MitlganError
from mitlgan.studio import guard
from mitlgan.studio.catalogue import Catalogue
from mitlgan.studio.context import StudioContext
from mitlgan.studio.direction_names import DirectionNames
from mitlgan.studio.errors import Cancelled, RequestRefused, validation_message
from mitlgan.studio.jobs import JobRegistry
from mitlgan.studio.routes import ROUTERS
from mitlgan.studio.settings import StudioSettings
from mitlgan.studio.trainer import Trainer
from mitlgan.studio.training_sets import offer_sets
from mitlgan.studio.worker import Worker

log = logging.getLogger(__name__)
CLIENT_CLOSED_REQUEST = 499
"""Status that servers log for a client that has disconnected; nobody reads it."""


def create_app(settings: StudioSettings) -> FastAPI:
    """Build the studio's ASGI application.

    Args:
        settings: What the studio offers, and its limits.

    Raises:
        ArtifactError: One of the given artifacts cannot be used.
        DataError: Pictures to train on do not exist.
    """
    worker = Worker(settings.max_waiting, settings.work_timeout_s)
    trainer = Trainer(settings.runs, offer_sets(settings.data, with_demo=settings.is_local or bool(settings.data)), settings.device)
    jobs = JobRegistry(worker, settings.orphan_timeout_s)
    context = StudioContext(settings, Catalogue(settings), worker, jobs, trainer, DirectionNames(settings.runs))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        context.worker.start()
        try:
            yield
        finally:
            context.close()

    app = FastAPI(title="mitlgan studio", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.context = context
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(guard.RequestGuard, settings=settings)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


async def _handle_refusal(_request: Request, error: Any) -> Response:
    return guard.refusal_response(error)


async def _handle_cancelled(_request: Request, _error: Any) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _handle_project_error(_request: Request, error: Any) -> Response:
    if isinstance(error, ArtifactError):  # its message begins with a path, which clients must not see
        log.warning("%s", error)
        return guard.refusal_response(RequestRefused(404, "artifact: can no longer be read; reload the page"))
    return guard.refusal_response(RequestRefused(422, str(error)))


async def _handle_validation_error(_request: Request, error: Any) -> Response:
    return guard.refusal_response(RequestRefused(422, validation_message(error.errors())))


async def _handle_http_error(_request: Request, error: Any) -> Response:
    # A body that cannot be parsed is answered like one with wrong values.
    status = 422 if error.status_code == 400 else error.status_code
    return JSONResponse({"error": str(error.detail).lower()}, status, error.headers)


async def _handle_bug(_request: Request, error: Any) -> Response:
    return JSONResponse({"error": f"bug: {type(error).__name__}; the terminal in which the studio runs says where"}, 500)


_HANDLERS: dict[int | type[Exception], Any] = {
    RequestRefused: _handle_refusal,
    Cancelled: _handle_cancelled,
    MitlganError: _handle_project_error,
    RequestValidationError: _handle_validation_error,
    ValidationError: _handle_validation_error,
    HTTPException: _handle_http_error,
    Exception: _handle_bug,
}
