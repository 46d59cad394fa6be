"""Connections that nobody holds for nothing: a time in which the head of a request must have come, and a number for each client."""

from __future__ import annotations

import asyncio
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

from mitlgan.studio.clients import client_key

MAX_CONNECTIONS = 512
MAX_CONNECTIONS_PER_CLIENT = 128
REQUEST_TIMEOUT_S = 20.0
"""In which the head of a request must have come, since the connection was made or the answer before was given."""
WRITE_TIMEOUT_S = 30.0
"""In which a client must have taken something of what is sent to it."""
CLOSE_TIMEOUT_S = 5.0


class GuardedConnection(H11Protocol):
    """A connection that ends when no request comes upon it in time, or what is sent is not taken.

    Where a client has too many, or all have, the one that has waited longest for a request gives way to the new one: who asks at once is always heard.
    """

    _timer: asyncio.TimerHandle | None = None
    _waiting_since: float | None = None
    _stalled: asyncio.TimerHandle | None = None
    _of = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, in place of another where there are too many."""
        super().connection_made(transport)
        self._of = client_key(self.client)
        others = [other for other in self.connections if isinstance(other, GuardedConnection) and other is not self]
        own = [other for other in others if other._of == self._of]
        if len(own) >= MAX_CONNECTIONS_PER_CLIENT:
            _longest_waiting(own, self).end()
        elif len(others) >= MAX_CONNECTIONS - MAX_CONNECTIONS_PER_CLIENT:
            _longest_waiting(others, self).end()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for another request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent."""
        super().pause_writing()
        self._stalled = self._stalled or self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._stalled = _cancelled(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks."""
        self._rest()
        super().connection_lost(exc)
        self._stalled = _cancelled(self._stalled)

    def end(self) -> None:
        """Close it, in good order if the client lets it."""
        self._rest()
        self.transport.close()
        self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def _watch(self) -> None:
        serving = self.cycle is not None and not self.cycle.response_complete
        if serving or self.transport.is_closing():
            self._rest()
        elif self._timer is None:
            self._waiting_since = time.monotonic()
            self._timer = self.loop.call_later(REQUEST_TIMEOUT_S, self.end)

    def _rest(self) -> None:
        self._timer = _cancelled(self._timer)
        self._waiting_since = None


def _longest_waiting(connections: list[GuardedConnection], new: GuardedConnection) -> GuardedConnection:
    """Of those without a request, that which has waited longest; if all are served, the new one."""
    waiting = [(connection._waiting_since, index) for index, connection in enumerate(connections) if connection._waiting_since is not None]
    return connections[min(waiting)[1]] if waiting else new


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer is not None:
        timer.cancel()
    return None
