"""Train, as a person watches it: the curves grow while the run does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from helpers.studio_browser import Studio, decoded, eventually
from PIL import Image
from playwright.sync_api import Route

from mitlgan.runtime.files import lock_folder
from mitlgan.training import run_directory


def write_lines(run: run_directory.Run, iterations: range) -> None:
    with run.stats_file.open("a") as file:
        for iteration in iterations:
            row = {"iteration": iteration, "kimg": iteration / 10, "wasserstein": 9 / iteration, "critic_loss": -iteration, "collapsed": False}
            file.write(json.dumps(row) + "\n")


def write_state(run: run_directory.Run, state: str, kimg: float) -> None:
    run.write_status({"state": state, "command": "pretrain", "kimg": kimg, "target_kimg": 4.0, "eta_s": 30.0, "images_per_s": 50.0})


def points(studio: Studio) -> int:
    chart = studio.at("charts").locator("svg").first
    found = re.search(r"(\d+) points", chart.get_attribute("aria-label") or "") if chart.count() else None
    return int(found.group(1)) if found else 0


def test_a_run_is_watched_while_it_grows(studio: Studio, runs_folder: Path) -> None:
    studio.open("bg-32")
    studio.tab("train")
    assert "No runs yet" in studio.at("no-runs").inner_text()
    run = run_directory.create_run(runs_folder, "pretrain", f"watched-{60 * 'x'}")
    run.recipe_file.write_text("")
    write_lines(run, range(1, 11))
    write_state(run, "running", 1.0)
    colours = {0: (200, 30, 30), 1: (30, 30, 200)}
    Image.new("RGB", (8, 8), colours[0]).save(run.path / "snapshots" / "000000.png")
    with lock_folder(run.path):
        eventually(lambda: points(studio) == 10)
        assert studio.at("charts").locator(".axis").first.inner_text() == "kimg"
        eventually(lambda: studio.at("run-item").locator(".state").inner_text() == "running")  # the list of runs is asked for apart
        assert "1 of 4 kimg" in studio.at("run-facts").inner_text()
        write_lines(run, range(11, 31))
        write_state(run, "running", 3.0)
        Image.new("RGB", (8, 8), colours[1]).save(run.path / "snapshots" / "000001.png")
        eventually(lambda: points(studio) == 30)
        eventually(lambda: studio.at("snapshot-slider").get_attribute("max") == "1")  # its file may come after a look at the curves
    for number, colour in colours.items():
        studio.slide("snapshot-slider", number)
        address = studio.at("snapshot").get_attribute("src")
        assert np.array_equal(decoded(studio.page.request.get(f"{studio.address}/{address}").body())[0, 0], colour)
    write_state(run, "done", 4.0)
    (run.path / "report.html").write_text("<!doctype html><title>Report</title><h1>What came of it</h1>")
    eventually(lambda: studio.at("run-item").locator(".state").inner_text() == "done")
    eventually(studio.at("report").is_visible)
    with studio.page.context.expect_page() as opening:
        studio.at("report").click()
    assert opening.value.locator("h1").inner_text() == "What came of it"
    for width in (1280, 390):  # a long name leaves the state in sight
        studio.page.set_viewport_size({"width": width, "height": 800})
        state, box = studio.at("run-item").locator(".state").bounding_box(), studio.at("runs").bounding_box()
        assert state is not None
        assert box is not None
        assert box["x"] < state["x"] < state["x"] + state["width"] <= box["x"] + box["width"] <= width
        assert studio.page.evaluate("document.documentElement.scrollWidth") == width
    # Answers that come late and all at once are drawn once.
    held: list[Route] = []
    studio.page.route("**/stats?after=-1", lambda route: held.append(route))
    studio.at("run-item").dblclick()
    eventually(lambda: studio.at("run-item").count() and len(held) >= 3)  # of both clicks, and of the page's own look
    for route in held:
        with studio.page.expect_response("**/stats?after=-1"):
            route.continue_()
    with studio.page.expect_response("**/stats?after=30"):  # the next look
        pass
    assert points(studio) == 30
