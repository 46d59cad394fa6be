"""Ports, bodies, hosts and origins, slow and vanished clients, absurd numbers."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from helpers.images import bombs
from helpers.studio_requests import asked
from PIL import Image

import mitlgan
from mitlgan.errors import ResourceError, UsageError
from mitlgan.studio import StudioSettings, create_app, render, serve, uploads
from mitlgan.studio.clients import client_key
from mitlgan.studio.guard import COOKIE, HEADERS, LINGER_BYTES
from mitlgan.studio.routes import ROUTERS
from mitlgan.studio.settings import MAX_HOLE_CHARS

ADDRESS = "http://127.0.0.1:8765"


@dataclasses.dataclass(frozen=True)
class Served:
    """A studio behind a real socket."""

    place: tuple[str, int]
    app: FastAPI
    client: httpx.Client

    @property
    def artifact(self) -> str:
        """Id of the first on offer."""
        return str(self.client.get("/api/artifacts").json()[0]["id"])


@contextmanager
def served(settings: StudioSettings) -> Iterator[Served]:
    """Start one, and end it."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", http="h11", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=20, verify=False, limits=httpx.Limits(max_connections=100)) as client:
            yield Served((host, port), app, client)
    finally:
        server.should_exit = True
        thread.join(10)


# 38


def test_a_port_in_use_is_told_with_a_free_one(settings: StudioSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=rf"^--port {port}: is in use; (\d+) is free, or choose another$") as told:
            serve(settings, port, on_ready=lambda _: pytest.fail("it listens"))
    free = int(str(told.value).split("; ")[1].split(" ")[0])
    with socket.socket() as another:
        another.bind(("127.0.0.1", free))


def test_an_address_that_is_none_of_this_machine_is_told(settings: StudioSettings) -> None:
    elsewhere = dataclasses.replace(settings, host="192.0.2.1", token="a secret of 24 letters")
    with pytest.raises(UsageError, match=r"^--host 192\.0\.2\.1: is not an address of this machine"):
        serve(elsewhere, 0, on_ready=lambda _: None)


# 39


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """10,000 x 10,000 px in few bytes."""
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    return buffer.getvalue()


def upload(client: TestClient, ids: dict[str, str], content: Any, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "image/png", **headers}
    return client.post("/api/embed", params={"artifact": ids["fg"], "seconds": 1}, content=content, headers=sent)  # type: ignore[return-value]


def test_a_body_over_the_limit_is_refused_declared_or_chunked(settings: StudioSettings) -> None:
    small = dataclasses.replace(settings, max_upload_bytes=50_000, max_body_bytes=10_000)
    with TestClient(create_app(small), base_url=ADDRESS) as client:
        artifact = client.get("/api/artifacts").json()[0]["id"]
        for content in (b"x" * 50_001, iter([b"x" * 30_000] * 2)):
            done = client.post("/api/embed", params={"artifact": artifact}, content=content, headers={"Content-Type": "image/png"})
            assert (done.status_code, done.json()["error"]) == (413, "picture: has more than 0.05 MB; save it as a smaller JPEG")
        assert client.post("/api/picture", content=b" " * 10_001).status_code == 413
        assert client.post("/api/picture", json={"state": {"artifact": artifact}}).status_code == 200


@pytest.mark.parametrize(("size", "status"), [(50_001, 413), (50_000, 415), (3_100_000, 413)])  # the last: no body with a hole is so long
def test_inpaint_takes_files_of_the_same_size_though_they_travel_as_base64(settings: StudioSettings, size: int, status: int) -> None:
    with TestClient(create_app(dataclasses.replace(settings, max_upload_bytes=50_000)), base_url=ADDRESS) as client:
        artifact = client.get("/api/artifacts").json()[0]["id"]
        image, hole = (f"data:image/png;base64,{base64.b64encode(content).decode()}" for content in (b"x" * size, png(8, 8)))
        done = client.post("/api/inpaint", json={"artifact": artifact, "image": image, "hole": hole})
        line = "picture: has more than 0.05 MB; save it as a smaller JPEG" if status == 413 else "image: is not a picture of a known format; "
        assert (done.status_code, done.json()["error"][: len(line)]) == (status, line)


