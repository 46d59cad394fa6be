"""The page and its files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

from mitlgan.studio.context import ContextDep
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import StudioAnswer
from mitlgan.version import __version__

FOLDER = Path(__file__).resolve().parent.parent / "static"
FILES = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.rglob("*")) if path.is_file()}
"""All served files by name; a requested name is looked up here and never used as a path."""
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
router = APIRouter()


@router.get("/")
async def index() -> FileResponse:
    """Serve the page."""
    return serve_file("index.html")


@router.get("/static/{name:path}")
async def static(name: str) -> FileResponse:
    """Serve a file of the page."""
    return serve_file(name)


@router.get("/api/studio")
def studio(context: ContextDep) -> StudioAnswer:
    """Return what this studio can do."""
    settings = context.settings
    return StudioAnswer(version=__version__, video=find_spec("av") is not None, docs=settings.has_docs, max_picture_bytes=settings.max_upload_bytes)


def serve_file(name: str) -> FileResponse:
    """Return a file of the page.

    Raises:
        RequestRefused: 404, there is none of that name.
    """
    if name not in FILES:
        raise RequestRefused(404, "static: there is no such file")
    path = FILES[name]
    return FileResponse(path, media_type=TYPES.get(path.suffix), headers={"Cache-Control": "no-cache"})
