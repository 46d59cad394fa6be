"""Errors of requests, in addition to the project's own: an HTTP status and one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RequestRefused(Exception):  # noqa: N818  (an answer, not a fault of the server)
    """A request is answered with a status and one line.

    Args:
        status: HTTP status.
        message: What is wrong, and what to do.
        retry_s: Seconds after which trying again may help.
    """

    def __init__(self, status: int, message: str, retry_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_s = retry_s


class Cancelled(Exception):  # noqa: N818
    """Nobody waits for the work any more; it ends at its next check."""


def refuse_large_picture(limit: int) -> RequestRefused:
    """Return a 413 for the file of a picture with more bytes than `limit`."""
    return RequestRefused(413, f"picture: has more than {limit / 1_000_000:g} MB; save it as a smaller JPEG")


def refuse_busy(what: str) -> RequestRefused:
    """Return the refusal of a request that exceeds a limit."""
    return RequestRefused(503, f"{what}; try again in a second", retry_s=1)


def validation_message(errors: Sequence[Any], source: str = "body") -> str:
    """Return the first of pydantic's errors in one line, without the input, which may be anything.

    Args:
        errors: At least one, as `ValidationError.errors` returns them.
        source: What is wrong if the error names no part of it.
    """
    first = errors[0]
    location = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    if first["type"] == "json_invalid":  # FastAPI's has the character; pydantic's has no location at all
        return f"{source}: is not JSON" + (f", from character {location} on" if location else "")
    return f"{location or source}: {first['msg']}".replace("\n", " ")[:500]
