"""The page and its files."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

from mitlgan.studio.errors import RequestRefused

FOLDER = Path(__file__).resolve().parent.parent / "static"
FILES = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.rglob("*")) if path.is_file()}
"""All that is served, by name: what a client asks for is looked up here, and is never a path."""
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
router = APIRouter()


@router.get("/")
async def index() -> FileResponse:
    """The page."""
    return _file("index.html")


@router.get("/static/{name:path}")
async def static(name: str) -> FileResponse:
    """One of its files."""
    return _file(name)


def _file(name: str) -> FileResponse:
    if name not in FILES:
        raise RequestRefused(404, "static: there is no such file")
    path = FILES[name]
    return FileResponse(path, media_type=TYPES.get(path.suffix), headers={"Cache-Control": "no-cache"})
