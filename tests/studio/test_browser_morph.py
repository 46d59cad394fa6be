"""Morph, as a person uses it: the way begins and ends with the very pictures that were picked."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
from helpers.studio_browser import Pixels, Studio, decoded, eventually, shown
from PIL import Image


def at_rest(studio: Studio) -> None:
    """Wait until the way of what is picked and chosen is shown."""
    studio.page.wait_for_selector('#morph-frame[src^="data:"]')
    studio.page.wait_for_selector(".way:not([aria-busy])")


def way(studio: Studio) -> list[Pixels]:
    """Every frame, by scrubbing from the first to the last."""
    found = []
    for index in range(int(studio.at("morph-scrub").get_attribute("max") or 0) + 1):
        studio.slide("morph-scrub", index)
        found.append(shown(studio.at("morph-frame")).astype(int))
    return found


def test_the_ends_are_the_picks_and_what_is_between_moves(studio: Studio) -> None:
    studio.open("keyed")
    studio.doing(studio.at("scene-4").click)
    picked = [studio.picture()]
    studio.at("pick-a").click()
    studio.doing(studio.at("scene-9").click)
    picked.append(studio.picture())
    studio.at("pick-b").click()
    studio.tab("morph")
    at_rest(studio)
    with studio.page.expect_response("**/api/morph"):
        studio.slide("morph-frames", 7)
    at_rest(studio)
    for name, picture in zip(("morph-a", "morph-b"), picked, strict=True):
        assert np.array_equal(shown(studio.at(name)), picture)
    frames = way(studio)
    assert len(frames) == 7
    assert studio.at("morph-where").inner_text() == "7 / 7"
    assert np.array_equal(frames[0], picked[0])
    assert np.array_equal(frames[-1], picked[1])
    steps = [np.abs(after - before).mean() for before, after in pairwise(frames)]
    assert min(steps) > 0
    studio.at("morph-scrub").press("Home")
    studio.at("morph-scrub").press("ArrowRight")
    assert np.array_equal(shown(studio.at("morph-frame")), frames[1])
    with studio.page.expect_response("**/api/morph"):
        studio.at("morph-easing").get_by_text("Linear").click()
    at_rest(studio)
    straight = way(studio)
    assert np.array_equal(straight[0], frames[0])
    assert not np.array_equal(straight[1], frames[1])


def test_one_layer_moves_and_the_other_stays(studio: Studio) -> None:
    studio.open("keyed")
    studio.doing(studio.at("scene-4").click)
    matte = studio.stage("matte").astype(int)
    studio.at("pick-a").click()
    studio.tab("morph")
    at_rest(studio)
    studio.at("morph-layer-bg").focus()
    with studio.page.expect_response("**/api/morph"):
        studio.at("morph-layer-bg").press("Space")
    at_rest(studio)
    frames = way(studio)
    moved = np.abs(frames[-1] - frames[0]).max(axis=2)
    assert moved[matte == 255].max() <= 1  # of a matte that is nearly 1; harmonising takes no notice of the background here
    assert (moved[matte == 0] > 1).mean() > 0.9


def test_files_have_the_frames_that_are_shown(studio: Studio) -> None:
    studio.open("bg-32", tab="morph")
    at_rest(studio)
    with studio.page.expect_response("**/api/morph"):
        studio.slide("morph-frames", 5)
    at_rest(studio)
    frames = way(studio)
    content = studio.download("morph-webp")
    with Image.open(io.BytesIO(content)) as moving:
        assert moving.n_frames == 8  # there and back
        assert moving.width % 32 == 0
        factor = moving.width // 32
    large = decoded(content)[..., :3]
    assert np.array_equal(large[::factor, ::factor], frames[0])  # lossless
    assert np.array_equal(large, frames[0].repeat(factor, 0).repeat(factor, 1))
    with Image.open(io.BytesIO(studio.download("morph-gif"))) as moving:
        assert moving.n_frames == 8
        moving.seek(4)
        last = np.asarray(moving.convert("RGB"))[::factor, ::factor].astype(int)
    assert np.abs(last - frames[-1]).mean() < 12  # of a palette


def test_it_plays_until_it_is_left(studio: Studio) -> None:
    studio.open("bg-32", tab="morph")
    at_rest(studio)
    studio.at("morph-play").click()
    assert studio.at("morph-play").get_attribute("aria-label") == "Pause"
    eventually(lambda: studio.at("morph-scrub").input_value() not in ("0", "1"))
    studio.tab("generate")
    assert studio.at("morph-play").get_attribute("aria-pressed") == "false"
    studio.tab("morph")
    before = shown(studio.at("morph-b"))
    studio.at("morph-b-random").click()
    eventually(lambda: not np.array_equal(shown(studio.at("morph-b")), before))
