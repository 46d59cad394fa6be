"""KID ratios: the composition over every other arm, budget by budget, plain and above the floor, in every form of the report."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from mitlgan.report.html import write_report
from mitlgan.report.ratios import kid_ratios
from mitlgan.report.schema import Anchor, ArmResult, Comparison
from mitlgan.report.summary import report_summary
from mitlgan.report.table_files import csv_table
from mitlgan.report.tables import kid_ratio_table

FLOOR = Anchor("real_pasted", "Real layers, pasted", {"fd": 300.0, "kid": 0.2})


def arm(name: str, *kids: float | None) -> ArmResult:
    standings = [{"budget": budget, "fd": 1.0, "kid": kid} for budget, kid in zip((5.0, 10.0), kids, strict=True)]
    role = "composed" if name == "composed" else "baseline"
    return ArmResult(name, name.upper(), role, budget_results=standings, metrics={"fd": 1.0, "kid": kids[-1]})  # type: ignore[arg-type]


@pytest.fixture
def whole() -> Comparison:
    """A composition, a WGAN, and a pasted arm that is as good as perfect layers."""
    return Comparison("x", [arm("composed", 0.8, 0.5), arm("wgan", 1.6, 0.8), arm("paste", 0.1, 0.4)], [FLOOR], budget_unit="kimg")


def test_each_budget_and_arm_has_both_ratios(whole: Comparison) -> None:
    found = {(ratio.arm, ratio.budget): (ratio.plain, ratio.above) for ratio in kid_ratios(whole)}
    assert found == {
        ("wgan", 5.0): (pytest.approx(0.5), pytest.approx(0.6 / 1.4)),
        ("wgan", 10.0): (pytest.approx(0.625), pytest.approx(0.5)),
        ("paste", 5.0): (pytest.approx(8.0), None),  # it does not lie above the floor
        ("paste", 10.0): (pytest.approx(1.25), pytest.approx(1.5)),
    }


@pytest.mark.parametrize(("diverged", "left"), [("wgan", {"paste"}), ("paste", {"wgan"}), ("composed", set())])
def test_an_arm_that_diverged_has_no_ratio(whole: Comparison, diverged: str, left: set[str]) -> None:
    arms = [replace(one, diverged=one.name == diverged) for one in whole.arms]
    assert {ratio.arm for ratio in kid_ratios(replace(whole, arms=arms))} == left


def test_a_composition_below_the_floor_has_a_ratio_that_is_not_positive() -> None:
    (ratio,) = kid_ratios(
        Comparison("x", [ArmResult("composed", "C", "composed", metrics={"kid": 0.1}), ArmResult("w", "W", "baseline", metrics={"kid": 1.2})], [FLOOR])
    )
    assert (ratio.budget, ratio.above) == (None, pytest.approx(-0.1))


def test_without_the_anchor_only_the_plain_one_is_shown(whole: Comparison) -> None:
    shown = kid_ratio_table(replace(whole, anchors=[]))
    assert shown is not None
    assert list(shown.headings) == ["5 kimg", "10 kimg"]
    assert [list(row.cells) for row in shown.rows] == [["0.500", "0.625"], ["8.00", "1.25"]]
    assert all(ratio.above is None for ratio in kid_ratios(replace(whole, anchors=[])))


def test_each_further_extractor_has_its_own_ratios_at_the_last_budget(whole: Comparison, tmp_path: Path) -> None:
    other = {"COMPOSED": 0.9, "WGAN": 1.2, "PASTE": 0.3}
    arms = [replace(one, by_extractor={"mobilenet": {"fd": 1.0, "kid": other[one.label]}}) for one in whole.arms]
    both = replace(whole, arms=arms, anchors=[replace(FLOOR, by_extractor={"mobilenet": {"kid": 0.6}})], protocol={"extractors": ["lite", "mobilenet"]})
    found = {(ratio.extractor, ratio.arm, ratio.budget): (ratio.plain, ratio.above) for ratio in kid_ratios(both)}
    assert found["lite", "wgan", 10.0] == (pytest.approx(0.625), pytest.approx(0.5))
    assert {place: value for place, value in found.items() if place[0] == "mobilenet"} == {
        ("mobilenet", "wgan", 10.0): (pytest.approx(0.75), pytest.approx(0.5)),
        ("mobilenet", "paste", 10.0): (pytest.approx(3.0), None),  # it does not lie above the floor
    }
    table = kid_ratio_table(both)
    assert table is not None
    assert [(row.label, list(row.cells)) for row in table.rows][:2] == [
        ("WGAN, by lite", ["0.500", "0.625", "0.429", "0.500"]),
        ("WGAN, by mobilenet", ["—", "0.750", "—", "0.500"]),
    ]
    assert "0.200 (lite) and 0.600 (mobilenet)" in table.caption
    rows = {(row["arm"], row["extractor"], row["budget"]): row for row in csv.DictReader(io.StringIO(csv_table([both])))}
    assert float(rows["WGAN", "mobilenet", "10.0"]["kid_ratio_above_floor"]) == pytest.approx(0.5)
    assert rows["PASTE", "mobilenet", "10.0"]["kid_ratio_above_floor"] == ""
    assert float(rows["PASTE", "lite", "10.0"]["kid_ratio"]) == pytest.approx(1.25)
    assert {ratio["extractor"] for ratio in report_summary(both)["kid_ratios"]} == {"lite", "mobilenet"}


def test_nothing_to_divide() -> None:
    assert kid_ratio_table(Comparison("x", [arm("wgan", 1.0, 1.0)])) is None
    assert kid_ratio_table(Comparison("x", [arm("composed", None, None), arm("wgan", 1.0, 1.0)])) is None
    assert kid_ratio_table(Comparison("x", [arm("composed", 1.0, 1.0), arm("wgan", -0.1, 0.0)])) is None  # an unbiased KID can be


def test_every_form_of_the_report_has_them(whole: Comparison, tmp_path: Path) -> None:
    paths = write_report(tmp_path, whole)
    for path in (paths.html, paths.md):
        text = path.read_text()
        assert "How far ahead, by KID" in text
        assert "10 kimg, above the floor" in text
        assert "0.200" in text
    by_place = {(row["arm"], row["budget"]): row for row in csv.DictReader(io.StringIO(paths.csv.read_text()))}
    assert float(by_place["WGAN", "10.0"]["kid_ratio_above_floor"]) == pytest.approx(0.5)
    assert by_place["PASTE", "5.0"]["kid_ratio_above_floor"] == ""
    assert by_place["COMPOSED", "5.0"]["kid_ratio"] == ""
    told = report_summary(whole)["kid_ratios"][0]
    assert (told["arm"], told["budget"], told["floor"], told["ratio"]) == ("wgan", 5.0, 0.2, pytest.approx(0.5))
