"""The REST API: three endpoints, described by OpenAPI, off beyond this machine unless its owner wants it; what is described is what works."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi.testclient import TestClient

from mitlgan.studio import StudioSettings, create_app
from mitlgan.studio.routes.page import FILES

ADDRESS = "http://127.0.0.1:8765"
TOKEN = "a secret of 24 letters"


def test_three_endpoints_are_described_and_work_as_described(client: TestClient, ids: dict[str, str]) -> None:
    described = client.get("/api/openapi.json").json()
    assert described["openapi"].startswith("3.")
    assert {path: list(methods) for path, methods in described["paths"].items()} == {
        "/api/artifacts": ["get"], "/api/picture": ["post"], "/api/grid": ["post"],
    }  # fmt: skip
    assert described["servers"] == [{"url": "../"}]  # of api/openapi.json, under any prefix
    schemas = described["components"]["schemas"]
    state = {"artifact": ids["matted"], "latents": {"fg": {"seed": 7}}}

    def fits(answer: dict[str, Any], name: str) -> bool:
        return set(schemas[name]["required"]) <= set(answer) <= set(schemas[name]["properties"])

    assert all(fits(one, "ArtifactAnswer") for one in client.get("/api/artifacts").json())
    assert set(state) <= set(schemas["State"]["properties"])
    assert fits(client.post("/api/picture", json={"state": state, "want": ["output", "layers"]}).json(), "PictureAnswer")
    grid = client.post("/api/grid", json={"state": state, "vary": {"bg": [1, 2]}}).json()
    assert fits(grid, "GridAnswer")
    assert all(fits(one, "GridPicture") for one in grid["pictures"])


def test_the_page_has_everything_with_it(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert 'src="static/docs.js"' in page.text
    assert "//" not in page.text.replace("<!doctype", "")  # nothing from elsewhere
    assert "https:" not in FILES["docs.js"].read_text(encoding="utf-8")


def test_it_is_off_beyond_this_machine_unless_it_is_asked_for(settings: StudioSettings) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for host, docs, status in (("127.0.0.1", None, 200), ("127.0.0.1", False, 404), ("0.0.0.0", None, 404), ("0.0.0.0", True, 200)):
        with TestClient(create_app(dataclasses.replace(settings, host=host, token=TOKEN, docs=docs)), base_url=ADDRESS) as client:
            assert [client.get(path, headers=headers).status_code for path in ("/docs", "/api/openapi.json")] == [status, status]
            assert client.get("/api/studio", headers=headers).json()["docs"] == (status == 200)
            assert client.get("/docs").status_code == 401  # the token is needed as for all else