def test_the_documented_size_of_a_camera_is_taken(settings: StudioSettings) -> None:
    """25 million pixels as a JPEG of high quality have less than 32 MB."""
    with TestClient(create_app(settings), base_url=ADDRESS) as client:
        assert client.get("/api/studio").json()["max_picture_bytes"] == settings.max_upload_bytes == 32_000_000
    assert settings.max_inpaint_bytes > 32_000_000 * 4 / 3 + MAX_HOLE_CHARS
    assert settings.max_inpaint_bytes < LINGER_BYTES  # a refusal can be read
    guide = (Path(mitlgan.__file__).parents[1] / "recipes" / "docs" / "studio.md").read_text()
    assert f"up to {uploads.MAX_INPAINT_PIXELS // 1_000_000} million pixels and {settings.max_upload_bytes // 1_000_000} MB" in guide


def test_a_large_upload_over_a_socket_reads_why_it_was_refused(settings: StudioSettings) -> None:
    with served(dataclasses.replace(settings, max_upload_bytes=50_000)) as studio:
        done = studio.client.post("/api/embed", params={"artifact": "x"}, content=b"x" * 5_000_000, headers={"Content-Type": "image/png"})
        assert done.status_code == 413
        assert studio.client.get("/api/runs").status_code == 200


def test_what_is_no_picture_is_refused(client: TestClient, ids: dict[str, str], bomb: bytes) -> None:
    began = time.monotonic()
    assert upload(client, ids, b"<!doctype html><p>").status_code == 415
    assert upload(client, ids, b"").status_code == 415
    assert upload(client, ids, png(8, 8), **{"Content-Type": "text/html"}).status_code == 415
    assert upload(client, ids, png(64, 64)[:-60]).status_code == 422
    assert upload(client, ids, png(3000, 2)).status_code == 422
    refused = upload(client, ids, bomb)
    assert (refused.status_code, refused.json()["error"]) == (422, "picture: 10000 x 10000 px are more than 64 million pixels; reduce it first")
    refused = upload(client, ids, bombs()["20k"])
    assert (refused.status_code, refused.json()["error"]) == (422, "picture: 400 million px are more than 64 million pixels; reduce it first")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "a\x00b", "C:\\boot.ini"])
def test_names_are_never_paths(client: TestClient, ids: dict[str, str], name: str) -> None:
    assert client.post("/api/embed", params={"artifact": name}, content=png(8, 8), headers={"Content-Type": "image/png"}).status_code == 404
    assert client.post("/api/picture", json={"state": {"artifact": name}}).status_code == 404
    assert client.get("/api/picture.png", params=asked({"artifact": ids["fg"]}, what=name)).status_code == 422
    for path in (f"/api/runs/{name}/report", f"/api/runs/{name}/stats", f"/static/{name}", f"/api/jobs/{name}/events"):
        assert client.get(f"{ADDRESS}{quote(path, safe='/%')}").status_code == 404


# 40


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "",
        "127.0.0.1@evil.example:1",
        "evil@127.0.0.1",
        "127.0.0.1/evil",
        "[::1",
        "localhost:x",
    ],
)
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/api/artifacts", "/static/style.css"):
        assert client.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8765", "LOCALHOST:1", "[::1]:8765"])
def test_own_hosts_are_served_whatever_the_port(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:3000", "http://localhost:8765", "file://", "data:", "https://", "http://[::1"]
)
def test_a_foreign_origin_is_refused(client: TestClient, ids: dict[str, str], origin: str) -> None:
    body = {"state": {"artifact": ids["fg"]}}
    assert client.post("/api/picture", json=body, headers={"Origin": origin}).status_code == 403
    assert client.get("/api/artifacts", headers={"Origin": origin}).status_code == 403
    assert client.post("/api/picture", json=body, headers={"Origin": ADDRESS}).status_code == 200


