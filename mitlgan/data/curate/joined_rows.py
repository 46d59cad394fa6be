"""Joins a table to another: its rows are summed up for each key, as new columns of the other's rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitlgan.data.curate.row_filter import finite_number, is_absent
from mitlgan.data.curate.table_rows import has_header, read_rows, require_columns
from mitlgan.errors import DataError, UsageError, to_one_line

FUNCTIONS = ("mean", "sum", "min", "max", "count")
_AGGREGATE = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(\w+)\s*\(\s*(\w*)\s*\)\s*")


@dataclass(frozen=True)
class Aggregate:
    """A new column, computed from the joined rows."""

    name: str
    function: str
    column: str


def parse_aggregates(text: str) -> list[Aggregate]:
    """Parse new columns such as `rating=mean(overall), reviews=count()`.

    Raises:
        UsageError: The text has another form, names an unknown function, or gives two columns one name.
    """
    aggregates: list[Aggregate] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _AGGREGATE.fullmatch(part)
        if not match or match[2] not in FUNCTIONS or (match[2] != "count") == (not match[3]):
            raise UsageError(
                f'--agg {part!r}: write NAME=FUNCTION(COLUMN) with {", ".join(FUNCTIONS)}, for instance "rating=mean(overall), reviews=count()"'
            )
        if match[1] in [aggregate.name for aggregate in aggregates]:
            raise UsageError(f"--agg {text}: {match[1]} is given twice; give each column a name of its own")
        aggregates.append(Aggregate(match[1], match[2], match[3]))
    return aggregates


class JoinedRows:
    """The rows of a second table, summed up for each key. A row without a key belongs to no other.

    Args:
        path: The second table, which is read at once.
        on: The column of keys in both tables.
        aggregates: The new columns.
        say: Receives a line for each kind of cell that is no number, and for rows without a partner.

    Raises:
        DataError: The table cannot be read.
        UsageError: It has no such column.
    """

    def __init__(self, path: Path, on: str, aggregates: Sequence[Aggregate], say: Callable[[str], None]) -> None:
        self._on, self._label, self._aggregates, self._say_line = on, f"--join {path}", aggregates, say
        self._stats: dict[str, list[list[float]]] = {}  # count, sum, minimum and maximum for each key and aggregate
        self._joined_count = self._joined_keyless = 0
        self._count = self._lonely = self._lonely_keyless = 0  # rows of the metadata: all, without a partner, and of these without a key
        self._first_key = ""
        self._read(path)

    def _say(self, line: str) -> None:
        self._say_line(to_one_line(line))

    def _read(self, path: Path) -> None:
        """Sum up the rows; empty cells and `nan` are absent values."""
        required = [("--on", self._on), *(("--agg", aggregate.column) for aggregate in self._aggregates if aggregate.column)]
        columns: dict[str, None] = {}  # in the order of their appearance
        unreadable: dict[str, tuple[int, str]] = {}  # number of cells, and the first
        for number, row in enumerate(read_rows(path, "--join", {column for _, column in required})):
            columns.update(dict.fromkeys(row))
            if number == 0 and has_header(path):
                require_columns(columns, required, path)
            self._joined_count += 1
            key = _key(row.get(self._on))
            if not key:
                self._joined_keyless += 1
                continue
            self._add(key, row, unreadable)
        if columns:
            require_columns(columns, required, path)
        for column, (count, first) in unreadable.items():
            self._say(f"{self._label}: rows with no number as {column}: {count:,}, such as {first[:40]!r}; they do not count there")

    def _add(self, key: str, row: Mapping[str, Any], unreadable: dict[str, tuple[int, str]]) -> None:
        if key not in self._stats:
            self._stats[key] = [[0.0, 0.0, float("inf"), float("-inf")] for _ in self._aggregates]
        for sums, aggregate in zip(self._stats[key], self._aggregates, strict=True):
            cell = row.get(aggregate.column) if aggregate.column else 0.0
            value = finite_number(cell)
            if value is None:
                if str(cell).strip().lower() not in ("", "none", "nan"):
                    count, first = unreadable.get(aggregate.column, (0, str(cell)))
                    unreadable[aggregate.column] = (count + 1, first)
                continue
            sums[0] += 1
            sums[1] += value
            sums[2], sums[3] = min(sums[2], value), max(sums[3], value)

    def extend(self, row: dict[str, Any]) -> bool:
        """Add the new columns to a row of the metadata; return whether it stays: a join without aggregates keeps the rows that have a partner."""
        key = _key(row.get(self._on))
        stats = self._stats.get(key) if key else None
        self._count += 1
        self._lonely += stats is None
        self._lonely_keyless += not key
        self._first_key = self._first_key or key
        row |= {aggregate.name: _result(aggregate, stats[index] if stats else None) for index, aggregate in enumerate(self._aggregates)}
        return stats is not None or bool(self._aggregates)

    def describe(self, metadata: Path, columns: Collection[str]) -> None:
        """Say which rows of either table have no partner, and which columns of the first are hidden by new ones.

        Args:
            metadata: The first table.
            columns: Its columns.

        Raises:
            DataError: None of its rows has a partner, though both tables have rows, and there are no new columns, which tell what has none.
        """
        is_all = bool(self._count and self._joined_count and self._lonely == self._count)
        if is_all:
            there, here = (f"{key[:40]!r}" if key else "empty" for key in (self._first_key, next(iter(self._stats), "")))
            reason = f"none of the {self._count:,} rows of {metadata} has a partner in it by --on {self._on}"
            advice = f"the first value there is {there}, here {here}; choose a column of the same values, written the same way in both"
            if not self._aggregates:
                raise DataError(to_one_line(f"{self._label}: {reason}; {advice}"))
            self._say(f"{self._label}: {reason}; {advice}")
        if self._joined_keyless:
            self._say(f"{self._label}: rows with nothing as {self._on}, which belong to no other: {self._joined_keyless:,}")
        if self._lonely and not is_all:
            keyless = f", of these with nothing as {self._on}: {self._lonely_keyless:,}" if self._lonely_keyless else ""
            self._say(f"{self._label}: rows of {metadata} that have no partner in it: {self._lonely:,} of {self._count:,}{keyless}")
        for name in (aggregate.name for aggregate in self._aggregates if aggregate.name in columns):
            self._say(f"--agg {name}: takes the place of the column {name} of {metadata}; choose another name to have both")


def _key(value: Any) -> str:
    """Return what identifies a picture in both tables, as text; empty for an absent value and for blanks."""
    text = "" if is_absent(value) else str(value)
    return text if text.strip() else ""


def _result(aggregate: Aggregate, sums: Sequence[float] | None) -> float | None:
    if sums is None or not sums[0]:
        return 0.0 if aggregate.function in ("count", "sum") else None
    count, total, lowest, highest = sums
    return {"count": count, "sum": total, "mean": total / count, "min": lowest, "max": highest}[aggregate.function]
