"""Chooses pictures by tables: CSV or JSON lines, one or two joined, aggregated and filtered."""

from __future__ import annotations

import ast
import csv
import json
import math
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mitlgan.data.curate.delimited_table import DelimitedTable
from mitlgan.data.curate.row_filter import Condition
from mitlgan.data.sources.entry import file_entries
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.errors import DataError, UsageError, resource_fault, to_one_line
from mitlgan.runtime.addresses import split_address
from mitlgan.runtime.gzip_files import open_unzipped
from mitlgan.runtime.text_files import TextError, iter_lines

FUNCTIONS = ("mean", "sum", "min", "max", "count")
_AGGREGATE = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(\w+)\s*\(\s*(\w*)\s*\)\s*")


@dataclass(frozen=True)
class Selection:
    """How pictures are chosen.

    Attributes:
        metadata: A table with one row per picture.
        join: Another table, with any number of rows per picture.
        on: The column in both tables that identifies a picture.
        aggregates: New columns computed from the joined rows, as `rating=mean(overall), reviews=count()`.
        where: A condition on the columns.
        image: Column of the picture's path, relative to the pictures' folder; the last part of a URL is used.
    """

    metadata: Path
    join: Path | None = None
    on: str = ""
    aggregates: str = ""
    where: str = ""
    image: str = "image"

    def to_json(self) -> dict[str, str]:
        """Return the selection for a manifest."""
        return {"metadata": self.metadata.name, "join": self.join.name if self.join else "", "on": self.on, "aggregates": self.aggregates,
                "where": self.where, "image": self.image}  # fmt: skip


@dataclass(frozen=True)
class Aggregate:
    """A new column, computed from the joined rows."""

    name: str
    function: str
    column: str


def select_rows(selection: Selection, say: Callable[[str], None] = lambda line: None) -> Iterator[dict[str, Any]]:
    """Yield the rows of the metadata that meet the condition, with the aggregated columns, in their order.

    Args:
        selection: Which rows.
        say: Receives at the end a line for each kind of cell that was compared or averaged as a number and is none.

    Raises:
        DataError: A table cannot be read.
        UsageError: A column, function or condition does not exist. Rows without a header, as JSON lines, tell only at the end.
    """
    aggregates = parse_aggregates(selection.aggregates)
    if (selection.join is None) != (not selection.on) or (aggregates and selection.join is None):
        raise UsageError("--join: a second table needs --on COLUMN, and --agg needs a second table")
    condition = Condition(selection.where) if selection.where else None
    joined = _aggregate_rows(selection.join, selection.on, aggregates, say) if selection.join else {}
    required = [("--image-column", selection.image), *([("--on", selection.on)] if selection.on else [])]
    columns: dict[str, None] = {}  # in the order of their appearance

    def check_columns() -> None:
        _require_columns(columns, required, selection.metadata)
        if condition is not None:
            condition.require_columns([*columns, *(aggregate.name for aggregate in aggregates)])

    for number, row in enumerate(read_rows(selection.metadata, "--metadata")):
        columns.update(dict.fromkeys(row))
        if number == 0 and _has_header(selection.metadata):
            check_columns()
        if selection.join:
            stats = joined.get(str(row.get(selection.on)))
            row |= {aggregate.name: _result(aggregate, stats[index] if stats else None) for index, aggregate in enumerate(aggregates)}
            if stats is None and not aggregates:
                continue  # a join without aggregates keeps the rows that have a partner
        if condition is None or condition(row):
            yield row
    if columns:
        check_columns()
    if condition is not None and (text := condition.describe_text()):
        say(text)


def select_pictures(selection: Selection, folder: Path) -> ImageSource:
    """Return the chosen pictures of a folder.

    Raises:
        DataError: No picture is chosen, or a row names a picture outside the folder.
    """
    names: dict[str, None] = {}
    remarks: list[str] = []
    nameless = 0
    for row in select_rows(selection, remarks.append):
        value = str(row.get(selection.image) or "").strip()
        if value:
            names[_safe_path(value, selection.metadata)] = None
        nameless += not value
    if nameless:
        remarks.append(f"--image-column {selection.image}: chosen rows that name no picture: {nameless:,}")
    if not names:
        reasons = f" ({'; '.join(remarks)})" if remarks else ""
        if not selection.where:
            raise DataError(f"--metadata {selection.metadata}: chooses no picture{reasons}")
        raise DataError(f"--where {selection.where!r}: chooses no picture of {selection.metadata}; loosen it{reasons}")
    source = ImageSource(str(folder), file_entries(folder, names), is_chosen=True)
    return source.subset(source.entries, remarks=remarks)


