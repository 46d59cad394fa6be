"""The structure of a run's networks as an SVG diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from mitlgan.report.layer_tables import SEVERAL, LayerTable, layer_tables

BOX_WIDTH, BOX_HEIGHT, GAP, COLUMN, MARGIN, TOP = 320, 34, 10, 360, 20, 60
MAX_TITLE_CHARS = 48
STYLE = (
    "text{font:11px sans-serif;fill:#333}.head{font-size:15px;font-weight:bold}.title{font-weight:bold}"
    "rect{fill:#eef3f8;stroke:#7c93ab}.frozen{fill:#f2f2f2;stroke:#999;stroke-dasharray:4 3}path{stroke:#7c93ab;fill:none}"
)
TIP = '<marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L6 3L0 6"/></marker>'


def structure_diagram(description: Mapping[str, Any]) -> str:
    """Return a diagram of all networks as SVG: each a column from top to bottom, with arrows from the end of one to the beginning of the next.

    The layers of a composition all lead to where they come together; frozen ones are dashed.
    """
    tables = layer_tables(description)
    height = TOP + 60 + max(len(table.rows) for table in tables) * (BOX_HEIGHT + GAP)
    width = MARGIN + len(tables) * COLUMN
    shapes = [shape for index, table in enumerate(tables) for shape in _column(table, index)]
    shapes += [_connection(tables, source, target, height) for source, target in _connections(tables)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{STYLE}</style><defs>{TIP}</defs><rect x="0" y="0" width="{width}" height="{height}" style="fill:#fff;stroke:none"/>'
        + "".join(shapes)
        + "</svg>\n"
    )


def _column(table: LayerTable, index: int) -> list[str]:
    """Return the shapes of one network: its name and totals, and a box for each row."""
    left = MARGIN + index * COLUMN
    frozen = " (frozen)" if table.is_frozen else ""
    shapes = [
        f'<text x="{left}" y="28" class="head">{escape(table.title + frozen)}</text>',
        f'<text x="{left}" y="46">{table.parameters:,} parameters, {table.trainable:,} trainable</text>',
    ]
    style = ' class="frozen"' if table.is_frozen else ""
    for row, (title, detail) in enumerate(layer.box() for layer in table.rows):
        y = _box_top(row)
        if row:
            middle = left + BOX_WIDTH // 2
            shapes.append(f'<path d="M{middle} {y - GAP}V{y - 2}" marker-end="url(#tip)"/>')
        short = title if len(title) < MAX_TITLE_CHARS else f"{title[: MAX_TITLE_CHARS - 3]}..."
        shapes.append(f'<rect x="{left}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"{style}/>')
        shapes.append(f'<text x="{left + 8}" y="{y + 14}" class="title">{escape(short)}</text>')
        shapes.append(f'<text x="{left + 8}" y="{y + 28}">{escape(detail)}</text>')
    return shapes


def _connections(tables: Sequence[LayerTable]) -> list[tuple[int, int]]:
    """Return from which to which column images go: from the layers to the fusion, and from the generator or composer to the critic."""
    names = [table.title for table in tables]
    if SEVERAL not in names:
        return [(index, index + 1) for index in range(len(names) - 1)]
    joint = names.index(SEVERAL)
    layers = [(index, joint) for index, name in enumerate(names[:joint]) if name.startswith("layer ")]
    return layers + [(joint, index) for index in range(joint + 1, len(names))]


def _connection(tables: Sequence[LayerTable], source: int, target: int, height: int) -> str:
    """Return an arrow: down from the last box of a column, along the bottom, and up to the first box of another."""
    start = MARGIN + source * COLUMN + BOX_WIDTH // 2
    bottom = _box_top(len(tables[source].rows)) - GAP
    channel = MARGIN + target * COLUMN - (COLUMN - BOX_WIDTH) // 2
    rail, end = height - 24, _box_top(0) + BOX_HEIGHT // 2
    return f'<path d="M{start} {bottom}V{rail}H{channel}V{end}H{channel + (COLUMN - BOX_WIDTH) // 2 - 2}" marker-end="url(#tip)"/>'


def _box_top(row: int) -> int:
    return TOP + row * (BOX_HEIGHT + GAP)
