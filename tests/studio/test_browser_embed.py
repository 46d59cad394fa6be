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
    studio.choose("bg-32")  # what was found opens with its own artifact all the same
    studio.doing(studio.at("embed-edit").click)
    assert studio.artifact == "keyed"
    assert np.array_equal(studio.picture(), found)
    studio.at("hold-fg").click()
    front = studio.stage("fg")
    studio.doing(studio.at("reroll").click)
    assert np.array_equal(studio.stage("fg"), front)
    assert not np.array_equal(studio.picture(), found)


def test_an_embedding_is_cancelled(studio: Studio, tmp_path: Path) -> None:
    studio.open("bg-32", tab="embed")
    file = tmp_path / "wide.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 90, 3), dtype=np.uint8)).save(file)
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
