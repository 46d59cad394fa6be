"""The structure of a run's networks as an SVG diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape

BOX_WIDTH, BOX_HEIGHT, GAP, COLUMN = 300, 34, 10, 340


def structure_diagram(description: Mapping[str, Any]) -> str:
    """Return a diagram of all networks side by side as SVG, from latent to image and from image to score."""
    columns = [(name, _boxes(part["rows"])) for name, part in description["networks"].items()]
    height = 90 + max(len(boxes) for _, boxes in columns) * (BOX_HEIGHT + GAP)
    shapes = []
    for index, (name, boxes) in enumerate(columns):
        left, top = 20 + index * COLUMN, 60
        part = description["networks"][name]
        shapes.append(f'<text x="{left}" y="28" class="head">{escape(name)}</text>')
        shapes.append(f'<text x="{left}" y="46">{part["parameters"]:,} parameters, {part["trainable"]:,} trainable</text>')
        for row, (title, detail) in enumerate(boxes):
            y = top + row * (BOX_HEIGHT + GAP)
            if row:
                middle = left + BOX_WIDTH // 2
                shapes.append(f'<path d="M{middle} {y - GAP}V{y - 2}" marker-end="url(#tip)"/>')
            shapes.append(f'<rect x="{left}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>')
            shapes.append(f'<text x="{left + 8}" y="{y + 14}" class="title">{escape(title)}</text>')
            shapes.append(f'<text x="{left + 8}" y="{y + 28}">{escape(detail)}</text>')
    width = 20 + len(columns) * COLUMN
    style = (
        "text{font:11px sans-serif;fill:#333}.head{font-size:15px;font-weight:bold}.title{font-weight:bold}"
        "rect{fill:#eef3f8;stroke:#7c93ab}path{stroke:#7c93ab;fill:none}"
    )
    tip = '<marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L6 3L0 6"/></marker>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{style}</style><defs>{tip}</defs><rect x="0" y="0" width="{width}" height="{height}" style="fill:#fff;stroke:none"/>'
        + "".join(shapes)
        + "</svg>\n"
    )


def _boxes(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return title and detail of one box per stage: its blocks, then output and parameters."""
    boxes = []
    for stage, blocks in groupby(rows, key=lambda row: ".".join(str(row["name"]).split(".")[:2])):
        members = list(blocks)
        shape = " x ".join(map(str, members[-1]["output"]))
        title = ", ".join(str(member["type"]).removeprefix("Parametrized") for member in members)
        boxes.append(
            (title if len(title) < 52 else title[:49] + "...", f"{stage.removeprefix('stages.')}: {shape}, {sum(m['parameters'] for m in members):,}")
        )
    return boxes
