"""Connections without a request, or with a client that does not read, lock nobody out."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2 as httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.responses import Response

from mitlgan.studio import connections
from mitlgan.studio.connections import GuardedConnection

HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "


@contextmanager
def serving(most: int = 512) -> Iterator[tuple[str, int]]:
    """A small app behind such connections."""
    app = FastAPI()

    @app.get("/")
    def short() -> Response:
        return Response("here")

    @app.get("/large")
    def large() -> Response:
        return Response(bytes(50_000_000))

    with socket.create_server(("0.0.0.0", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", http=GuardedConnection, ws="none", limit_concurrency=most, timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield "127.0.0.1", listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


def asked(place: tuple[str, int]) -> int:
    return httpx.get(f"http://{place[0]}:{place[1]}/", timeout=10).status_code


def closed(connection: socket.socket, within_s: float) -> bool:
    """Whether the other side has closed it."""
    connection.settimeout(within_s)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short times."""
    for name, value in (("REQUEST_TIMEOUT_S", 1.2), ("WRITE_TIMEOUT_S", 0.8), ("CLOSE_TIMEOUT_S", 0.3)):
        monkeypatch.setattr(connections, name, value)


@pytest.mark.parametrize("sent", [b"", b"G", HEAD, HEAD + b"x" * 1000], ids=["nothing", "a letter", "half a head", "much of a head"])
def test_a_head_that_never_ends_is_not_waited_for(patient: None, sent: bytes) -> None:
    with serving() as place, socket.create_connection(place) as slow:
        slow.sendall(sent)
        assert not closed(slow, 0.3)
        assert closed(slow, 15)


def test_neither_is_one_that_comes_letter_by_letter(patient: None) -> None:
    with serving() as place, socket.create_connection(place) as slow:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for letter in HEAD * 20:
                slow.sendall(bytes([letter]))
                time.sleep(0.05)
        assert 0.5 < time.monotonic() - began < 15
        assert closed(slow, 1)


@pytest.mark.parametrize("after", [b"", HEAD], ids=["nothing", "half a head"])
def test_nor_is_a_second_request_on_the_same_connection(patient: None, after: bytes) -> None:
    with serving() as place, socket.create_connection(place) as slow:
        for _ in range(3):  # each within its time
            slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            slow.settimeout(5)
            answer = b""
            while not answer.endswith(b"here"):
                answer += slow.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.2)
        slow.sendall(after)
        assert closed(slow, 15)


def test_a_client_that_takes_nothing_is_let_go(patient: None) -> None:
    with serving() as place, socket.create_connection(place) as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(2)
        slow.settimeout(5)
        got = 0
        with contextlib.suppress(OSError):
            while part := slow.recv(1 << 20):
                got += len(part)
        assert got < 50_000_000
        assert asked(place) == 200


def test_too_many_of_one_client_give_way_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has waited longest goes; nobody else's."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS_PER_CLIENT", 10)
    with serving() as place, contextlib.ExitStack() as stack:
        other = stack.enter_context(socket.create_connection(place, source_address=("127.0.0.2", 0)))
        other.sendall(HEAD)
        time.sleep(0.05)
        slow = []
        for _ in range(30):
            slow.append(stack.enter_context(socket.create_connection(place)))
            slow[-1].sendall(HEAD)
            time.sleep(0.01)
        assert asked(place) == 200
        assert [closed(connection, 0.5) for connection in slow[:20]] == [True] * 20
        assert not any(closed(connection, 0.05) for connection in slow[-8:])
        assert not closed(other, 0.1)
        other.sendall(b"x\r\n\r\n")
        other.settimeout(5)
        assert other.recv(12) == b"HTTP/1.1 200"


def test_too_many_of_all_clients_give_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 24)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS_PER_CLIENT", 8)
    with serving(24) as place, contextlib.ExitStack() as stack:
        for number in range(60):
            source = (f"127.0.0.{number % 10 + 10}", 0)
            stack.enter_context(socket.create_connection(place, source_address=source)).sendall(HEAD)
            time.sleep(0.01)
        assert asked(place) == 200
