"""The REST API's documentation: three endpoints for other programs, as OpenAPI and as a page of the studio's own."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.responses import FileResponse

from mitlgan.studio.context import ContextDep, StudioContext
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.routes import generate
from mitlgan.studio.routes.page import serve_file
from mitlgan.version import __version__

ENDPOINTS = ("/api/artifacts", "/api/picture", "/api/grid")
"""Endpoints that keep their form: all others serve the page, and change with it."""
DESCRIPTION = """Pictures of the artifacts that this studio offers. `GET api/artifacts` lists them. A state says everything that determines a picture:
`artifact` is an id; `latents` has a seed, numbers or a mixture by layer; further fields move the object and weaken effects. Layers that a request
leaves out have seed 0, a `place` left out follows the seeds of the object; an answer's state names all. `POST api/picture` renders one state, with
its layers if wanted; `POST api/grid` renders up to 64 that differ in seeds. Pictures are data URIs of PNG files. A refusal is `{"error": "one line"}`
with its status; 503 says by Retry-After when to ask again. A studio with a token takes it as `Authorization: Bearer TOKEN`."""
router = APIRouter()


@router.get("/docs")
def docs(context: ContextDep) -> FileResponse:
    """Serve the page of the API."""
    _require_docs(context)
    return serve_file("docs.html")


@router.get("/api/openapi.json")
def openapi(context: ContextDep) -> dict[str, Any]:
    """Return the API as OpenAPI."""
    _require_docs(context)
    routes = [route for route in generate.router.routes if isinstance(route, APIRoute) and route.path in ENDPOINTS]
    return get_openapi(title="mitlgan studio", version=__version__, description=DESCRIPTION, routes=routes, servers=[{"url": "../"}])


def _require_docs(context: StudioContext) -> None:
    if not context.settings.has_docs:
        raise RequestRefused(404, "docs: are off beyond this machine; start the studio with `--docs`")
