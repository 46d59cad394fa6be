"""Quiz and study, as a person takes them: what was seen is answered, once; the score counts what was right, and the truth comes after the answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import tiny_runs
from helpers.studio_browser import Studio, eventually
from playwright.sync_api import BrowserContext, Route

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.studio import quiz
from mitlgan.study import real_or_fake, score_answers, write_study

DOUBLE_CLICK_MS = 60


def test_the_score_counts_and_the_truth_comes_after_the_answer(studio: Studio) -> None:
    told: list[dict[str, object]] = []
    questions: list[dict[str, object]] = []

    def note(response) -> None:
        if "/api/quiz" not in response.url:
            return
        answer = response.json()
        questions.append(answer.get("next", answer))
        if "truth" in answer:
            told.append(answer)

    studio.open("bg-32")
    studio.page.on("response", note)
    studio.tab("quiz")
    studio.page.wait_for_selector("#quiz-real:enabled")
    pictures = [studio.at("quiz-picture").get_attribute("src")]
    answers = []
    for index in range(6):
        if index < 2:
            answers.append("real")
            studio.at("quiz-real").click()
        else:
            key, answer = (("r", "real"), ("f", "fake"), ("R", "real"), ("F", "fake"))[index - 2]
            answers.append(answer)
            studio.page.keyboard.press(key)
        eventually(lambda count=index + 1: studio.at("quiz-score").inner_text().endswith(f"of {count}"))
        studio.page.wait_for_selector("#quiz-real:enabled")
        pictures.append(studio.at("quiz-picture").get_attribute("src"))
        eventually(lambda count=index + 1: len(told) == count)
        right = sum(answer == each["truth"] for answer, each in zip(answers, told, strict=True))
        assert studio.at("quiz-score").inner_text() == f"{right} of {index + 1}"
        word = "Right" if answers[-1] == told[-1]["truth"] else "Wrong"
        assert studio.at("quiz-truth").inner_text().startswith(word)
        assert studio.at("quiz-past").locator("li.right").count() == right
    assert len(set(pictures)) == 7
    found = re.match(r"(\d+) % right, 95 % interval (\d+)–(\d+) %", studio.at("quiz-interval").inner_text())
    assert found is not None
    share, low, high = (int(number) for number in found.groups())
    assert low <= share <= high
    assert all(set(question) == {"quiz", "picture", "asked", "right", "real_pictures", "real_count"} for question in questions)
    assert re.search(r"\(the demo's .*: [\d,]+ pictures, each asked about once\)", studio.at("quiz-hint").inner_text())
    for count in (7, 8):  # a double click answers the picture that was there, not the next one
        studio.at("quiz-real").dblclick(delay=DOUBLE_CLICK_MS)
        studio.page.wait_for_selector("#quiz-real:enabled")
        assert (studio.at("quiz-score").inner_text().split()[-1], len(told)) == (str(count), count)
    studio.at("quiz-again").click()
    eventually(lambda: studio.at("quiz-score").inner_text() == "0 of 0")
    assert json.dumps(questions).count("truth") == 0


def test_where_an_artifacts_own_pictures_are_unknown_there_is_no_quiz_but_the_reason(studio: Studio) -> None:
    studio.open("keyed", tab="quiz")
    eventually(studio.at("quiz-none").is_visible)
    assert "does not say which pictures it was trained on" in studio.at("quiz-none").inner_text()
    assert not studio.at("quiz-real").is_visible()
    held: list[Route] = []
    studio.page.route("**/api/quiz", lambda route: held.append(route) if "keyed" in (route.request.post_data or "") else route.continue_())
    studio.at("quiz-again").evaluate("button => button.click()")
    eventually(lambda: studio.at("quiz-real").is_disabled() and held)
    studio.choose("bg-32")
    eventually(studio.at("quiz-real").is_enabled)
    with studio.page.expect_response(lambda response: response.status == 422):  # the answer of the one before comes last
        held[0].continue_()
    studio.at("quiz-real").click()
    eventually(lambda: studio.at("quiz-score").inner_text().endswith("of 1"))
    assert studio.at("quiz-picture").is_visible()
    assert not studio.at("quiz-none").is_visible()


def test_a_study_asks_about_each_picture_once_and_loses_no_answer(context: BrowserContext, tmp_path: Path, packs: dict[str, Path]) -> None:
    dark = SimpleNamespace(sample=lambda seeds: torch.full((len(seeds), 3, tiny_runs.SIZE_PX, tiny_runs.SIZE_PX), -1.0))
    files = write_study(tmp_path, {"dark": dark}, ImagePack.open(packs["scene"]), each=3)
    page = context.new_page()
    page.goto(files.page.as_uri())

    def answered(count: int) -> None:
        eventually(lambda: page.locator("#bar").evaluate("bar => bar.value") == count)
        page.wait_for_function("performance.now() - seen > LOOK_MS")
        assert page.locator("#bar").evaluate("bar => bar.value") == count

    page.locator("#start").dblclick()
    answered(0)
    for count in (1, 2):
        page.locator("#real").dblclick(delay=DOUBLE_CLICK_MS)
        answered(count)
    for _ in range(5):  # held: the browser repeats it
        page.keyboard.down("g")
    page.keyboard.up("g")
    answered(3)
    page.evaluate("for (let times = 0; times < 3; times += 1) document.getElementById('real').click()")  # faster than anybody can look
    answered(4)
    page.reload()
    assert page.locator("#resume").inner_text() == "Go on (4 of 6 answered)"
    page.locator("#resume").click()
    for count in (5, 6):
        answered(count - 1)
        page.locator("#generated").click()
    page.locator("#back").click()  # also from the end
    answered(5)
    page.keyboard.press("r")
    with page.expect_download() as saving:
        page.locator("#save").click()
    file = tmp_path / "answers.json"
    saving.value.save_as(file)
    assert [answer["real"] for answer in json.loads(file.read_text())["answers"]] == [True, True, False, True, False, True]
    assert sum(arm.answers for arm in score_answers(files.key, [file]).arms.values()) == 6
    page.reload()  # the next participant begins anew
    assert page.locator("#resume").is_hidden()


def test_at_its_end_the_score_stays_and_the_page_says_why(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiz, "MAX_SEEN", 2)
    monkeypatch.setattr(real_or_fake, "MAX_SEEN", 2)
    studio.open("bg-32", tab="quiz")
    asked = 0
    studio.page.wait_for_selector("#quiz-real:enabled")
    assert "2 pictures, each asked about once" in studio.at("quiz-hint").inner_text()
    while "is over" not in studio.at("quiz-hint").inner_text():
        studio.page.wait_for_selector("#quiz-real:enabled")
        studio.at("quiz-real").click()
        asked += 1
        eventually(
            lambda count=asked: studio.at("quiz-score").inner_text() == f"{min(2, studio.at('quiz-past').locator('li.right').count())} of {count}"
        )
        eventually(lambda: studio.at("quiz-real").is_enabled() or "is over" in studio.at("quiz-hint").inner_text())
    assert studio.at("quiz-hint").inner_text().startswith("The quiz is over: it has asked about all 2 pictures that are real")
    assert studio.at("quiz-past").locator("li.right").count() == 2
    studio.tab("generate")
    studio.tab("quiz")
    assert studio.at("quiz-score").inner_text() == f"2 of {asked}"
    assert not studio.at("quiz-real").is_enabled()
    studio.at("quiz-again").click()
    eventually(studio.at("quiz-real").is_enabled)
    assert studio.at("quiz-score").inner_text() == "0 of 0"
