"""The script that says where the distance of a larger foreground comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from drawn_larger import measure

import mitlgan

PRETRAINED = Path(__file__).resolve().parent.parent.parent / "pretrained"


@pytest.mark.parametrize(("name", "size_px", "count"), [("modern-fg-64", None, 5), ("modern-bg-32", 64, 3)])
def test_every_way_of_enlarging_has_a_row(name: str, size_px: int | None, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "EXTRACTORS", ("efficientnet-lite0@96",))
    head, rule, *rows = measure.measure(PRETRAINED / name, 30, size_px)
    assert head == "| pictures of 64 px | KID, efficientnet-lite0@96 |"
    assert rule == "|---|--:|"
    values = {row.split("|")[1].strip(): float(row.split("|")[2]) for row in rows}
    assert len(values) == count
    assert abs(values["the same real ones, as they are"]) < 0.2 < values["generated at 32 px, enlarged by a filter"]


def test_only_a_child_has_a_drawing() -> None:
    child, other = (mitlgan.load(PRETRAINED / name) for name in ("modern-fg-64", "modern-bg-32"))
    parent, drawing = measure.split_child(child)
    assert drawing is not None
    latents = child.latents([1])
    assert torch.equal(drawing(parent(latents)), child.network(latents))
    assert measure.split_child(other) == (other.network, None)
