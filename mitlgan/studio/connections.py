"""Connection limits: a time within which a request must arrive, and a maximum number per client."""

from __future__ import annotations

import asyncio
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

from mitlgan.studio.clients import client_key

MAX_CONNECTIONS = 512
MAX_CONNECTIONS_PER_CLIENT = 128
REQUEST_TIMEOUT_S = 20.0
"""Time for the head of a request to arrive, from the connection or from the previous response."""
WRITE_TIMEOUT_S = 30.0
"""Time within which a client must read some of what is sent to it."""
CLOSE_TIMEOUT_S = 5.0


class GuardedConnection(H11Protocol):
    """A connection that ends if no request arrives in time, or if the client does not read.

    If a client has too many connections, or all clients together do, the one that has been idle longest is closed for the new one, so that a client
    that sends its request at once is always served.
    """

    _request_timer: asyncio.TimerHandle | None = None
    _idle_since: float | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _client = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, and close an idle one if there are too many."""
        super().connection_made(transport)
        self._client = client_key(self.client)
        others = [other for other in self.connections if isinstance(other, GuardedConnection) and other is not self]
        own = [other for other in others if other._client == self._client]
        if len(own) >= MAX_CONNECTIONS_PER_CLIENT:
            _longest_idle(own, self).end()
        elif len(others) >= MAX_CONNECTIONS - MAX_CONNECTIONS_PER_CLIENT:
            _longest_idle(others, self).end()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Pass on received data."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Start the timer for a client that does not read."""
        super().pause_writing()
        self._write_timer = self._write_timer or self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop that timer."""
        super().resume_writing()
        self._write_timer = _cancelled(self._write_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._stop_request_timer()
        super().connection_lost(exc)
        self._write_timer = _cancelled(self._write_timer)

    def end(self) -> None:
        """Close the connection, abruptly if the client does not cooperate."""
        self._stop_request_timer()
        self.transport.close()
        self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def _watch(self) -> None:
        serving = self.cycle is not None and not self.cycle.response_complete
        if serving or self.transport.is_closing():
            self._stop_request_timer()
        elif self._request_timer is None:
            self._idle_since = time.monotonic()
            self._request_timer = self.loop.call_later(REQUEST_TIMEOUT_S, self.end)

    def _stop_request_timer(self) -> None:
        self._request_timer = _cancelled(self._request_timer)
        self._idle_since = None


def _longest_idle(connections: list[GuardedConnection], new: GuardedConnection) -> GuardedConnection:
    """Return the connection that has been idle longest; the new one if none is idle."""
    waiting = [(connection._idle_since, index) for index, connection in enumerate(connections) if connection._idle_since is not None]
    return connections[min(waiting)[1]] if waiting else new


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer is not None:
        timer.cancel()
    return None
