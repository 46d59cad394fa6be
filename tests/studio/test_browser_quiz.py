"""Quiz, as a person takes it: the score counts what was right, and the truth comes after the answer."""

from __future__ import annotations

import json
import re

import pytest
from helpers.studio_browser import Studio, eventually

from mitlgan.studio import quiz
from mitlgan.study import real_or_fake


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
    studio.at("quiz-again").click()
    eventually(lambda: studio.at("quiz-score").inner_text() == "0 of 0")
    assert json.dumps(questions).count("truth") == 0


def test_where_an_artifacts_own_pictures_are_unknown_there_is_no_quiz_but_the_reason(studio: Studio) -> None:
    studio.open("keyed", tab="quiz")
    eventually(studio.at("quiz-none").is_visible)
    assert "does not say which pictures it was trained on" in studio.at("quiz-none").inner_text()
    assert not studio.at("quiz-real").is_visible()
    studio.choose("bg-32")
    eventually(studio.at("quiz-real").is_enabled)
    assert studio.at("quiz-picture").is_visible()
    assert not studio.at("quiz-none").is_visible()


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