def test_another_pages_pictures_and_forms_are_refused(client: TestClient) -> None:
    assert client.get("/api/runs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/api/runs", headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert client.get("/api/runs", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link to the studio


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "studio.example"])
def test_listening_beyond_this_machine_needs_a_token(host: str) -> None:
    with pytest.raises(UsageError, match=r"^--host .*: others could connect, so a secret is needed; give --token"):
        StudioSettings(host=host)
    assert StudioSettings(host=host, token="a secret of 24 letters").token
    assert StudioSettings(host="::1").is_local


def test_a_token_is_asked_for_and_becomes_a_cookie_that_scripts_do_not_see(settings: StudioSettings) -> None:
    token = "q-ü-" + "x" * 30
    with TestClient(create_app(dataclasses.replace(settings, host="0.0.0.0", token=token)), base_url="http://192.168.1.7:8765") as client:
        for path in ("/", "/api/artifacts", "/static/style.css"):
            assert client.get(path).status_code == 401
        assert client.get("/api/artifacts", headers={"Host": "evil.example", "Authorization": "Bearer x"}).status_code == 400
        assert client.get("/api/artifacts", headers={"Authorization": "Bearer wrong"}).status_code == 403
        assert client.get("/api/artifacts", headers={"X-Studio-Token": token.encode()}).status_code == 200  # type: ignore[dict-item]
        assert client.get("/", params={"token": "wrong"}, follow_redirects=False).status_code == 403
        assert client.get("/api/artifacts", params={"token": token}).status_code == 401  # in the address of the page only
        entered = client.get("/", params={"token": token}, follow_redirects=False)
        assert (entered.status_code, entered.headers["location"]) == (303, "./")
        cookie = entered.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert token not in cookie
        assert client.get("/api/artifacts").status_code == 200  # with the cookie
        client.cookies.clear()
        client.cookies.set(COOKIE, "0" * 64)
        assert client.get("/api/artifacts").status_code == 401
    plain = dataclasses.replace(settings, token="plain sixteen ch")
    with TestClient(create_app(plain), base_url=ADDRESS) as client:
        assert client.get("/api/artifacts", headers={"Authorization": "Bearer plain sixteen ch"}).status_code == 200


@pytest.mark.parametrize("token", ["", "short", "x" * 15])
def test_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    what = f"has {len(token)} characters" if token else "is empty"
    with pytest.raises(UsageError, match=f"^--token: {what}; give a secret of your own, of 16 characters or more$"):
        StudioSettings(token=token)


def test_guesses_are_slowed_and_who_has_entered_is_not(settings: StudioSettings) -> None:
    token = "the right one " * 2
    guarded = dataclasses.replace(settings, host="0.0.0.0", token=token, guess_pause_s=0.3)
    with TestClient(create_app(guarded), base_url="http://192.168.1.7:8765") as client, ThreadPoolExecutor(12) as pool:

        def guess(secret: str) -> int:
            return client.get("/api/artifacts", headers={"Authorization": f"Bearer {secret}"}).status_code  # type: ignore[no-any-return]

        began = time.monotonic()
        assert [guess(f"wrong {number}") for number in range(3)] == [403] * 3
        assert guess(token) == 200  # when its turn has come, as any other
        assert time.monotonic() - began > 0.85
        assert client.get("/", params={"token": token}, follow_redirects=False).status_code == 303
        began = time.monotonic()
        found = sorted(pool.map(guess, ["wrong"] * 12))
        assert time.monotonic() - began > 0.85
        assert set(found) == {403, 429}
        assert found.count(429) >= 4
        client.cookies.clear()
        assert client.get("/api/artifacts").status_code == 401


