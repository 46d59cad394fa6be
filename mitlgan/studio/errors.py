"""What a request can meet, beside the product's own errors: the status and one line."""

from __future__ import annotations


class RequestRefused(Exception):  # noqa: N818  (an answer, not a fault of the server)
    """A request that is answered with a status and one line.

    Args:
        status: Of HTTP.
        line: What is wrong, and what would do.
        retry_s: Where trying again later may help, after how long.
    """

    def __init__(self, status: int, message: str, retry_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_s = retry_s


class Cancelled(Exception):  # noqa: N818
    """Nobody waits for the work any more; it ends at its next check."""


def refuse_busy(what: str) -> RequestRefused:
    """The answer to one more than can be taken."""
    return RequestRefused(503, f"{what}; try again in a second", retry_s=1)
