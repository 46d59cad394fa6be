"""Of photographs that look the same one is used: the best of those that are not left out for another reason."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from mitlgan.data.curate.perceptual_hash import COLOR_SIDE
from mitlgan.data.layers.arrange import ConfidenceLimits, ManualChoices, decide


def line_of(name: str, side_px: int, confidence: float, colour: int, look: int = 0, **more: Any) -> dict[str, Any]:
    """The journal line of a cut; pictures of one colour look the same, those of one look are equal files."""
    colours = base64.b64encode(bytes((index * 37 + colour * 60) % 251 for index in range(3 * COLOR_SIDE**2))).decode()
    hashes = {"sha256": f"{colour}-{look or name}", "outline": f"{colour * 0x0F0F3355AACC:016x}", "colours": colours}
    pieces = [f"fg/{name}.png", f"set-aside/{name}.png"]
    return {"name": name, "width": side_px, "height": side_px, "confidence": confidence, "doubt": "x", "fault": "", "pieces": pieces} | hashes | more


@pytest.mark.parametrize(
    ("lines", "choices", "expected"),
    [
        pytest.param([line_of("small", 100, 0.97, 1), line_of("whole", 300, 0.95, 1)], {}, {"small": "whole"}, id="more pixels"),
        pytest.param([line_of("small", 100, 0.97, 1), line_of("whole", 300, 0.85, 1)], {}, {"whole": "small"}, id="a doubtful cut"),
        pytest.param([line_of("one", 300, 0.95, 1), line_of("surer", 300, 0.97, 1)], {}, {"one": "surer"}, id="as many pixels"),
        pytest.param([line_of("one", 300, 0.95, 1), line_of("other", 300, 0.95, 1)], {}, {"other": "one"}, id="all equal"),
        pytest.param([line_of("one", 300, 0.2, 1), line_of("other", 300, 0.3, 1)], {}, {}, id="both set aside"),
        pytest.param([line_of("one", 300, 0.9, 1, fault="odd"), line_of("other", 100, 0.81, 1)], {}, {}, id="a fault"),
        pytest.param([line_of("small", 100, 0.97, 1), line_of("whole", 300, 0.95, 1)], {"exclude": {"whole"}}, {}, id="excluded"),
        pytest.param([line_of("small", 100, 0.97, 1), line_of("whole", 300, 0.95, 1)], {"keep": {"small"}}, {"whole": "small"}, id="kept"),
        pytest.param([line_of("small", 100, 0.97, 1), line_of("whole", 300, 0.95, 1)], {"keep": {"small", "whole"}}, {}, id="both kept"),
        pytest.param(
            [line_of("a", 90, 0.99, 1), line_of("b", 300, 0.95, 1, 5), line_of("c", 300, 0.95, 1, 5), line_of("d", 400, 0.95, 1)],
            {},
            {"a": "d", "b": "d", "c": "d"},
            id="equal files that look like a better one",
        ),
        pytest.param(
            [line_of("b", 300, 0.95, 1, 5), line_of("c", 300, 0.95, 1, 5), line_of("d", 100, 0.95, 1)],
            {"exclude": {"b"}},
            {},
            id="a copy of an excluded file stays out, what looks like it does not",
        ),
        pytest.param([line_of("b", 300, 0.1, 1, 5), line_of("c", 300, 0.95, 1, 5)], {}, {"b": "c"}, id="equal files, one cut well"),
    ],
)
def test_of_pictures_that_look_the_same_the_best_that_is_used_stays(
    lines: list[dict[str, Any]], choices: dict[str, set[str]], expected: dict[str, str]
) -> None:
    """Whatever the order of their names, no picture is left out for one that is not used."""
    decided = ManualChoices(frozenset(choices.get("exclude", ())), frozenset(choices.get("keep", ())))
    records = decide([*lines, line_of("another", 300, 0.95, 3)], decided, ConfidenceLimits(0.8, 0.75, 0.9), frozenset())
    duplicates = {record["name"]: record["reason"].split("'")[1] for record in records if record["decision"] == "duplicate"}
    assert duplicates == expected
    used = {record["name"] for record in records if record["decision"] == "used"}
    assert set(duplicates.values()) <= used
    reversed_records = decide(lines[::-1], decided, ConfidenceLimits(0.8, 0.75, 0.9), frozenset())
    assert len({record["name"] for record in reversed_records if record["decision"] == "used"}) == len(used - {"another"})
