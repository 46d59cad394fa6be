"""A project of one's own, behind a proxy at /gan/: from a folder of pictures to a composition, edited, saved and opened again."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_runs
from helpers.studio_browser import Studio, decoded, eventually, serving, under_prefix
from PIL import Image
from playwright.sync_api import Browser

from mitlgan.studio.app import create_app
from mitlgan.studio.settings import StudioSettings

TRAINING_S = 240.0
"""Patience with a training of a few seconds, on a machine that does much else."""
DROP = """(body, content) => {
  const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], "saved.png", { type: "image/png" }));
  for (const kind of ["dragover", "drop"]) body.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def garments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `data split` writes it: objects with mattes, backgrounds and scenes, of which some are held out."""
    folder = tmp_path_factory.mktemp("own") / "garments"
    for number, role in enumerate(("fg", "bg", "scene")):
        for split, count in (("train", 24), ("test", 6)):
            (folder / role / split).mkdir(parents=True)
            pictures = tiny_runs.pixels(count, 10 * number + count, 4 if role == "fg" else 3, size_px=32)
            for index, picture in enumerate(pictures):
                Image.fromarray(picture.transpose(1, 2, 0)).save(folder / role / split / f"{index}.png")
    return folder


@pytest.fixture
def project(garments: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The studio on these pictures and an empty folder of runs, at /gan/."""
    app = create_app(StudioSettings(runs=tmp_path_factory.mktemp("own-runs") / "runs", data=(garments,)))
    with serving(under_prefix(app, "/gan")) as address:
        yield f"{address}/gan"


