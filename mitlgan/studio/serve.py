"""The studio's server: its socket, and uvicorn on it."""

from __future__ import annotations

import asyncio
import errno
import socket
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import uvicorn

from mitlgan.errors import ResourceError, UsageError
from mitlgan.studio.app import create_app
from mitlgan.studio.connections import MAX_CONNECTIONS, REQUEST_TIMEOUT_S, GuardedConnection
from mitlgan.studio.settings import StudioSettings

SHUTDOWN_TIMEOUT_S = 3


class _StudioServer(uvicorn.Server):
    """Reports when it is ready, and ends the work before it shuts down, because browsers wait for that."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None], closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening, self._closing = listening, closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await asyncio.to_thread(self._listening)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._closing)
        await super().shutdown(sockets)


def serve(settings: StudioSettings, port: int, *, on_ready: Callable[[str], None], open_browser: bool = False) -> None:
    """Serve until interrupted.

    Args:
        settings: Settings of the studio.
        port: Port; 0 takes a free one.
        on_ready: Called with a line: the address, token included, once connections are accepted, and the reason if closing takes long.
        open_browser: Also open the address in a browser.

    Raises:
        ResourceError: The port is in use or not permitted.
        UsageError: This machine has no such address.
    """
    app = create_app(settings)
    with _open_socket(settings.host, port) as listening:
        address = _url(settings, listening.getsockname()[1])

        def ready() -> None:
            on_ready(f"studio: {address} (Ctrl-C ends it)")
            if open_browser:
                webbrowser.open(address)

        def close() -> None:
            if app.state.context.trainer.is_training:
                on_ready("studio: the training saves, then the studio ends")
            app.state.context.close()

        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            http=GuardedConnection,
            ws="none",
            timeout_keep_alive=int(REQUEST_TIMEOUT_S),
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            limit_concurrency=MAX_CONNECTIONS,
            proxy_headers=False,
        )
        with suppress(KeyboardInterrupt):  # uvicorn raises it again after a clean shutdown
            _StudioServer(config, ready, close).run(sockets=[listening])


def _open_socket(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError:
        raise UsageError(f"--host {host}: there is no such address; choose 127.0.0.1, or 0.0.0.0 with --token") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(f"--host {host}: is not an address of this machine; choose 127.0.0.1, or 0.0.0.0 with --token") from None
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise ResourceError(f"--port {port}: {why}; {_free_port(host)} is free, or choose another") from None
    return listener


def _free_port(host: str) -> int:
    with _open_socket(host, 0) as listener:
        return int(listener.getsockname()[1])


def _url(settings: StudioSettings, port: int) -> str:
    wildcard = settings.host in ("0.0.0.0", "::", "")
    host = "127.0.0.1" if wildcard else f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{port}/" + (f"?token={quote(settings.token)}" if settings.token is not None else "")