def test_a_session_tells_nothing_of_the_token(settings: StudioSettings) -> None:
    """By what could be computed of it, guesses could be tried as cookies, at full speed."""
    guarded = dataclasses.replace(settings, host="0.0.0.0", token="the right one of all")
    found = set()
    for _ in range(2):
        with TestClient(create_app(guarded), base_url="http://192.168.1.7:8765") as client:
            entered = client.get("/", params={"token": "the right one of all"}, follow_redirects=False)
            found.add(entered.headers["set-cookie"])
    assert len(found) == 2


@pytest.mark.parametrize(
    ("address", "client"),
    [
        (("192.168.1.7", 5), "192.168.1.7"), (("::ffff:192.168.1.7", 5), "192.168.1.7"), (("2001:db8::1", 5, 0, 0), "2001:db8::/64"),
        (("2001:db8::2", 5), "2001:db8::/64"), (("fe80::1%eth0", 5), "fe80::/64"), (("testclient", 1), "testclient"), (None, ""),
    ],
)  # fmt: skip
def test_a_client_is_known_by_its_address(address: tuple[Any, ...] | None, client: str) -> None:
    assert client_key(address) == client


def test_the_head_alone_is_answered_as_the_whole_would_be(client: TestClient, ids: dict[str, str]) -> None:
    for path in ("/", "/static/style.css", "/api/artifacts", "/api/runs", "/api/nothing", "/api/jobs/none/events"):
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["content-length"] == whole.headers["content-length"]
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert client.head("/api/picture").status_code == 405
    picture = client.head("/api/picture.png", params=asked({"artifact": ids["fg"]}))
    assert (picture.status_code, picture.headers["content-type"], picture.content) == (200, "image/png", b"")


def test_the_head_of_an_endless_answer_ends(settings: StudioSettings) -> None:
    with served(settings) as studio:
        sent = {"Content-Type": "image/png"}
        begun = studio.client.post("/api/embed", params={"artifact": studio.artifact, "seconds": 20}, content=png(8, 8), headers=sent).json()["job"]
        began = time.monotonic()
        assert studio.client.head(f"/api/jobs/{begun}/events").status_code == 200
        assert studio.client.get("/api/runs").status_code == 200
        assert time.monotonic() - began < 10
        studio.client.delete(f"/api/jobs/{begun}")


def test_every_answer_forbids_what_the_page_does_not_need(client: TestClient) -> None:
    for path in ("/", "/docs", "/api/artifacts", "/api/nothing", "/static/nothing"):
        found = client.get(path).headers
        for name in HEADERS:
            assert name in found
        assert "'unsafe-inline'" not in found["Content-Security-Policy"]
        assert "access-control-allow-origin" not in found
    for path in ("/openapi.json", "/redoc"):  # the framework's own pages, which load files from elsewhere
        assert client.get(path).status_code == 404


# 41


def request_lines(path: str, body: bytes, length: int | None = None) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length or len(body)}\r\n\r\n"
    return head.encode() + body


def test_a_slow_body_is_not_waited_for(settings: StudioSettings) -> None:
    with served(dataclasses.replace(settings, body_timeout_s=0.3)) as studio:
        with socket.create_connection(studio.place) as slow:
            slow.settimeout(5)
            slow.sendall(request_lines("/api/picture", b'{"state"', 100))
            began = time.monotonic()
            assert b" 408 " in slow.recv(4096).split(b"\r\n")[0]
            assert 0.2 < time.monotonic() - began < 3
        assert studio.client.get("/api/runs").status_code == 200


