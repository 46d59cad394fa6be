"""The request guard: checks host, origin, token, size and speed of every request, and adds security headers to every response."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mitlgan.runtime.addresses import split_address
from mitlgan.studio.clients import TokenGuessLimiter, client_key
from mitlgan.studio.errors import Cancelled, RequestRefused, refuse_busy, refuse_large_picture
from mitlgan.studio.settings import LOCAL_NAMES, StudioSettings

COOKIE = "mitlgan_studio"
HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
MAX_HOST_CHARS = 80
"""Characters of a foreign host name that a refusal repeats."""
PROXY_ADVICE = "A proxy must pass on the browser's Host (nginx: `proxy_set_header Host $http_host`)"
INPAINT = "/api/inpaint"
UPLOADS = ("/api/embed", INPAINT, "/api/record")
LINGER_BYTES, LINGER_S = 64_000_000, 3.0
"""How much of an oversized body is read and discarded, so that its sender can read the refusal."""
POLICY = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
}


class RequestGuard:
    """ASGI middleware: lets permitted requests through with their body read, and adds headers to responses.

    Args:
        app: The application to guard.
        settings: Host, token and limits.
    """

    def __init__(self, app: ASGIApp, settings: StudioSettings) -> None:
        self._app = app
        self._settings = settings
        self._names = LOCAL_NAMES | {settings.host.lower(), *(name.lower() for name in settings.names)}
        if not settings.is_local:
            self._names |= {socket.gethostname().lower()}
        self._session = None if settings.token is None else secrets.token_urlsafe(32)  # not derived from the token, which it could help to guess
        self._guesses = TokenGuessLimiter(settings.guess_pause_s)
        self._uploads = settings.max_uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_security_headers(message)
            await send(message)

        guarded: Send = send_with_headers
        if scope["method"] == "HEAD":
            scope, guarded = {**scope, "method": "GET"}, _drop_body(send_with_headers)
        try:
            redirect = await self._authorize(scope)
            if redirect is not None:
                await redirect(scope, receive, guarded)
                return
            await self._run_with_body(scope, receive, guarded)
        except RequestRefused as refused:
            await refusal_response(refused)(scope, receive, guarded)
        except Cancelled:
            return

    async def _authorize(self, scope: Scope) -> Response | None:
        """Check that the request is permitted.

        Returns:
            A redirect instead of the app's response if the token was in the address, else None.

        Raises:
            RequestRefused: 400 foreign host, 403 foreign page or wrong token, 401 no token, 429 too many guesses.
        """
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own_host(hosts[0]):
            raise RequestRefused(400, self._foreign_host_message(hosts[0] if len(hosts) == 1 else ""))
        origins = headers.getlist("origin")
        foreign = any(split_address(origin).netloc.lower() != hosts[0].lower() or not origin.startswith(("http://", "https://")) for origin in origins)
        if foreign or (scope["path"] != "/" and headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")):
            raise RequestRefused(403, f"Origin: the request comes from another page; open the studio itself. {PROXY_ADVICE}")
        if self._settings.token is None or self._session is None:
            return None
        query_token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [None])[0] if scope["path"] == "/" else None
        bearer = re.fullmatch(r"[Bb]earer (.+)", headers.get("authorization", ""))
        header_token = bearer.group(1) if bearer else headers.get("x-studio-token")
        attempts = [
            value
            for value in (query_token, None if header_token is None else header_token.encode("latin-1").decode("utf-8", "replace"))
            if value is not None
        ]
        token = self._settings.token
        if attempts and await self._guesses.check_guess(
            client_key(scope.get("client")), lambda: any(_constant_time_equal(value, token) for value in attempts)
        ):
            if query_token is None:
                return None
            redirect = RedirectResponse("./", status_code=303)  # relative, and a cookie for the page's own folder: a proxy may serve it under a prefix
            redirect.set_cookie(COOKIE, self._session, path=None, httponly=True, samesite="strict", secure=scope.get("scheme") == "https")
            return redirect
        if attempts:
            raise RequestRefused(403, "token: is wrong; open the address that `mitlgan studio` printed")
        if not _constant_time_equal(_session_cookie(headers), self._session):
            raise RequestRefused(401, "token: is missing; open the address that `mitlgan studio` printed, or send it as `Authorization: Bearer`")
        return None

    def _foreign_host_message(self, host: str) -> str:
        match = HOST.fullmatch(host)
        name = "" if match is None else match.group(1)[:MAX_HOST_CHARS]
        names = f"{name} is not" if name else "its name is not"
        option = f"start the studio with `--name {name}`" if name and not name.startswith("[") else "start the studio with `--name HOST`"
        return f"Host: {names} one of the studio's; use the address that `mitlgan studio` printed, or behind a proxy {option}. {PROXY_ADVICE}"

    def _is_own_host(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        if match is None:
            return False
        name = match.group(1).strip("[]").lower()
        if name in self._names:
            return True
        if self._settings.is_local:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _run_with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body within its limits, then call the app with it."""
        large = scope["path"].startswith(UPLOADS)
        if large and self._uploads <= 0:
            raise refuse_busy("too many pictures are being sent")
        self._uploads -= large
        try:
            body = await self._read_body(scope, receive, large=large)
            await self._app(scope, _replay_body(body, receive), send)
        finally:
            self._uploads += large

    async def _read_body(self, scope: Scope, receive: Receive, *, large: bool) -> bytes:
        settings = self._settings
        picture_bytes = settings.max_inpaint_bytes if scope["path"].startswith(INPAINT) else settings.max_upload_bytes
        limit = picture_bytes if large else settings.max_body_bytes
        declared = Headers(scope=scope).get("content-length", "0")
        parts: list[bytes] = []
        size = 0
        too_long = RequestRefused(413, f"body: is larger than {limit} bytes; send less")
        refused = refuse_large_picture(settings.max_upload_bytes) if large else too_long
        too_large = not declared.isdecimal() or int(declared[:19]) > limit
        try:
            async with asyncio.timeout(LINGER_S if too_large else self._settings.body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Cancelled
                    part = message.get("body", b"")
                    size += len(part)
                    too_large = too_large or size > limit
                    parts = [] if too_large else [*parts, part]
                    if not message.get("more_body", False) or size > LINGER_BYTES:
                        break
        except TimeoutError:
            raise (refused if too_large else RequestRefused(408, "body: came too slowly; send it again")) from None
        if too_large:
            raise refused
        return b"".join(parts)


def refusal_response(refused: RequestRefused) -> JSONResponse:
    """Return a refusal as a response."""
    headers = {} if refused.retry_s is None else {"Retry-After": str(refused.retry_s)}
    if refused.status in (408, 413, 429):
        headers["Connection"] = "close"
    return JSONResponse({"error": refused.message}, refused.status, headers)


def _drop_body(send: Send) -> Send:
    """Send only the head of a response; further messages raise OSError."""
    has_ended = False

    async def send_head(message: Message) -> None:
        nonlocal has_ended
        if has_ended:
            raise OSError("the response to a HEAD request has no body")
        if message["type"] == "http.response.body":
            message, has_ended = {"type": "http.response.body", "body": b"", "more_body": False}, True
        await send(message)

    return send_head


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a receive function that gives the body in one message, then the connection's messages."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


def _add_security_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)


def _constant_time_equal(attempt: str, secret: str) -> bool:
    return hmac.compare_digest(attempt.encode("utf-8", "surrogatepass"), secret.encode())


def _session_cookie(headers: Headers) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if cookie is None else cookie.value
