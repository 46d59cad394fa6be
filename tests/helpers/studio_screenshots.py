"""Screenshots of the studio.

`PYTHONPATH=tests python tests/helpers/studio_screenshots.py pretrained/studio.png` makes the README's, `... FOLDER --all` one of every tab.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from helpers.studio_browser import Studio, launched, serving
from mitlgan.recipe import shipped_folder
from mitlgan.studio import StudioSettings, create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TABS = ("generate", "morph", "embed", "inpaint", "train", "quiz")
DESKTOP, PHONE = (1280, 860), (390, 844)
SETTLED_MS = 4000
ARTIFACT, SCENE = "modern-32", 10


def photograph(browser: Browser, address: str, size: tuple[int, int], scheme: str, tabs: dict[str, Path]) -> None:
    """Write what each tab shows at a size, dark or light."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    studio = Studio(page, address).open(ARTIFACT)
    for tab, path in tabs.items():
        studio.tab(tab)
        page.wait_for_timeout(SETTLED_MS)
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path, full_page=len(tabs) > 1)
    page.close()


def readme(browser: Browser, address: str, path: Path) -> None:
    """Write the README's picture: of the shipped composition whose foreground moves, with that held and moved."""
    page = browser.new_page(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, color_scheme="light")
    studio = Studio(page, address).open(ARTIFACT)
    studio.doing(studio.at(f"scene-{SCENE}").click)
    studio.at("hold-fg").click()
    studio.doing(lambda: studio.drag("stage", (0.3, 0.6), (0.45, 0.45)))
    page.mouse.move(0, 0)
    page.screenshot(path=path)
    page.close()


def main() -> None:
    """Serve the shipped artifacts and take the photographs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the README's picture, or with --all a folder")
    parser.add_argument("--all", action="store_true", help="every tab, at desktop and phone width, dark and light")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs for the Train tab")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = launched(playwright)
        with serving(create_app(StudioSettings(artifacts=(shipped_folder("pretrained"),), runs=given.runs))) as address:
            if not given.all:
                readme(browser, address, given.out)
                return
            for size, scheme in product((DESKTOP, PHONE), ("light", "dark")):
                photograph(browser, address, size, scheme, {tab: given.out / f"{tab}-{size[0]}-{scheme}.png" for tab in TABS})


if __name__ == "__main__":
    sys.exit(main())
