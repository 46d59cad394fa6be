"""The page as a whole: keys, names, widths, themes."""

from __future__ import annotations

import pytest
from helpers.studio_browser import Studio, eventually
from playwright.sync_api import Browser

TABS = ("generate", "morph", "embed", "inpaint", "train", "quiz")
NAMELESS = """() => [...document.querySelectorAll("button, a[href], input, select, [role=option], [role=tab]")]
  .filter(each => each.checkVisibility())
  .filter(each => ![each.ariaLabel, ...[...each.labels ?? []].map(label => label.innerText), each.innerText, each.title].join("").trim())
  .map(each => each.outerHTML)"""
TOO_SMALL = """() => [...document.querySelectorAll("button, a.button, select, [role=tab]")]
  .filter(each => each.checkVisibility() && (each.offsetHeight < 40 || each.offsetWidth < 40)).map(each => each.outerHTML)"""


def test_tabs_by_keys(studio: Studio) -> None:
    studio.open("bg-32")
    studio.at("tab-generate").focus()
    for name in (*TABS[1:], TABS[0]):  # from the last to the first again
        studio.page.keyboard.press("ArrowRight")
        assert studio.at(f"tab-{name}").evaluate("tab => tab === document.activeElement")
        assert studio.at(f"tab-{name}").get_attribute("aria-selected") == "true"
        assert [each for each in TABS if studio.at(f"panel-{each}").is_visible()] == [name]
    studio.page.keyboard.press("End")
    assert studio.at("panel-quiz").is_visible()
    studio.page.keyboard.press("Home")
    assert studio.at("panel-generate").is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_every_control_has_a_name_and_no_tab_is_wider_than_the_screen(browser: Browser, address: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, has_touch=width == 390)
    studio = Studio(context.new_page(), address).open("keyed")
    for name in TABS:
        studio.tab(name)
        assert studio.page.evaluate("document.documentElement.scrollWidth") == width
        assert studio.page.evaluate(NAMELESS) == []
        if width == 390:
            assert studio.page.evaluate(TOO_SMALL) == []
    context.close()


def test_dark_and_light_as_the_system_has_it_or_as_chosen(browser: Browser, address: str) -> None:
    def background(studio: Studio) -> tuple[int, ...]:
        colour = studio.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return tuple(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    context = browser.new_context(color_scheme="dark")
    studio = Studio(context.new_page(), address).open("bg-32")
    assert max(background(studio)) < 40
    studio.at("theme").click()
    assert background(studio) == (255, 255, 255)
    studio.page.reload()
    assert background(studio) == (255, 255, 255)
    studio.at("theme").click()
    studio.page.emulate_media(color_scheme="light")
    assert max(background(studio)) < 40
    studio.at("theme").click()
    assert background(studio) == (255, 255, 255)
    context.close()


def test_an_address_opens_its_tab(studio: Studio) -> None:
    studio.open("bg-32", tab="quiz")
    assert studio.at("panel-quiz").is_visible()
    assert studio.page.title().startswith("Quiz")
    eventually(lambda: studio.at("quiz-picture").get_attribute("src"))
    studio.page.reload()
    studio.settle()
    assert studio.at("panel-quiz").is_visible()
    assert studio.artifact == "bg-32"


def test_a_server_that_is_gone_is_told(studio: Studio) -> None:
    studio.open("bg-32")
    studio.page.context.set_offline(True)
    studio.at("reroll").click()
    eventually(lambda: "does not answer" in studio.at("notice").inner_text())
    studio.page.context.set_offline(False)
    studio.doing(studio.at("reroll").click)
