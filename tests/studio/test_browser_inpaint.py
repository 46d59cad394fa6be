"""Inpaint, as a person uses it: a hole is painted, and only the hole changes."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote_plus

import numpy as np
import pytest
from helpers.studio_browser import Studio, decoded, drawn, eventually, shown
from PIL import Image


def hole_of(studio: Studio) -> np.ndarray:
    """(H, W), True where it is painted."""
    return drawn(studio.at("easel-hole"))[:, :, 3] > 0


def filled(studio: Studio) -> None:
    """Have the hole filled, and wait for it."""
    before = studio.at("wipe-after").get_attribute("src")
    studio.at("inpaint-start").click()
    eventually(lambda: studio.at("wipe-after").get_attribute("src") != before and studio.at("inpaint-start").is_enabled(), "the filling's end")


@pytest.mark.parametrize("method", ["embed", "context"])
def test_a_painted_hole_changes_and_nothing_else(studio: Studio, method: str) -> None:
    studio.open("bg-32")
    given = studio.picture()
    studio.tab("inpaint")
    eventually(lambda: drawn(studio.at("easel-picture")).shape[0] == 32)
    assert np.array_equal(drawn(studio.at("easel-picture"))[..., :3], given)
    assert studio.at("inpaint-start").is_disabled()
    studio.slide("brush-size", 6)
    studio.drag("easel", (0.35, 0.5), (0.65, 0.5))
    hole = hole_of(studio)
    assert hole[16, 11:21].all()
    assert hole[12].sum() == 0
    assert 50 < hole.sum() < 130
    studio.at("inpaint-method").locator(f"label:has([value={method}])").click()
    assert studio.at("inpaint-seconds").is_visible() == (method == "embed")
    if method == "embed":
        studio.slide("inpaint-seconds", 2)
    filled(studio)
    assert np.array_equal(shown(studio.at("wipe-before"))[..., :3], given)
    result = shown(studio.at("wipe-after"))[..., :3]
    changed = np.abs(result.astype(int) - given).max(axis=2) > 0
    assert changed[hole].any()
    assert not changed[~hole].any()
    assert np.array_equal(decoded(studio.download("inpaint-download"))[..., :3], result)
    studio.slide("wipe", 80)
    assert "80%" in studio.at("wipe-after").evaluate("image => getComputedStyle(image).clipPath")
    studio.at("inpaint-again").click()
    eventually(lambda: np.array_equal(drawn(studio.at("easel-picture"))[..., :3], result))
    assert not hole_of(studio).any()


def test_strokes_are_undone_and_cleared_and_painted_by_keys(studio: Studio) -> None:
    studio.open("bg-32", tab="inpaint")
    eventually(lambda: drawn(studio.at("easel-picture")).shape[0] == 32)
    assert studio.at("hole-undo").is_disabled()
    studio.drag("easel", (0.2, 0.2), (0.3, 0.2))
    first = hole_of(studio)
    studio.drag("easel", (0.7, 0.7), (0.8, 0.9))
    assert hole_of(studio).sum() > first.sum()
    studio.at("hole-undo").click()
    assert np.array_equal(hole_of(studio), first)
    studio.at("hole-clear").click()
    assert not hole_of(studio).any()
    assert studio.at("inpaint-start").is_disabled()
    studio.at("easel").press("Control+z")
    assert np.array_equal(hole_of(studio), first)
    studio.at("hole-clear").click()
    studio.slide("brush-size", 1)
    studio.tab("generate")
    studio.tab("inpaint")
    studio.at("easel").focus()
    rows, columns = [], []
    for key in ("Space", "ArrowRight", "Space", "ArrowUp", "Space"):
        studio.page.keyboard.press(key)
        found = np.argwhere(hole_of(studio))
        rows.append(len(found))
        columns.append(found[:, 1].max() - found[:, 1].min())
    assert rows == [1, 1, 2, 2, 3]
    assert columns == [0, 0, 1, 1, 1]
    studio.page.keyboard.press("]")
    assert studio.at("brush-size").input_value() == "2"


def test_the_easel_has_the_picture_of_the_artifact_that_is_chosen(studio: Studio) -> None:
    asked: list[str] = []
    studio.page.on("request", lambda request: asked.append(unquote_plus(request.url)) if "picture.png" in request.url else None)
    studio.open("bg-32", tab="inpaint")
    eventually(lambda: np.array_equal(drawn(studio.at("easel-picture"))[..., :3], studio.picture()))
    studio.choose("keyed")
    eventually(lambda: np.array_equal(drawn(studio.at("easel-picture"))[..., :3], studio.picture()))
    assert [re.findall(r'"artifact":"([a-z0-9-]+)-[0-9a-f]+"', address) for address in asked] == [["bg-32"], ["keyed"]]
    assert studio.at("notice").is_hidden()
    # A filling that is ended leaves no look on the way to it, which nobody could download.
    studio.drag("easel", (0.4, 0.5), (0.5, 0.5))
    studio.slide("inpaint-seconds", 60)
    studio.at("inpaint-start").click()
    eventually(studio.at("compare").is_visible)
    assert studio.at("inpaint-download").is_hidden()
    studio.at("inpaint-cancel").click()
    eventually(studio.at("compare").is_hidden)
    assert studio.at("inpaint-progress").evaluate("bar => bar.value") == 0


def test_fingers_paint(browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    studio = Studio(context.new_page(), address).open("bg-32", tab="inpaint")
    eventually(lambda: drawn(studio.at("easel-picture")).shape[0] == 32)
    touch = context.new_cdp_session(studio.page)
    box = studio.at("easel").bounding_box()
    for kind, share in (("touchStart", 0.25), ("touchMove", 0.5), ("touchMove", 0.75)):
        point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + share * box["height"]}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert hole_of(studio)[8:24, 16].all()
    assert studio.page.evaluate("scrollY") == 0
    context.close()


def test_a_picture_of_ones_own_comes_back_whole_and_at_its_size(studio: Studio, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (600, 1200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide", "PNG")  # a name without a suffix has no type
    studio.open("bg-32", tab="inpaint")
    studio.at("inpaint-file").set_input_files(tmp_path / "wide")
    eventually(lambda: drawn(studio.at("easel-picture")).shape == (384, 768, 4))  # it is painted on a smaller copy
    box = studio.at("easel").bounding_box()
    assert box is not None
    assert abs(box["width"] / box["height"] - 2) < 0.01
    studio.drag("easel", (0.4, 0.5), (0.5, 0.5))
    hole = hole_of(studio)
    studio.choose("keyed")  # neither the photograph nor the hole is lost
    studio.choose("bg-32")
    assert drawn(studio.at("easel-picture")).shape == (384, 768, 4)
    assert np.array_equal(hole_of(studio), hole)
    assert studio.at("inpaint-start").is_enabled()
    studio.slide("inpaint-seconds", 2)
    filled(studio)
    result = decoded(studio.download("inpaint-download"))
    assert result.shape == pixels.shape
    changed = (result != pixels).any(axis=2)
    assert 0.01 < changed.mean() < 0.2
    rows, columns = np.nonzero(changed)
    assert (columns.min() / 1200 > 0.3, columns.max() / 1200 < 0.6, abs(rows.mean() - 300) < 20) == (True, True, True)


def test_what_cannot_be_kept_of_a_file_is_said_beside_the_result(studio: Studio, tmp_path: Path) -> None:
    studio.open("bg-32", tab="inpaint")
    studio.at("inpaint-method").locator("label:has([value=context])").click()
    for name, side in (("grey.png", 40), ("without-a-suffix", 44)):
        Image.fromarray(np.linspace(0, 65535, side**2, dtype=np.uint16).reshape(side, side)).save(tmp_path / name, "PNG")
        studio.at("inpaint-file").set_input_files(tmp_path / name)
        eventually(lambda side=side: drawn(studio.at("easel-picture")).shape == (side, side, 4))
        studio.drag("easel", (0.4, 0.5), (0.5, 0.5))
        filled(studio)
        assert studio.at("inpaint-note").inner_text() == "Not kept of your file: 16 bits per channel: written with 8."
    studio.at("inpaint-again").click()
    eventually(lambda: not studio.at("compare").is_visible())
    studio.drag("easel", (0.6, 0.7), (0.7, 0.7))
    filled(studio)
    assert studio.at("compare").is_visible()
    assert not studio.at("inpaint-note").is_visible()  # of the result everything is kept


UNSENT = {
    ("big.jpg", 32_000_001): "The file has 32.1 MB; at most 32 MB can be sent: save it as a smaller JPEG.",
    ("bigger.png", 40_500_000): "The file has 40.5 MB; at most 32 MB can be sent: save it as a smaller JPEG.",
    ("scan.TIF", 9): "This browser cannot show TIFF files; save the picture as PNG or JPEG, and take that.",
    ("phone.heic", 9): "This browser cannot show HEIC files; save the picture as PNG or JPEG, and take that.",
    ("letter.png", 9): "This is no picture that the browser can read; take a PNG, JPEG, WebP or GIF.",
}


@pytest.mark.parametrize("tab", ["inpaint", "embed"])
def test_what_cannot_be_taken_is_told_before_it_is_sent(studio: Studio, tmp_path: Path, tab: str) -> None:
    studio.open("bg-32", tab=tab)
    for (name, size), line in UNSENT.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
        studio.at(f"{tab}-file").set_input_files(tmp_path / name)
        eventually(lambda line=line: studio.page.locator("#notice p").inner_text() == line, line)
