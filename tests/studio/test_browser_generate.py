"""Generate, as a person uses it: what is held stays to the pixel, what is rerolled or moved changes where it should."""

from __future__ import annotations

import io
import json
import zipfile
from urllib.parse import parse_qs, quote

import numpy as np
import pytest
from helpers.studio_browser import Studio, decoded, eventually, from_uri, shown

from mitlgan.latents import latents_from_seeds

SIZE = 32
EIGHT_PIXELS = 8 / SIZE
CORRECTED = 7
"""By how many of 255 steps the shipped composition's translator may change a pixel: 0.05 of the range, and rounding."""


def matte_of(studio: Studio) -> np.ndarray:
    return studio.stage("matte").astype(int)


def moved_matte(matte: np.ndarray, across: int, down: int) -> np.ndarray:
    """A matte shifted by whole pixels; what comes in from outside is transparent."""
    found = np.zeros_like(matte)
    rows, columns = slice(max(0, down), SIZE + min(0, down)), slice(max(0, across), SIZE + min(0, across))
    found[rows, columns] = matte[max(0, -down) : SIZE + min(0, -down), max(0, -across) : SIZE + min(0, -across)]
    return found


def test_a_newcomer_sees_a_picture_whose_foreground_can_be_dragged(studio: Studio) -> None:
    studio.open()
    assert studio.artifact == "modern-128"
    assert studio.at("stage-hint").inner_text().startswith("Drag the foreground")


@pytest.mark.parametrize(("held", "other"), [("fg", "bg"), ("bg", "fg")])
def test_a_held_layer_stays_and_the_other_changes(studio: Studio, held: str, other: str) -> None:
    studio.open(artifact="thesis-narrow-32")
    before = {name: studio.stage(name) for name in ("fg", "bg", "output")}
    studio.at(f"hold-{held}").click()
    assert studio.at(f"hold-{held}").get_attribute("aria-pressed") == "true"
    studio.doing(studio.at("reroll").click)
    opened = [studio.stage(other)]
    assert np.array_equal(studio.stage(held), before[held])
    assert not np.array_equal(studio.picture(), before["output"])
    studio.doing(studio.at("scene-9").click)  # and in every picture of the grid
    assert np.array_equal(studio.stage(held), before[held])
    opened.append(studio.stage(other))
    assert not np.array_equal(opened[0], before[other])
    assert not np.array_equal(opened[0], opened[1])


def test_reroll_by_key_changes_all_that_is_free_and_nothing_is_left_to_reroll_when_all_is_held(studio: Studio) -> None:
    studio.open(artifact="keyed")
    before = {name: studio.stage(name) for name in ("fg", "bg")}
    studio.doing(lambda: studio.page.keyboard.press("r"))
    assert all(not np.array_equal(studio.stage(name), before[name]) for name in before)
    studio.at("hold-fg").click()  # holds its place, too
    assert studio.at("hold-place").get_attribute("aria-pressed") == "true"
    studio.at("hold-bg").click()
    assert studio.at("reroll").is_disabled()
    studio.at("hold-place").click()
    matte, front = matte_of(studio), studio.stage("fg")
    studio.doing(studio.at("reroll").click)
    assert np.array_equal(studio.stage("fg"), front)
    assert not np.array_equal(matte_of(studio), matte)


def test_a_held_place_stays_though_the_link_does_not_name_it(studio: Studio) -> None:
    """Also where it is held before the server has drawn the link's picture, and so has said its place."""
    offered = studio.page.request.get(f"{studio.address}/api/artifacts").json()
    artifact = next(each["id"] for each in offered if each["name"] == "keyed")
    link = {"artifact": artifact, "latents": {"fg": {"seed": 8}, "bg": {"seed": 8}}}
    waiting: list = []
    studio.page.route("**/api/picture", lambda route: route.continue_() if waiting else waiting.append(route))
    with studio.page.expect_request("**/api/picture"):
        studio.page.goto(f"{studio.address}/#s={quote(json.dumps(link))}")
    studio.at("hold-place").click()
    states = []
    for _ in range(2):
        with studio.page.expect_response("**/api/grid") as answer:
            studio.at("reroll").click()
        states += [each["state"] for each in answer.value.json()["pictures"][:2]]
        if len(states) == 2:
            waiting[0].continue_()
            studio.settle()
    *stands, linked = (studio.page.request.post(f"{studio.address}/api/picture", data={"state": state}).json()["stand"] for state in (*states, link))
    assert stands == [linked] * 4


