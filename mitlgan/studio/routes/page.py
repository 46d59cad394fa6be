"""The page and its files."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

from mitlgan.studio.errors import RequestRefused

FOLDER = Path(__file__).resolve().parent.parent / "static"
FILES = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.rglob("*")) if path.is_file()}
"""All served files by name; a requested name is looked up here and never used as a path."""
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
router = APIRouter()


@router.get("/")
async def index() -> FileResponse:
    """Serve the page."""
    return _file("index.html")


@router.get("/static/{name:path}")
async def static(name: str) -> FileResponse:
    """Serve a file of the page."""
    return _file(name)


def _file(name: str) -> FileResponse:
    if name not in FILES:
        raise RequestRefused(404, "static: there is no such file")
    path = FILES[name]
    return FileResponse(path, media_type=TYPES.get(path.suffix), headers={"Cache-Control": "no-cache"})