@pytest.fixture
def own(browser: Browser, project: str) -> Iterator[Studio]:
    """The page, which must not complain."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield Studio(page, project)
    expected = ("frame is sandboxed", "Failed to load resource")  # what a report may not do, and what a test has the server refuse
    assert [each for each in complaints if not any(part in each for part in expected)] == []
    context.close()


def train(studio: Studio, role: str, kimg: float) -> None:
    """Start a training by the form, with what it proposes."""
    eventually(lambda: studio.at(f"training-role-{role}").is_checked(), f"the proposal of {role}", TRAINING_S)
    assert studio.at("training-set").locator("option:checked").inner_text() == "garments"
    assert "32 px" in studio.at("training-recipe").locator("option:checked").inner_text()
    studio.at("training-kimg").fill(str(kimg))
    eventually(studio.at("training-start").is_enabled, "the end of the last training", TRAINING_S)
    studio.at("training-start").click()


def newest(studio: Studio) -> str:
    """State of the newest run of the list."""
    return studio.at("run-item").first.locator(".state").inner_text()


def _begin_with_a_foreground(own: Studio) -> None:
    own.page.goto(f"{own.address}/#tab=train")
    own.page.wait_for_selector("#training:not([hidden])")
    assert "three trainings" in own.at("no-runs").inner_text()
    train(own, "fg", 0.064)


def test_a_training_is_started_by_the_form_and_the_next_one_proposed(own: Studio) -> None:
    """The first third of the whole way, below."""
    _begin_with_a_foreground(own)
    eventually(lambda: "modern-fg" in own.page.locator("#run h2").inner_text(), "its beginning", TRAINING_S)
    eventually(lambda: newest(own) == "done", "its end", TRAINING_S)
    eventually(lambda: own.at("training-role-bg").is_checked(), "the proposal of a background", TRAINING_S)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_a_folder_of_pictures_to_a_composition_that_is_edited_saved_and_opened_again(own: Studio) -> None:
    _begin_with_a_foreground(own)
    eventually(lambda: own.at("run-item").count() == 1 and newest(own) == "done", "the foreground's end", TRAINING_S)
    assert own.at("snapshot").get_attribute("src")  # early looks
    assert int(own.at("snapshot-slider").get_attribute("max") or 0) >= 3
    # The background is stopped, and ended as it is.
    train(own, "bg", 400)
    eventually(lambda: "modern-bg" in own.page.locator("#run h2").inner_text(), "the background's beginning", TRAINING_S)
    eventually(lambda: own.page.locator("#run .chart svg").count() > 0, "a curve", TRAINING_S)
    own.at("run-stop").click()
    eventually(own.at("run-finish").is_visible, "the stop", TRAINING_S)
    assert newest(own) == "stopped"
    own.at("run-resume").click()
    eventually(own.at("run-stop").is_visible, "the continuation", TRAINING_S)
    own.at("training-stop").click()
    eventually(own.at("run-finish").is_visible, "the second stop", TRAINING_S)
    own.at("run-finish").click()
    eventually(lambda: newest(own) == "done" and own.at("run-use").is_visible(), "the background's end", TRAINING_S)
    # The composition joins the two, which the form proposes.
    train(own, "compose", 0.064)
    for layer in ("fg", "bg"):
        assert "Shipped" not in own.at(f"training-{layer}").locator("option:checked").inner_text()
    eventually(
        lambda: own.at("run-item").count() == 3 and newest(own) == "done" and own.at("run-use").is_visible(), "the composition's end", TRAINING_S
    )
    own.at("run-use").click()
    own.page.wait_for_selector('#panel-generate:not([hidden]) #grid[data-test="grid"]:not([aria-busy]) img')
    own.settle()
    name = own.artifact
    assert name.endswith("-001")
    # Whoever comes now sees it at once.
    own.page.goto("about:blank")
    own.open()
    assert own.artifact == name
    # It is edited, saved as layers and as a picture, and opened again.
    own.drag("stage", (0.5, 0.5), (0.7, 0.4))
    own.settle()
    edited = own.picture()
    link = own.page.evaluate("location.hash")
    archive = zipfile.ZipFile(io.BytesIO(own.download("download-ora")))
    assert archive.namelist()[0] == "mimetype"
    assert np.array_equal(decoded(archive.read("mergedimage.png"))[..., :3], edited)
    saved = own.download("download-png")
    assert np.array_equal(decoded(saved), edited)
    own.at("download-size").select_option("256")
    assert decoded(own.download("download-png")).shape == (256, 256, 3)
    own.doing(own.at("reroll").click)
    assert not np.array_equal(own.picture(), edited)
    own.doing(lambda: own.page.locator("body").evaluate(DROP, base64.b64encode(saved).decode()))
    assert np.array_equal(own.picture(), edited)
    own.page.goto(f"{own.address}/{link}")
    own.settle()
    assert np.array_equal(own.picture(), edited)
    # Children, a direction with a name, and a quiz about one's own scenes.
    own.at("child").click()
    assert own.at("child-hint").is_visible()
    own.doing(own.at("scene-5").click)
    assert own.page.evaluate("location.hash").count("mix") >= 1
    own.at("direction-name-bg-0").fill("Warmth")
    with own.page.expect_response("**/api/directions/name") as named:
        own.at("direction-name-bg-0").press("Enter")
    assert named.value.status == 204
    own.tab("quiz")
    own.page.wait_for_selector("#quiz-real:enabled")
    assert "the pictures of" in own.at("quiz-hint").inner_text()
    assert re.search(r"it was trained on them, as only \d+ are held out: \d+ pictures", own.at("quiz-hint").inner_text())
    own.page.reload()
    own.page.goto(f"{own.address}/")
    own.settle()
    eventually(lambda: own.at("direction-name-bg-0").input_value() == "Warmth")


@pytest.mark.timeout(600)
def test_an_error_of_a_training_is_shown_where_it_was_started(own: Studio, garments: Path) -> None:
    own.page.goto(f"{own.address}/#tab=train")
    own.page.wait_for_selector("#training:not([hidden])")
    own.page.locator('#training-role label:has([value="fg"])').click()
    own.at("training-recipe").select_option("recommended/fg-32")
    own.at("training-from").select_option(index=1)  # another's weights, of other pictures, but of networks that fit
    own.page.evaluate("document.getElementById('training-from').append(new Option('gone', 'gone-12345678', true, true))")
    asked: list[str] = []
    own.page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    length = own.at("training-kimg").input_value()
    own.at("training-kimg").fill("")
    own.at("training-start").click()  # an empty length is not the recipe's
    assert own.at("training-kimg").evaluate("field => field === document.activeElement && field.validity.valueMissing")
    own.at("training-kimg").fill(length)
    own.at("training-start").click()
    eventually(lambda: "artifact: none has this id" in own.at("notice").inner_text())
    assert [address.rpartition("/")[2] for address in asked if "/api/picture" not in address] == ["training"]
    assert str(garments.parent) not in own.page.content()
    assert own.at("training-start").is_enabled()
