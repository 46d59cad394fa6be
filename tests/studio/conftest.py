"""The studio as it is started, on the shipped artifacts, and a browser before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import keyed_composition
from helpers.studio_browser import PATIENCE_S, Studio, launched, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs that the studio looks at; empty at first."""
    return tmp_path_factory.mktemp("studio") / "runs"


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory, runs_folder: Path) -> Iterator[str]:
    """Where the studio is served: the shipped artifacts, and one that needs no training whose layers move."""
    from mitlgan.recipe import shipped_folder
    from mitlgan.studio.app import create_app
    from mitlgan.studio.settings import StudioSettings

    own = keyed_composition.write(tmp_path_factory.mktemp("artifacts") / "keyed" / "composer.safetensors")
    with serving(create_app(StudioSettings(artifacts=(shipped_folder("pretrained"), own), runs=runs_folder))) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium. Not for the whole session: while Playwright runs, nothing else in this thread can run an event loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser, as new."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(1000 * PATIENCE_S)
    yield context
    context.close()


@pytest.fixture
def studio(context: BrowserContext, address: str) -> Iterator[Studio]:
    """The page, which must not complain."""
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield Studio(page, address)
    expected = ("Failed to load resource", "frame is sandboxed")  # what a test has the server refuse; what a report may not do
    assert [complaint for complaint in complaints if not any(each in complaint for each in expected)] == []
