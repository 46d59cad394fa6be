"""A study shows pictures without a hint, and its score is counted right."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_runs
from torch import Tensor

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.origin import describe_origin
from mitlgan.errors import DataError, UsageError
from mitlgan.report.study_sheet import picture_text, write_study_sheet
from mitlgan.study import read_pictures, real_or_fake, score_answers, wilson_interval, write_study
from mitlgan.study.real_or_fake import draw_secretly


class Dark:
    """An arm whose pictures can be told by their pixels."""

    def sample(self, seeds: Sequence[int]) -> Tensor:
        return torch.full((len(seeds), 3, tiny_runs.SIZE_PX, tiny_runs.SIZE_PX), -1.0)


@pytest.fixture
def real(packs: dict[str, Path]) -> ImagePack:
    return ImagePack.open(packs["scene"])


def uris(page: Path) -> list[str]:
    found = re.search(r"const pictures = (\[.*?\]);", page.read_text())
    assert found is not None
    return [str(uri) for uri in json.loads(found[1])]


def test_nothing_but_pixels_tells_pictures_apart(tmp_path: Path, real: ImagePack) -> None:
    made = write_study(tmp_path, {"secret-arm": Dark(), "other": Dark()}, real, each=5)
    text = made.page.read_text()
    assert made.pictures == 15
    for hint in ("secret-arm", "other=", "seed", "http", 'src="', "picture 1"):
        assert hint not in text
    assert len({len(uri) for uri in uris(made.page)}) == 1
    key = json.loads(made.key.read_text())
    assert {item["arm"] for item in key["items"]} == {"real", "secret-arm", "other"}
    for item, uri in zip(key["items"], uris(made.page), strict=True):
        assert base64.b64decode(uri.split(",")[1])[:4] == b"\x89PNG"
        assert (item["arm"] != "real") == (uri == min(uris(made.page), key=lambda known: sum(base64.b64decode(known.split(",")[1])[60:-40])))


@pytest.mark.parametrize(("known", "limit", "expected"), [([], 500, 12), ([3, 5], 500, 10), ([], 4, 4), ([3], 4, 3), (range(12), 500, 0)])
def test_each_real_picture_comes_once_and_then_none(
    real: ImagePack, monkeypatch: pytest.MonkeyPatch, known: Sequence[int], limit: int, expected: int
) -> None:
    monkeypatch.setattr(real_or_fake, "MAX_SEEN", limit)
    assert len(real) == 12
    seen = list(known)
    drawn = []
    while (question := draw_secretly(Dark(), real, seen)) is not None:
        is_real, image = question
        assert is_real == (bool(image.any()))
        if is_real:
            drawn.append(seen[-1])
            assert torch.equal(image, real.batch([seen[-1]])[0])
    assert len(drawn) == len(set(drawn)) == expected
    assert not set(drawn) & set(known)
    assert draw_secretly(Dark(), real, seen) is None  # and stays so


def test_until_the_last_real_picture_has_come_nothing_tells_what_the_next_one_is(real: ImagePack) -> None:
    """With one left, and with all left, half of what comes is real."""
    for left in (1, 12):
        counts = Counter(question[0] for _ in range(400) if (question := draw_secretly(Dark(), real, list(range(left, 12)))) is not None)
        assert counts.total() == 400
        assert 130 < counts[True] < 270


def test_the_seed_decides_pictures_and_order(tmp_path: Path, real: ImagePack) -> None:
    pages = [write_study(tmp_path / str(i), {"a": Dark()}, real, each=6, seed=seed).page.read_bytes() for i, seed in enumerate((0, 0, 1))]
    assert pages[0] == pages[1] != pages[2]
    arms = [item["arm"] for item in json.loads((tmp_path / "0" / "key.json").read_text())["items"]]
    assert arms != sorted(arms)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (0, 0, 0, 1)]
)
def test_wilson_intervals_are_those_of_the_tables(hits: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=1e-4)


def answered(path: Path, study: str, said: list[Any], **more: Any) -> Path:
    path.write_text(json.dumps({"schema_version": 1, "study": study, "answers": said, **more}))
    return path


def test_realness_per_picture_and_per_arm(tmp_path: Path, real: ImagePack) -> None:
    made = write_study(tmp_path, {"dark": Dark()}, real, each=4)
    key = json.loads(made.key.read_text())
    truth = [item["arm"] == "real" for item in key["items"]]
    sharp = answered(tmp_path / "1.json", key["study"], [{"item": i, "real": real_} for i, real_ in enumerate(truth)])
    fooled = answered(tmp_path / "2.json", key["study"], [{"item": i, "real": True} for i in range(6)] + [{"item": 0, "real": False}])
    found = score_answers(made.key, [sharp, fooled])
    assert found.participants == 2
    dark = [i for i, real_ in enumerate(truth) if not real_]
    expected = sum(1 for i in dark if 0 < i < 6)
    assert (found.arms["dark"].real, found.arms["dark"].answers) == (expected, 4 + sum(1 for i in dark if i < 6))
    assert found.arms["real"].answers == 4 + sum(1 for i in range(6) if truth[i])
    assert found.pictures[0]["answers"] == 2
    assert found.pictures[0]["real"] == int(truth[0])
    assert found.pictures[7]["answers"] == 1
    json.dumps(found.as_json(), allow_nan=False)


def test_each_participant_counts_once(tmp_path: Path, real: ImagePack) -> None:
    """A page saves its participant; whoever saves twice, or a file that is named twice, is one."""
    made = write_study(tmp_path, {"dark": Dark()}, real, each=2)
    page = made.page.read_text()
    assert "JSON.stringify({ schema_version: 1, study, participant, saved_ms: Date.now(), answers }" in page
    assert "let participant = " in page
    study = json.loads(made.key.read_text())["study"]
    first = answered(tmp_path / "1.json", study, [{"item": 0, "real": True}], participant="ab", saved_ms=1)
    again = answered(tmp_path / "2.json", study, [{"item": 0, "real": False}, {"item": 1, "real": True}], participant="ab", saved_ms=2)
    other = answered(tmp_path / "3.json", study, [{"item": 0, "real": True}])  # of an earlier version's page
    silent = answered(tmp_path / "4.json", study, [], participant="cd")
    score = score_answers(made.key, [first, again, other, other, silent])
    assert (score.participants, score.repeated) == (2, 2)
    assert [(picture["real"], picture["answers"]) for picture in score.pictures] == [(1, 2), (1, 1), (0, 0), (0, 0)]


YES, NO = {"item": 0, "real": True}, {"item": 0, "real": False}
MORE = [NO, {"item": 1, "real": True}]


@pytest.mark.parametrize(
    ("saves", "counted"),
    [
        ({"answers-ab.json": ([YES], 10), "answers-ab (1).json": ([NO], 20)}, [NO]),
        ({"answers-ab.json": (MORE, 10), "answers-ab (1).json": ([YES], 20), "answers-ab (2).json": ([NO], 30)}, [NO]),
        ({"answers-ab.json": ([YES], 20), "answers-ab (1).json": (MORE, 10)}, [YES]),
        ({"answers-ab.json": ([NO], None), "answers-ab (1).json": (MORE, None)}, MORE),  # of an earlier version's page: one goes on from the other
        ({"answers-ab.json": ([], None), "answers-ab (1).json": ([YES], 10)}, [YES]),
        ({"answers-ab.json": ([YES], None), "copy.json": ([YES], None)}, [YES]),
        ({"1.json": ([NO], None), "2.json": ([MORE[1]], None), "3.json": (MORE, None)}, MORE),
        ({"1.json": ([NO], None), "2.json": (MORE, 10), "3.json": ([NO], 20)}, [NO]),
    ],
)
def test_of_several_files_of_a_participant_the_one_saved_last_counts_in_whatever_order(
    tmp_path: Path, real: ImagePack, saves: dict[str, tuple[list[Any], int | None]], counted: list[dict[str, Any]]
) -> None:
    made = write_study(tmp_path / "study", {"dark": Dark()}, real, each=2)
    study = json.loads(made.key.read_text())["study"]
    files = [
        answered(tmp_path / name, study, said, participant="ab", **({} if saved_ms is None else {"saved_ms": saved_ms}))
        for name, (said, saved_ms) in saves.items()
    ]
    for order in itertools.permutations(files):
        score = score_answers(made.key, order)
        assert (score.participants, score.repeated) == (1, len(files) - 1)
        assert {index: picture["real"] for index, picture in enumerate(score.pictures) if picture["answers"]} == {
            row["item"]: int(row["real"]) for row in counted
        }


@pytest.mark.parametrize("times", [(None, None), (None, 5), (5, 5)])
def test_files_of_a_participant_that_differ_without_a_time_are_refused(tmp_path: Path, real: ImagePack, times: tuple[int | None, int | None]) -> None:
    made = write_study(tmp_path / "study", {"dark": Dark()}, real, each=2)
    study = json.loads(made.key.read_text())["study"]
    files = [
        answered(tmp_path / f"{number}.json", study, [said], participant="ab", **({} if saved_ms is None else {"saved_ms": saved_ms}))
        for number, (said, saved_ms) in enumerate(zip((YES, NO), times, strict=True))
    ]
    with pytest.raises(DataError, match=r"[01]\.json and .*[01]\.json: other answers of the same participant"):
        score_answers(made.key, files)


@pytest.mark.parametrize("said", [[{"item": 99, "real": True}], [{"item": True, "real": True}], [{"item": 0, "real": 1}], ["x"], [{}], "x", None])
def test_broken_answers_are_refused(tmp_path: Path, real: ImagePack, said: Any) -> None:
    made = write_study(tmp_path, {"dark": Dark()}, real, each=2)
    study = json.loads(made.key.read_text())["study"]
    with pytest.raises(DataError, match=r"answers\.json: not a study"):
        score_answers(made.key, [answered(tmp_path / "answers.json", study, said)])


def test_files_of_something_else_are_refused(tmp_path: Path, real: ImagePack) -> None:
    made = write_study(tmp_path, {"dark": Dark()}, real, each=2)
    with pytest.raises(DataError, match="another study"):
        score_answers(made.key, [answered(tmp_path / "a.json", "0" * 16, [])])
    (tmp_path / "b.json").write_bytes(b"\xff\x00[[[[")
    for wrong in (tmp_path / "b.json", tmp_path / "absent.json", tmp_path):
        with pytest.raises(DataError):
            score_answers(made.key, [wrong])
    with pytest.raises(DataError, match="key"):
        score_answers(answered(tmp_path / "c.json", "x", []), [])


def test_studies_that_make_no_sense_are_refused(tmp_path: Path, real: ImagePack) -> None:
    for arms, each in (({}, 2), ({"real": Dark()}, 2), ({"a": Dark()}, 100)):
        with pytest.raises(UsageError):
            write_study(tmp_path, arms, real, each=each)


def said(page: Path) -> str:
    found = re.search(r'<section id="intro">.*?<p>(.*?)</p>', page.read_text(), re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def test_participants_are_told_what_is_true_of_the_pictures(tmp_path: Path, real: ImagePack) -> None:
    plain = said(write_study(tmp_path / "own", {"a": Dark()}, real, each=4).page)
    assert "put together" not in plain
    assert plain.startswith("You will see 8 small pictures, one by one. Some come from a collection of pictures, some a program has made up.")
    demo = said(write_study(tmp_path / "demo", {"a": Dark()}, real, each=4, origin=describe_origin("demo", "scene"), split="test").page)
    assert "a collection of pictures (the demo's scenes, put together from drawn objects and photographed places)" in demo
    assert json.loads((tmp_path / "demo" / "key.json").read_text())["split"] == "test"


@pytest.mark.parametrize("role", ["fg", "bg", "scene"])
def test_only_the_demos_pictures_are_described(role: str) -> None:
    assert "demo" in describe_origin("demo", role)
    for spec, name in (("/somewhere/shoes", "shoes"), ("/somewhere/shoes-64.npy", "shoes-64"), ("demo-like", "demo-like")):
        assert describe_origin(spec, role) == f"the pictures of {name}"


def test_a_sheet_shows_each_picture_with_its_percentage(tmp_path: Path, real: ImagePack) -> None:
    study = write_study(tmp_path / "study", {"made": Dark()}, real, each=2)
    key = json.loads(study.key.read_text())
    answers = []
    for person, verdicts in enumerate(([True] * 4, [True, False, True, False], [True, False, False, False])):
        file = tmp_path / f"{person}.json"
        rows = [{"item": index, "real": verdict} for index, verdict in enumerate(verdicts)]
        file.write_text(json.dumps({"schema_version": 1, "study": key["study"], "answers": rows}))
        answers.append(file)
    score = score_answers(study.key, answers)
    assert [picture_text(picture) for picture in score.pictures] == ["100 % (3 of 3)", "33 % (1 of 3)", "67 % (2 of 3)", "33 % (1 of 3)"]
    pictures = read_pictures(study.page, study.key)
    assert pictures == uris(study.page)
    text = write_study_sheet(tmp_path / "sheet.html", score, pictures).read_text()
    assert all(uri in text for uri in pictures)
    assert text.count("% (") == 4
    other = write_study(tmp_path / "other", {"made": Dark()}, real, each=3)
    with pytest.raises(DataError, match=r"study.html: not the page of "):
        read_pictures(other.page, study.key)