def test_a_held_object_of_several_keeps_its_place_and_the_others_move(studio: Studio) -> None:
    """And with all objects held, so are the places, until one is let go."""
    studio.open(artifact="three-32")
    studio.doing(studio.at("scene-3").click)
    own = latents_from_seeds({"place": [3]}, {"place": 8})[0].tolist()
    for held, still, moving in (("near", slice(4, 8), slice(0, 4)), ("far", slice(0, 4), slice(4, 8))):
        studio.at(f"hold-{held}").click()
        assert studio.at("hold-place").get_attribute("aria-pressed") == "false"
        with studio.page.expect_response("**/api/grid") as answer:
            studio.doing(studio.at("reroll").click)
        places = [each["state"]["latents"]["place"]["values"] for each in answer.value.json()["pictures"]]
        assert all(place[still] == places[0][still] for place in places)
        assert len({tuple(place[moving]) for place in places}) == 16
        assert held == "far" or places[0][still] == pytest.approx(own[still], abs=1e-6)
        studio.at(f"hold-{held}").click()
    for name, pressed in (("near", "false"), ("far", "true"), ("near", "false"), ("near", "true")):
        studio.at(f"hold-{name}").click()
        assert studio.at("hold-place").get_attribute("aria-pressed") == pressed


def test_a_click_in_the_grid_opens_that_picture_large(studio: Studio) -> None:
    studio.open(artifact="thesis-narrow-32")
    for index in (3, 7):
        small = shown(studio.at(f"scene-{index}").locator("img"))
        studio.doing(studio.at(f"scene-{index}").click)
        assert np.array_equal(studio.picture(), small)
        assert studio.at(f"scene-{index}").get_attribute("aria-selected") == "true"
    small = shown(studio.at("scene-8").locator("img"))
    studio.doing(lambda: studio.at("scene-7").press("ArrowRight"))
    assert np.array_equal(studio.picture(), small)
    studio.doing(studio.page.go_back)  # the browser's own way back is an undo
    assert np.array_equal(studio.picture(), shown(studio.at("scene-7").locator("img")))


@pytest.mark.parametrize(("artifact", "elsewhere"), [("keyed", 0), ("modern-32", 2)])
def test_a_dragged_foreground_moves_and_what_lies_elsewhere_stays_but_for_the_translator(studio: Studio, artifact: str, elsewhere: float) -> None:
    studio.open(artifact)
    studio.doing(studio.at("scene-4").click)
    picture, matte, layers = studio.picture().astype(int), matte_of(studio), [studio.stage("fg"), studio.stage("bg")]
    studio.doing(lambda: studio.drag("stage", (0.4, 0.4), (0.4 + EIGHT_PIXELS, 0.4 + EIGHT_PIXELS / 2)))
    moved = matte_of(studio)
    assert np.abs(moved - moved_matte(matte, 8, 4)).max() <= 2  # rounding of the place to a thousandth
    difference = np.abs(studio.picture().astype(int) - picture)
    changed, outside = difference.max(axis=2) > 1, (matte == 0) & (moved == 0)
    assert outside.mean() > 0.2
    assert difference[outside].mean() <= elsewhere
    assert changed[(matte > 250) != (moved > 250)].mean() > 0.9
    assert np.array_equal(studio.stage("fg"), layers[0])
    assert np.array_equal(studio.stage("bg"), layers[1])
    studio.doing(studio.at("unplace").click)
    assert np.array_equal(studio.picture(), picture)


def test_wheel_keys_and_mirror_place_the_foreground(studio: Studio) -> None:
    studio.open(artifact="modern-32")
    studio.doing(studio.at("scene-4").click)
    area = matte_of(studio).sum()
    studio.at("stage").hover()
    studio.doing(lambda: studio.page.mouse.wheel(0, -200))
    assert matte_of(studio).sum() > 1.3 * area
    studio.doing(lambda: studio.slide("scale", 0.6))
    studio.doing(lambda: studio.slide("across", 0))
    studio.doing(lambda: studio.slide("down", 0))
    middle = matte_of(studio)
    studio.doing(lambda: studio.at("stage").press("f"))
    assert np.abs(matte_of(studio) - middle[:, ::-1]).max() <= 1
    studio.doing(studio.at("flip").click)
    assert np.array_equal(matte_of(studio), middle)
    studio.doing(lambda: studio.at("stage").press("ArrowRight"))
    assert np.abs(matte_of(studio) - moved_matte(middle, 1, 0)).max() <= 2
    studio.doing(lambda: studio.at("stage").press("Shift+ArrowUp"))
    assert np.abs(matte_of(studio) - moved_matte(middle, 1, -4)).max() <= 2