def test_fifty_at_once_are_served_or_told_to_come_again(settings: StudioSettings) -> None:
    with served(dataclasses.replace(settings, max_waiting=4)) as studio:
        artifact, gate, holding = studio.artifact, threading.Event(), threading.Event()

        def hold() -> None:
            holding.set()
            gate.wait(20)

        studio.app.state.context.worker.submit(hold)
        assert holding.wait(5)

        def ask(index: int) -> httpx.Response:
            return studio.client.post("/api/grid", json={"state": {"artifact": artifact}, "vary": {"fg": [index]}})

        with ThreadPoolExecutor(50) as pool:
            asked_for = [pool.submit(ask, index) for index in range(50)]
            while sum(one.done() for one in asked_for) < 46:
                time.sleep(0.01)
            pictures = [studio.client.post("/api/picture", json={"state": {"artifact": artifact}}).status_code for _ in range(3)]
            gate.set()
            answers = [one.result() for one in asked_for]
        assert sorted(one.status_code for one in answers) == [200] * 4 + [503] * 46
        assert pictures == [200] * 3  # which nothing else holds up, though it gives no way
        assert {one.headers.get("Retry-After") for one in answers if one.status_code == 503} == {"1"}
        assert ask(0).status_code == 200


def test_work_for_a_client_that_has_gone_ends_between_chunks(settings: StudioSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [0]
    stages, begun = render._stages, threading.Event()

    def slowly(*given: Any) -> Any:
        chunks[0] += 1
        begun.set()
        time.sleep(0.1)
        return stages(*given)

    monkeypatch.setattr(render, "_stages", slowly)
    with served(settings) as studio:
        artifact = studio.artifact
        body = json.dumps({"state": {"artifact": artifact}, "vary": {"fg": list(range(64))}}).encode()
        with socket.create_connection(studio.place) as gone:
            gone.sendall(request_lines("/api/grid", body))
            assert begun.wait(5)
        assert studio.client.post("/api/picture", json={"state": {"artifact": artifact}}).status_code == 200
        assert chunks[0] < 8  # of 16, and one for the picture


def test_what_takes_too_long_is_given_up(settings: StudioSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_stages", lambda *_: time.sleep(0.5))
    with TestClient(create_app(dataclasses.replace(settings, work_timeout_s=0.1)), base_url=ADDRESS) as client:
        artifact = client.get("/api/artifacts").json()[0]["id"]
        assert client.post("/api/picture", json={"state": {"artifact": artifact}}).status_code == 504


def test_too_many_uploads_at_once_are_told_to_come_again(settings: StudioSettings) -> None:
    with served(dataclasses.replace(settings, max_uploads=1)) as studio, socket.create_connection(studio.place) as slow:
        slow.sendall(request_lines("/api/embed?artifact=x", b"half", 100))
        time.sleep(0.2)
        done = studio.client.post("/api/embed", params={"artifact": "x"}, content=b"x", headers={"Content-Type": "image/png"})
        assert (done.status_code, done.headers["Retry-After"]) == (503, "1")


# 42

STATE = '{"state": {"artifact": "ID", %s}}'
ABSURD = [
    *(STATE % f'"latents": {{"fg": {{"seed": {seed}}}}}' for seed in ("NaN", "1e400", "-1", "1.5", str(2**63), "9" * 5000, '"7"', "true", "null")),
    *(STATE % f'"matte_strength": {number}' for number in ("NaN", "1e400", "-0.1", "1.1", "-Infinity", '"x"')),
    *(STATE % f'"harmonise": {number}' for number in ("NaN", "2", "[]")),
    *(STATE % f'"truncation": {number}' for number in ("0", "NaN", "1.5", "-1")),
    *(STATE % f'"stand": {{"scale": {number}}}' for number in ("0", "NaN", "1e9", "-1")),
    STATE % '"latents": {"fg": {"values": [NaN]}}',
    STATE % '"latents": {"fg": {"values": [1e30]}}',
    STATE % ('"latents": {"fg": {"values": [' + ",".join(["0"] * 70_000) + "]}}"),
    STATE % '"latents": {"fg": {"mix": [{"seed": 1}, {"seed": 2}, 1.5]}}',
    STATE % ('"latents": {"fg": ' + '{"mix": [{"seed": 1}, ' * 6 + '{"seed": 1}' + ", 0.5]}" * 6 + "}"),
    STATE % ('"latents": {"fg": ' + '{"mix": [{"seed": 1}, ' * 5000 + '{"seed": 1}' + ", 0.5]}" * 5000 + "}"),
    STATE % '"directions": {"fg": [NaN]}',
    STATE % '"directions": {"fg": [1e9]}',
    STATE % '"unknown": 1',
    '{"state": {"artifact": 7}}',
    "[" * 100_000,
    "not json",
    "\x00",
]


@pytest.mark.parametrize("body", ABSURD, ids=range(len(ABSURD)))
def test_absurd_numbers_are_refused_in_one_line(client: TestClient, ids: dict[str, str], body: str) -> None:
    content = body.replace("ID", ids["matted"])
    done = client.post("/api/picture", content=content, headers={"Content-Type": "application/json"})
    assert done.status_code == 422
    assert list(done.json()) == ["error"]
    assert len(done.json()["error"].splitlines()) == 1
    try:
        state = json.dumps(json.loads(content)["state"])
    except (ValueError, RecursionError):
        return
    if len(state) < 50_000:
        assert client.get("/api/picture.png", params={"s": state}).status_code == 422


def queries() -> list[tuple[str, str, str]]:
    """Method, path and parameter of everything that the studio takes in a query."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    paths = get_openapi(title="all", version="0", routes=routes)["paths"]
    found = [
        (method, path, more["name"], more["in"])
        for path, methods in paths.items()
        for method, one in methods.items()
        for more in one.get("parameters", [])
    ]
    return [(method.upper(), path, name) for method, path, name, where in found if where == "query"]


DAMAGED = [
    "",
    "x",
    "%ff",
    "%00",
    "[" * 5000,
    "9" * 5000,
    quote('{"artifact":"ID'),
    quote('{"artifact":"\\ud800"}'),
    "null",
    "[]",
    '"x"',
    "{}",
    '{"artifact":5}',
]


@pytest.mark.parametrize(("method", "path", "name"), queries())
def test_a_damaged_query_is_refused_in_one_line(client: TestClient, ids: dict[str, str], method: str, path: str, name: str) -> None:
    others = {"s": quote(json.dumps({"artifact": ids["fg"]})), "artifact": ids["fg"]}
    needed = "&".join(f"{key}={value}" for key, value in others.items() if key != name and (method, path, key) in queries())
    for value in DAMAGED if name == "s" else DAMAGED[1:6:2]:
        address = f"{path.replace('{run_id}', 'x')}?{needed}&{name}={value.replace('ID', ids['fg'])}"
        done = client.request(method, address, content=b"x" if method == "POST" else None, headers={"Content-Type": "image/png"})
        assert done.status_code in (404, 422), address[:200]
        assert list(done.json()) == ["error"]
        assert len(done.json()["error"].splitlines()) == 1
        if name == "s":
            assert done.json()["error"].startswith("s: is not the state of a picture; "), address[:200]


def test_a_million_pictures_are_refused(client: TestClient, ids: dict[str, str]) -> None:
    state = {"artifact": ids["fg"]}
    assert client.post("/api/grid", json={"state": state, "vary": {"fg": [0] * 65}}).status_code == 422
    assert client.post("/api/grid", json={"state": state, "vary": {"fg": [0] * 1_000_000}}).status_code == 413
    for frames in (1_000_000, 65, 1, -1, 2.5):
        assert client.post("/api/morph", json={"from": state, "to": state, "frames": frames}).status_code == 422
    for more in ({"fps": 0}, {"fps": 1e9}, {"scale": 1_000_000}, {"scale": 0}):
        assert client.post("/api/morph.gif", json={"from": state, "to": state, **more}).status_code == 422
    for seconds in ("nan", "1e400", "-1", "1e9"):
        query = {"artifact": ids["fg"], "seconds": seconds}
        assert client.post("/api/embed", params=query, content=png(8, 8), headers={"Content-Type": "image/png"}).status_code == 422
    assert client.get("/api/runs/x/stats", params={"after": "1e400"}).status_code == 422
