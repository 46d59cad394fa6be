"""The script that says where the distance of a larger foreground comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_larger import measure

import mitlgan

PRETRAINED = Path(__file__).resolve().parent.parent.parent / "pretrained"


def test_every_way_of_enlarging_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "EXTRACTORS", ("efficientnet-lite0@96",))
    head, rule, *rows = measure.measure(PRETRAINED / "modern-fg-64", 30)
    assert head == "| pictures of 64 px | KID, efficientnet-lite0@96 |"
    assert rule == "|---|--:|"
    values = [float(row.split("|")[2]) for row in rows]
    assert len(values) == 5
    assert abs(values[-1]) < 0.2 < values[1], "real pictures are like others, generated ones are not"


def test_a_generator_that_draws_nothing_larger_is_refused() -> None:
    with pytest.raises(TypeError, match="draws no smaller picture larger"):
        measure.split_child(mitlgan.load(PRETRAINED / "modern-bg-32"))
