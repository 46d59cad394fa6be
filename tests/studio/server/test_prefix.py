"""Behind a proxy that serves the studio under a prefix: every address is relative, and a refusal says what the proxy and `--name` need."""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import urljoin

import pytest
from fastapi.testclient import TestClient
from helpers.studio_browser import under_prefix

from mitlgan.studio import StudioSettings, create_app
from mitlgan.studio.guard import COOKIE
from mitlgan.studio.routes.page import FILES

PAGE = "http://127.0.0.1:8765/gan/"
TOKEN = "a secret of 24 letters"
ADDRESSES = {
    "text/html": re.compile(r'(?:src|href)="([^"#]+)'),
    "text/css": re.compile(r'url\("(?!data:)([^")]+)'),
    "text/javascript": re.compile(r'\b(?:from|import) "(\./[^"]+)'),
    "image/svg+xml": re.compile("(?!)"),
    "application/json": re.compile("(?!)"),
}
"""Addresses in a file of the page, by its type."""
ABSOLUTE = re.compile(r"""["'`(]/(?:static|api|docs)\b|(?:href|src|action)=["']/""")


@pytest.mark.parametrize("token", [None, TOKEN])
def test_every_file_that_the_page_names_is_found_under_a_prefix(settings: StudioSettings, token: str | None) -> None:
    app = under_prefix(create_app(dataclasses.replace(settings, token=token)), "/gan")
    with TestClient(app, base_url=PAGE) as client:
        if token is not None:
            entered = client.get(PAGE, params={"token": token}, follow_redirects=False)
            assert (entered.status_code, urljoin(PAGE, entered.headers["location"])) == (303, PAGE)
            assert "path" not in entered.headers["set-cookie"].lower()  # so it is for the page's folder only
            assert [(cookie.name, cookie.path) for cookie in client.cookies.jar] == [(COOKIE, "/gan")]
        waiting, answers = [PAGE, f"{PAGE}docs"], dict[str, int]()
        while waiting:
            address = waiting.pop()
            answer = client.get(address)
            answers[address] = answer.status_code
            pattern = ADDRESSES[answer.headers["content-type"].partition(";")[0]]
            waiting += {urljoin(address, name) for name in pattern.findall(answer.text)} - answers.keys() - set(waiting)
        assert set(answers.values()) == {200}
        assert all(address.startswith(PAGE) for address in answers)
        assert {f"{PAGE}static/{name}" for name in FILES if name.endswith((".js", ".css"))} <= set(answers)
        assert client.get(f"{PAGE}api/artifacts").status_code == 200
        assert client.get("http://127.0.0.1:8765/api/artifacts").status_code == 404


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.endswith((".js", ".css", ".html"))))
def test_no_file_of_the_page_names_an_address_from_the_top_of_the_host(name: str) -> None:
    assert ABSOLUTE.findall(FILES[name].read_text(encoding="utf-8")) == []


def test_a_foreign_host_is_told_what_the_option_and_the_proxy_need(settings: StudioSettings) -> None:
    with TestClient(create_app(dataclasses.replace(settings, names=("gan.example.org",))), base_url="http://127.0.0.1:8765") as client:
        refused = client.get("/", headers={"Host": "pictures.example.org:443"})
        assert refused.status_code == 400
        assert "pictures.example.org is not one of the studio's" in refused.json()["error"]
        assert "`--name pictures.example.org`" in refused.json()["error"]
        assert "proxy_set_header Host" in refused.json()["error"]
        assert "--name HOST" in client.get("/", headers={"Host": "<b>"}).json()["error"]
        assert client.get("/", headers={"Host": "gan.example.org", "Origin": "https://gan.example.org"}).status_code == 200
        other = client.get("/api/artifacts", headers={"Host": "127.0.0.1:8765", "Origin": "https://gan.example.org"})
        assert other.status_code == 403
        assert "proxy_set_header Host" in other.json()["error"]  # the proxy has replaced it