def parse_aggregates(text: str) -> list[Aggregate]:
    """Parse new columns such as `rating=mean(overall), reviews=count()`.

    Raises:
        UsageError: The text has another form, or names an unknown function.
    """
    aggregates = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _AGGREGATE.fullmatch(part)
        if not match or match[2] not in FUNCTIONS or (match[2] != "count") == (not match[3]):
            raise UsageError(
                f'--agg {part!r}: write NAME=FUNCTION(COLUMN) with {", ".join(FUNCTIONS)}, for instance "rating=mean(overall), reviews=count()"'
            )
        aggregates.append(Aggregate(match[1], match[2], match[3]))
    return aggregates


def read_rows(path: Path, option: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV or TSV file with a header, or of objects, one a line, as JSON or Python literals; all may be gzipped.

    Raises:
        DataError: The file cannot be read; the message names the line.
    """
    form = _form(path)
    try:
        with open_unzipped(path) as file:
            if form in (".csv", ".tsv"):
                yield from DelimitedTable(iter_lines(file), "\t" if form == ".tsv" else None, f"{option} {path}").rows()
            elif form in (".jsonl", ".json", ".ndjson"):
                yield from _json_rows(iter_lines(file), path, option)
            else:
                raise DataError(f"{option} {path}: neither .csv, .tsv nor .jsonl (each may end in .gz)")
    except TextError as error:
        raise DataError(f"{option} {path}:{error.line}: {error.reason}") from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise resource_fault(error) or DataError(
            f"{option} {path}: cannot be read as a table ({error.__class__.__name__}: {str(error)[:120]})"
        ) from None


def _form(path: Path) -> str:
    """Return the suffix of a table in lower case, without `.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else suffixes[-1] if suffixes else ""


def _has_header(path: Path) -> bool:
    return _form(path) in (".csv", ".tsv")


def _json_rows(lines: Iterator[str], path: Path, option: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        value = parse_object(line)
        if value is None:
            raise DataError(f"{option} {path}: line {number} is not a JSON object, nor a Python literal of one; write one object a line")
        yield value


def parse_object(line: str) -> dict[str, Any] | None:
    """Return the object of a line: JSON, or a Python literal as in older dumps, which is parsed and not evaluated; None if it is neither."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _aggregate_rows(path: Path, on: str, aggregates: Sequence[Aggregate], say: Callable[[str], None]) -> dict[str, list[list[float]]]:
    """Return count, sum, minimum and maximum for each key and aggregate; empty cells and `nan` are absent values."""
    required = [("--on", on), *(("--agg", aggregate.column) for aggregate in aggregates if aggregate.column)]
    stats: dict[str, list[list[float]]] = {}
    columns: dict[str, None] = {}  # in the order of their appearance
    unreadable: dict[str, tuple[int, str]] = {}  # number of cells, and the first
    for number, row in enumerate(read_rows(path, "--join")):
        columns.update(dict.fromkeys(row))
        if number == 0 and _has_header(path):
            _require_columns(columns, required, path)
        key = str(row.get(on))
        if key not in stats:
            stats[key] = [[0.0, 0.0, float("inf"), float("-inf")] for _ in aggregates]
        for sums, aggregate in zip(stats[key], aggregates, strict=True):
            cell = row.get(aggregate.column) if aggregate.column else 0.0
            value = _finite_number(cell)
            if value is None:
                if str(cell).strip().lower() not in ("", "none", "nan"):
                    count, first = unreadable.get(aggregate.column, (0, str(cell)))
                    unreadable[aggregate.column] = (count + 1, first)
                continue
            sums[0] += 1
            sums[1] += value
            sums[2], sums[3] = min(sums[2], value), max(sums[3], value)
    if columns:
        _require_columns(columns, required, path)
    for column, (count, first) in unreadable.items():
        say(to_one_line(f"--join {path}: rows with no number as {column}: {count:,}, such as {first[:40]!r}; they do not count there"))
    return stats


def _finite_number(cell: Any) -> float | None:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _result(aggregate: Aggregate, sums: Sequence[float] | None) -> float | None:
    if sums is None or not sums[0]:
        return 0.0 if aggregate.function in ("count", "sum") else None
    count, total, lowest, highest = sums
    return {"count": count, "sum": total, "mean": total / count, "min": lowest, "max": highest}[aggregate.function]


def _require_columns(columns: Collection[str], required: Sequence[tuple[str, str]], path: Path) -> None:
    """Check that a table has the columns that options name."""
    for option, column in required:
        if column not in columns:
            raise UsageError(f"{option} {column}: {path} has no such column; it has {', '.join(map(str, list(columns)[:12]))}")


def _safe_path(value: str, metadata: Path) -> str:
    """Return a relative path that stays in the pictures' folder."""
    if "://" in value:
        return PurePosixPath(split_address(value).path).name
    name = PurePosixPath(value.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"--metadata {metadata}: the path {value[:200]!r} leaves the pictures' folder; make it relative to the folder")
    return name.as_posix()