def test_fingers_drag_and_pinch(browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    studio = Studio(context.new_page(), address).open(artifact="keyed")
    touch = context.new_cdp_session(studio.page)
    box = studio.at("stage").bounding_box()

    def fingers(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": index} for index, (x, y) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def drag() -> None:
        fingers("touchStart", (0.25, 0.25))
        fingers("touchMove", (0.375, 0.25))
        fingers("touchMove", (0.5, 0.25))
        fingers("touchEnd")

    def pinch() -> None:
        fingers("touchStart", (0.4, 0.5), (0.6, 0.5))
        fingers("touchMove", (0.35, 0.5), (0.65, 0.5))
        fingers("touchMove", (0.3, 0.5), (0.7, 0.5))
        fingers("touchEnd")

    matte = matte_of(studio)
    studio.doing(drag)
    assert np.abs(matte_of(studio) - moved_matte(matte, 8, 0))[:, 8:].max() <= 12  # fingers come by whole pixels of the screen
    assert studio.page.evaluate("scrollY") == 0
    scale = float(studio.at("scale").input_value())
    studio.doing(pinch)
    assert float(studio.at("scale").input_value()) == pytest.approx(2 * scale, abs=0.02)
    context.close()


@pytest.mark.parametrize(("artifact", "elsewhere"), [("keyed", 0), ("modern-32", CORRECTED)])
def test_matte_strength_and_harmonising_change_the_foreground_and_elsewhere_what_the_translator_corrects(
    studio: Studio, artifact: str, elsewhere: int
) -> None:
    studio.open(artifact)
    picture, matte = studio.picture().astype(int), matte_of(studio)
    studio.doing(studio.at("harmonise").click)
    difference = np.abs(studio.picture().astype(int) - picture).max(axis=2)
    assert (difference[matte > 250] > elsewhere).mean() > 0.5
    assert difference[matte == 0].max() <= elsewhere
    studio.doing(lambda: studio.slide("matte-strength", 0))
    assert matte_of(studio).max() == 0
    assert np.array_equal(studio.picture(), studio.stage("bg"))


def test_a_direction_changes_its_layer_and_goes_back(studio: Studio) -> None:
    studio.open(artifact="thesis-narrow-32")
    layers = {name: studio.stage(name) for name in ("fg", "bg")}
    studio.doing(lambda: studio.slide("direction-bg-1", 3))
    assert np.array_equal(studio.stage("fg"), layers["fg"])
    assert not np.array_equal(studio.stage("bg"), layers["bg"])
    studio.doing(studio.at("reset-bg").click)
    assert np.array_equal(studio.stage("bg"), layers["bg"])
    studio.doing(lambda: studio.slide("truncation", 0.2))
    assert not np.array_equal(studio.stage("fg"), layers["fg"])


def test_every_stage_can_be_seen_large(studio: Studio) -> None:
    studio.open(artifact="keyed")
    for name in ("fused", "matte", "fg", "bg", "output"):
        studio.at(f"stage-{name}").click()
        assert np.array_equal(studio.picture(), studio.stage(name))
        assert studio.at(f"stage-{name}").get_attribute("aria-pressed") == "true"


def test_files_have_the_pixels_that_are_shown(studio: Studio) -> None:
    studio.open(artifact="keyed")
    studio.doing(lambda: studio.drag("stage", (0.3, 0.3), (0.55, 0.55)))
    names = ("output", "fused", "matte")
    with zipfile.ZipFile(io.BytesIO(studio.download("download-zip"))) as archive:
        for name in names:
            assert np.array_equal(decoded(archive.read(f"{name}.png")), studio.stage(name))
        for name in ("fg", "bg"):
            assert np.array_equal(decoded(archive.read(f"layer-{name}.png")), studio.stage(name))
        assert json.loads(archive.read("state.json"))["stand"]["across"] == pytest.approx(float(studio.at("across").input_value()), abs=0.006)
    assert np.array_equal(decoded(studio.download("download-png")), studio.picture())
    transparent = decoded(studio.download("download-transparent"))
    assert transparent.shape == (SIZE, SIZE, 4)
    assert np.array_equal(transparent[:, :, 3], studio.stage("matte"))


def test_a_link_makes_the_same_picture(studio: Studio) -> None:
    studio.open(artifact="keyed")
    studio.doing(studio.at("scene-6").click)
    studio.doing(lambda: studio.drag("stage", (0.5, 0.5), (0.6, 0.35)))
    studio.doing(lambda: studio.slide("direction-fg-0", -2))
    studio.at("copy-link").click()
    eventually(lambda: "copied" in studio.at("notice").inner_text().lower())
    link = studio.page.evaluate("navigator.clipboard.readText()")
    other = Studio(studio.page.context.new_page(), studio.address)
    other.page.goto(link)
    other.settle()
    eventually(lambda: other.at("stage-fg").count())
    for name in ("output", "matte", "fg", "bg"):
        assert np.array_equal(other.stage(name), studio.stage(name))
    assert np.array_equal(other.picture(), studio.picture())
    assert other.at("direction-fg-0").input_value() == "-2"


def test_a_damaged_link_is_told_and_leaves_a_picture(studio: Studio) -> None:
    studio.open(fragment="#s=%7Bbroken")
    assert "damaged" in studio.at("notice").inner_text()
    studio.at("notice-close").click()
    assert studio.at("notice").is_hidden()
    studio.page.goto("about:blank")
    studio.open(fragment="#s=" + json.dumps({"artifact": "gone-12345678"}).replace('"', "%22"))
    assert "gone-12345678" in studio.at("notice").inner_text()


def test_a_link_that_cannot_be_drawn_is_told_in_plain_words_and_leaves_a_picture(studio: Studio) -> None:
    offered = studio.page.request.get(f"{studio.address}/api/artifacts").json()
    artifact = next(each["id"] for each in offered if each["name"] == "keyed")
    refused = "This link is damaged: it holds no picture that keyed can make. Its first picture is shown instead."
    for latent, line in (
        ({"seed": 0.5}, refused),  # opened, and later come to by the address bar
        ({"seed": 2**53}, "This link has a seed above 9007199254740991, and a browser counts exactly only up to there"),
        (5, "This link is damaged: it holds no picture."),
        ({"seed": -1}, refused),
    ):
        studio.page.goto(f"{studio.address}/#s=" + quote(json.dumps({"artifact": artifact, "latents": {"fg": latent}})))
        eventually(lambda expected=line: studio.at("notice").inner_text().startswith(expected))
        studio.settle()
        assert studio.artifact == "keyed"
        assert np.array_equal(studio.picture(), shown(studio.at("scene-0").locator("img")))
    assert all(latent == {"seed": 0} for latent in json.loads(parse_qs(studio.page.evaluate("location.hash.slice(1)"))["s"][0])["latents"].values())


def test_a_saved_picture_opens_as_it_was_made_whatever_its_seed(studio: Studio) -> None:
    studio.open(artifact="keyed")
    state = {"artifact": json.loads(parse_qs(studio.page.evaluate("location.hash.slice(1)"))["s"][0])["artifact"]}
    large = {**state, "latents": {"fg": {"seed": 2**53 + 1}, "bg": {"seed": 2**63 - 1}}, "truncation": 0.8}
    saved = studio.page.request.get(f"{studio.address}/api/picture.png", params={"s": json.dumps(large)}).body()
    studio.doing(lambda: studio.at("open-file").set_input_files({"name": "saved", "mimeType": "", "buffer": saved}))
    assert np.array_equal(studio.picture(), decoded(saved))
    assert np.array_equal(decoded(studio.download("download-png")), decoded(saved))
    studio.page.reload()
    studio.settle()
    assert np.array_equal(studio.picture(), decoded(saved))


def test_a_generator_has_no_controls_for_what_it_cannot_do(studio: Studio) -> None:
    studio.open(artifact="bg-32")
    for name in ("hold", "placing", "matte-strength", "harmonise", "download-transparent", "download-zip", "stages"):
        assert studio.at(name).is_hidden(), name
    assert np.array_equal(decoded(studio.download("download-png")), studio.picture())
    studio.choose("thesis-narrow-32")
    assert "Nothing can be moved" in studio.at("stage-hint").inner_text()
    before = studio.picture()
    studio.drag("stage", (0.3, 0.3), (0.6, 0.6))
    assert np.array_equal(studio.picture(), before)


def test_a_busy_server_is_asked_again(studio: Studio) -> None:
    studio.open(artifact="thesis-narrow-32")
    refused = []

    def busy(route) -> None:
        if len(refused) == 2:
            route.continue_()
            return
        refused.append(route.request.url)
        route.fulfill(status=503, headers={"Retry-After": "0.2"}, json={"error": "the queue is full; try again in a second"})

    studio.page.route("**/api/grid", busy)
    before = studio.stage("fg")
    studio.at("reroll").click()
    eventually(lambda: "trying again" in studio.at("notice").inner_text())
    eventually(lambda: not np.array_equal(studio.stage("fg"), before))
    assert len(refused) == 2
    assert studio.at("notice").is_hidden()


def test_what_the_server_refuses_is_told_in_its_own_line(studio: Studio) -> None:
    studio.open(artifact="keyed")
    studio.page.route("**/api/picture", lambda route: route.fulfill(status=422, json={"error": "stand: nothing can be moved"}))
    studio.at("stage").press("ArrowLeft")
    eventually(lambda: studio.at("notice").inner_text().startswith("stand: nothing can be moved"))


def test_pictures_are_the_servers_to_the_byte(studio: Studio) -> None:
    studio.open(artifact="thesis-narrow-32")
    address = studio.at("download-png").get_attribute("href")
    answer = studio.page.request.get(f"{studio.address}/{address}")
    assert np.array_equal(decoded(answer.body()), from_uri(studio.at("stage-image").get_attribute("src")))
