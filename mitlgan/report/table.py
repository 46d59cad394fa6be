"""A table in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TableRow:
    """One row of a table, in words.

    Args:
        label: Row heading.
        meaning: What the row stands for; may be empty.
        cells: One per column.
        arm: Position of the arm, which gives its color; None for other rows.
        anchor: Whether the row is an anchor.
    """

    label: str
    meaning: str
    cells: Sequence[str]
    arm: int | None
    anchor: bool = False


@dataclass(frozen=True)
class Table:
    """A table in words.

    Args:
        corner: Heading of the first column.
        headings: Of the other columns.
        rows: In order.
        caption: Above it; may be empty.
    """

    corner: str
    headings: Sequence[str]
    rows: Sequence[TableRow]
    caption: str = ""

    def joined(self, other: Table) -> Table:
        """Return this table with the columns of another with the same rows."""
        rows = [dataclasses.replace(row, cells=[*row.cells, *further.cells]) for row, further in zip(self.rows, other.rows, strict=True)]
        return dataclasses.replace(self, headings=[*self.headings, *other.headings], rows=rows)
