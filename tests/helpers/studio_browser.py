"""A person at the studio: a browser, and the pixels of what is shown."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Playwright

T = TypeVar("T")
Pixels = NDArray[np.uint8]
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "no Chromium: install one (apt-get install chromium, or playwright install chromium)"
SLIDE = """(input, value) => {
  input.value = value;
  for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind, { bubbles: true }));
}"""
PATIENCE_S = 30.0
"""For a machine that does much else."""


def launched(playwright: Playwright) -> Browser:
    """A Chromium of this machine, or Playwright's own; the test is skipped where there is none, and fails where CI=true."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    own = Path(playwright.chromium.executable_path)
    if found is None and not own.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return playwright.chromium.launch(executable_path=found or own, args=FLAGS)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The real server on a free port of this machine; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        eventually(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def under_prefix(app: Any, prefix: str) -> Any:
    """The app as a proxy serves it that strips a prefix; nothing else of the host is the studio's."""

    async def stripped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
        elif scope["path"].startswith(f"{prefix}/"):
            path = scope["path"].removeprefix(prefix)
            await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)
        else:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"another site"})

    return stripped


def eventually(look: Callable[[], T], what: str = "it", patience_s: float = PATIENCE_S) -> T:
    """What looking gives, once it is true."""
    end = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < end, f"{what} did not happen in {patience_s:g} s"
        time.sleep(0.02)
    return found


def decoded(content: bytes) -> Pixels:
    """(H, W, C) of a picture's bytes."""
    return np.asarray(Image.open(io.BytesIO(content)))


def from_uri(uri: str | None) -> Pixels:
    """(H, W, C) of a data URI."""
    assert uri is not None
    assert uri.startswith("data:image/png;base64,")
    return decoded(base64.b64decode(uri.partition(",")[2]))


def shown(image: Locator) -> Pixels:
    """What an image of the page shows."""
    return from_uri(image.get_attribute("src"))


def drawn(canvas: Locator) -> Pixels:
    """What a canvas of the page shows, (H, W, 4)."""
    return from_uri(canvas.evaluate("canvas => canvas.toDataURL()"))


class Studio:
    """The page, by what a person sees and does.

    Args:
        page: Of the browser.
        address: Of the server.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address

    def open(self, artifact: str | None = None, fragment: str = "", tab: str = "generate") -> Studio:
        """Open the page, by the link of an artifact's name or by a fragment, and wait for its first picture."""
        if artifact is not None:
            offered = self.page.request.get(f"{self.address}/api/artifacts").json()
            state = {"artifact": next(each["id"] for each in offered if each["name"] == artifact)}
            fragment = f"#tab={tab}&s={quote(json.dumps(state))}"
        self.page.goto(f"{self.address}/{fragment}")
        self.settle()
        return self

    @property
    def artifact(self) -> str:
        """Name of the artifact that is chosen."""
        return cast(str, self.at("artifact").locator("option:checked").inner_text()).partition(" (")[0]

    def choose(self, artifact: str) -> None:
        """Choose an artifact by name."""
        label = next(text for text in self.at("artifact").locator("option").all_inner_texts() if text.startswith(f"{artifact} ("))
        before = self.page.evaluate("location.hash")
        self.at("artifact").select_option(label=label)
        eventually(lambda: self.page.evaluate("location.hash") != before, "another artifact's picture")
        self.settle()

    def at(self, name: str) -> Locator:
        """What the page calls by a name for tests."""
        return self.page.locator(f'[data-test="{name}"]')

    def tab(self, name: str) -> None:
        """Go to a tab."""
        self.at(f"tab-{name}").click()

    def settle(self) -> None:
        """Wait until the picture is drawn whole and nothing is under way."""
        for drawn in (
            '#stage-image[src^="data:"]',
            '#grid [aria-selected="true"] img[src^="data:"]',
            "#stage:not([aria-busy])",
            "#grid:not([aria-busy])",
        ):
            self.page.wait_for_selector(drawn, state="attached")

    def doing(self, act: Callable[[], object]) -> None:
        """Do something to the open picture, and wait until the picture of it, with all of its stages, is drawn."""

        def whole(response: Any) -> bool:
            return bool(response.url.endswith("/api/picture") and "layers" in (response.request.post_data or ""))

        with self.page.expect_response(whole):
            act()
        self.settle()

    def picture(self) -> Pixels:
        """What is shown large."""
        return shown(self.at("stage-image"))

    def stage(self, name: str) -> Pixels:
        """One stage of the strip: output, fused, matte, or a layer by name."""
        return shown(self.at(f"stage-{name}").locator("img"))

    def drag(self, name: str, start: Sequence[float], end: Sequence[float]) -> None:
        """Drag on an element with the mouse, from and to shares of its sides."""
        box = self.at(name).bounding_box()
        assert box is not None
        places = [(box["x"] + box["width"] * across, box["y"] + box["height"] * down) for across, down in (start, end)]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        self.page.mouse.move(*places[1], steps=6)
        self.page.mouse.up()

    def slide(self, name: str, value: float) -> None:
        """Move a slider to a value and let it go."""
        self.at(name).evaluate(SLIDE, value)

    def download(self, name: str) -> bytes:
        """The file that a button gives."""
        with self.page.expect_download() as waiting:
            self.at(name).click()
        return Path(waiting.value.path()).read_bytes()
