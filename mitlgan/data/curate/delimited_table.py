"""Reads rows of tables with commas, semicolons or tabs, as spreadsheets and programs write them: cells may be quoted and hold line breaks."""

from __future__ import annotations

import csv
import itertools
import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from mitlgan.errors import DataError, to_one_line

MAX_CELL_LINES = 1000
"""Lines of one cell, at most; a quote that is open for longer was never closed."""

_QUOTED = re.compile(r'(?<![^,;\t])"(?:[^"]|"")*(?:"|$)')
"""A quoted cell, or the first line of one."""


class DelimitedTable:
    """A table whose first line is its header.

    Args:
        lines: Without their ends.
        delimiter: Between the cells; None: of comma, semicolon and tab the one that the header has most of outside quotes.
        label: The table with its option, which begins an error message.
        needed: The columns that are read, of which each must be one; None: all.
    """

    def __init__(self, lines: Iterator[str], delimiter: str | None, label: str, needed: Collection[str] | None = None) -> None:
        header = next(lines, "")
        self._delimiter = delimiter or max(",;\t", key=lambda sign: (_QUOTED.sub("", header).count(sign), header.count(sign)))
        self._lines, self._waiting = itertools.chain([header], lines), deque[str]()
        self._number, self._label, self._needed = 0, label, needed
        self._names: list[str] = []
        self._repeated: dict[str, list[int]] = {}  # the places of each needed name that the header has more than once

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row as an object; cells that are missing at its end are absent, as spreadsheets leave them out.

        Raises:
            DataError: A row has more cells than the header, or different cells in two columns of one needed name, or a quote is not closed; the
                message names the line.
        """
        while (line := self._next_line()) is not None:
            number = self._number
            if not line and self._names:
                continue
            cells = self._read_record(line, number)
            if not self._names:
                self._names = cells
                places: dict[str, list[int]] = {}
                for place, name in enumerate(cells):
                    places.setdefault(name, []).append(place)
                is_needed = str.strip if self._needed is None else self._needed.__contains__
                self._repeated = {name: own for name, own in places.items() if len(own) > 1 and is_needed(name)}
                continue
            if any(cell.strip() for cell in cells[len(self._names) :]):
                sign = "a tab" if self._delimiter == "\t" else f'"{self._delimiter}"'
                counts = f"line {number} has {len(cells)} cells, and the header {len(self._names)}"
                raise DataError(f"{self._label}: {counts}; a cell that contains {sign} needs quotes around it")
            if self._repeated:
                self._check_repeated(cells, number)
            yield dict(zip(self._names, cells, strict=False))

    def _check_repeated(self, cells: Sequence[str], number: int) -> None:
        """Refuse different cells in columns of one name: which of them is meant cannot be known."""
        for name, places in self._repeated.items():
            values = list(dict.fromkeys(cells[place] if place < len(cells) else "" for place in places))
            if len(values) > 1:
                both = f"{values[0][:40]!r} and {values[1][:40]!r}"
                raise DataError(to_one_line(f"{self._label}: line {number} has {both} in two columns of the name {name!r}; rename one or take it out"))

    def _next_line(self) -> str | None:
        line = self._waiting.popleft() if self._waiting else next(self._lines, None)
        self._number += line is not None
        return line

    def _put_back(self, lines: Sequence[str]) -> None:
        self._waiting.extendleft(reversed(lines))
        self._number -= len(lines)

    def _read_record(self, line: str, number: int) -> list[str]:
        """Return the cells of the record that begins with a line; further lines are taken as far as a quoted cell goes."""
        if '"' not in line:
            return line.split(self._delimiter)
        cells, is_open = self._parse(line)
        if not is_open:
            return self._read_odd_quotes(line) if cells is None or (self._names and len(cells) > len(self._names)) else cells
        further: list[str] = []
        while is_open and len(further) < MAX_CELL_LINES and (more := self._next_line()) is not None:
            further.append(more)
            if '"' in more:
                cells, is_open = self._parse("\n".join([line, *further]))
        is_cell = cells is not None and not is_open
        if self._delimiter == "\t" and not (is_cell and cells is not None and self._is_one_record([line, *further], cells)):
            self._put_back(further)
            return self._split(line)
        if cells is None or is_open:
            raise DataError(f"{self._label}: line {number} has a quote that is not closed; close it, or write two for one that is meant")
        return cells

    def _is_one_record(self, lines: Sequence[str], cells: Sequence[str]) -> bool:
        """Whether lines with tabs are one record: they are rows of their own if each has the header's number of cells."""
        count = len(self._names) or len(cells)
        return len(cells) == count and not all(len(line.split(self._delimiter)) == count for line in lines)

    def _parse(self, text: str) -> tuple[list[str] | None, bool]:
        """Return the cells of a text by the rules of quotes, or None; and whether a quote is open at its end."""
        try:
            return next(csv.reader([text], delimiter=self._delimiter, strict=True)), False
        except csv.Error as error:
            return None, "end of data" in str(error)

    def _read_odd_quotes(self, line: str) -> list[str]:
        """Return the cells of a line whose quotes follow other rules, as after a backslash or a blank; their text may be odd, their number is not."""
        if self._delimiter == "\t":
            return self._split(line)
        readings = [next(csv.reader([line], delimiter=self._delimiter, skipinitialspace=skips)) for skips in (False, True)]
        return next((cells for cells in readings if len(cells) == len(self._names)), readings[0])

    def _split(self, line: str) -> list[str]:
        """Return the cells of a line in which quotes are characters, unless they enclose a whole cell."""
        return [cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell for cell in line.split(self._delimiter)]
