"""Embed, as a person uses it: a dropped picture is approached, and what is found opens as a picture that can be edited."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from helpers.studio_browser import Studio, decoded, eventually, shown
from PIL import Image

DROP = """(box, content) => {
  const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], "../../etc/passwd", { type: "image/png" }));
  for (const kind of ["dragover", "drop"]) box.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""
ERRORS = """() => {
  window.errors = [];
  new MutationObserver(() => window.errors.push(document.getElementById("embed-error").textContent))
    .observe(document.getElementById("embed-error"), { childList: true });
}"""


def test_a_dropped_picture_converges_and_its_layers_are_edited(studio: Studio) -> None:
    studio.open("keyed")
    studio.doing(studio.at("scene-5").click)
    given = studio.download("download-png")
    studio.tab("embed")
    assert studio.at("embed-start").is_disabled()
    studio.at("embed-drop").evaluate(DROP, base64.b64encode(given).decode())
    eventually(lambda: studio.at("embed-start").is_enabled())
    assert np.array_equal(shown(studio.at("embed-given"))[..., :3], decoded(given))
    studio.slide("embed-seconds", 4)
    studio.page.evaluate(ERRORS)
    studio.at("embed-start").click()
    assert studio.at("embed-cancel").is_enabled()
    eventually(studio.at("embed-edit").is_enabled, "the embedding's end")
    errors = [float(error.replace("−", "-")) for error in studio.page.evaluate("window.errors") if error != "–"]  # none while starts are looked through
    assert len(errors) >= 2
    assert errors[-1] < errors[0]
    assert studio.at("embed-curve").locator("polyline").count() == 1
    found = shown(studio.at("embed-found"))
    assert np.mean((found / 255 - decoded(given) / 255) ** 2) < 1.05 * errors[-1] + 1e-4
    studio.doing(studio.at("embed-edit").click)
    assert np.array_equal(studio.picture(), found)
    studio.at("hold-fg").click()
    front = studio.stage("fg")
    studio.doing(studio.at("reroll").click)
    assert np.array_equal(studio.stage("fg"), front)
    assert not np.array_equal(studio.picture(), found)
    studio.tab("embed")
    assert np.array_equal(shown(studio.at("embed-found")), found)
    studio.page.route("**/api/embed?*", lambda route: route.fulfill(status=413, json={"error": "body: is larger than 9 bytes; send less"}))
    studio.at("embed-start").click()
    eventually(lambda: "body: is larger" in studio.at("notice").inner_text())
    assert_no_result(studio)


def assert_no_result(studio: Studio) -> None:
    """Nothing of an earlier picture or artifact is left."""
    assert [studio.at(f"embed-{name}").inner_text() for name in ("step", "error", "psnr", "phase")] == ["–", "–", "–", ""]
    assert studio.at("embed-found").get_attribute("src") is None
    assert studio.at("embed-curve").locator("polyline").count() == 0
    assert studio.at("embed-progress").evaluate("bar => bar.value") == 0
    assert studio.at("embed-edit").is_disabled()


def test_an_embedding_is_cancelled(studio: Studio, tmp_path: Path) -> None:
    studio.open("bg-32", tab="embed")
    file = tmp_path / "wide"  # a name without a suffix has no type
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 90, 3), dtype=np.uint8)).save(file, "JPEG")
    studio.at("embed-file").set_input_files(file)
    eventually(lambda: studio.at("embed-start").is_enabled())
    assert shown(studio.at("embed-given")).shape[:2] == (32, 32)
    studio.slide("embed-seconds", 60)
    studio.at("embed-start").click()
    eventually(lambda: studio.at("embed-step").inner_text() != "–")
    studio.at("embed-cancel").click()
    eventually(lambda: studio.at("embed-start").is_enabled())
    assert studio.at("embed-cancel").is_disabled()
    assert studio.at("embed-edit").is_disabled()
    assert studio.at("notice").is_hidden()
    # Another picture, and another artifact, end what is under way and leave nothing of it.
    for act, size in ((lambda: studio.at("embed-own").click(), 32), (lambda: studio.choose("modern-64"), 64)):
        studio.at("embed-start").click()
        eventually(lambda: studio.at("embed-found").get_attribute("src"))
        with studio.page.expect_response(lambda response: response.request.method == "DELETE") as ended:
            act()
        assert ended.value.status == 204
        eventually(lambda side=size: shown(studio.at("embed-given")).shape[0] == side)
        eventually(studio.at("embed-start").is_enabled)
        assert_no_result(studio)
    assert not np.array_equal(shown(studio.at("embed-given"))[::2, ::2], shown(studio.at("embed-given"))[1::2, 1::2])
    assert studio.at("notice").is_hidden()


def test_a_server_that_ends_or_is_gone_while_it_works_is_told(studio: Studio) -> None:
    studio.open("bg-32", tab="embed")
    studio.at("embed-own").click()
    eventually(studio.at("embed-start").is_enabled)
    cancelled = {"content_type": "text/event-stream", "body": 'event: cancelled\ndata: {"message": "cancelled"}\n\n'}
    studio.page.route("**/events", lambda route: route.fulfill(**cancelled))
    studio.at("embed-start").click()
    eventually(lambda: "The server has stopped this work" in studio.at("notice").inner_text())
    eventually(studio.at("embed-start").is_enabled)
    studio.at("notice-close").click()
    studio.page.route("**/events", lambda route: route.abort("connectionrefused"))
    studio.page.clock.install()
    with studio.page.expect_event("requestfailed"):
        studio.at("embed-start").click()
    studio.page.clock.fast_forward(5_000)
    assert studio.at("notice").is_hidden()
    assert studio.at("embed-cancel").is_enabled()
    studio.page.clock.fast_forward(5_000)
    eventually(lambda: "does not answer" in studio.at("notice").inner_text())
    eventually(studio.at("embed-start").is_enabled)


def test_what_is_no_picture_is_told(studio: Studio, tmp_path: Path) -> None:
    studio.open("bg-32", tab="embed")
    file = tmp_path / "notes.png"
    file.write_text("no picture")
    studio.at("embed-file").set_input_files(file)
    eventually(lambda: "no picture" in studio.at("notice").inner_text())
    assert studio.at("embed-start").is_disabled()
    other = io.BytesIO()
    Image.new("RGB", (9, 5), (10, 200, 30)).save(other, "PNG")
    studio.at("embed-drop").evaluate(DROP, base64.b64encode(other.getvalue()).decode())
    eventually(lambda: studio.at("embed-start").is_enabled())
    assert np.array_equal(shown(studio.at("embed-given"))[0, 0, :3], (10, 200, 30))
