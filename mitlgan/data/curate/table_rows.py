"""Reads tables row by row: CSV, or objects one a line."""

from __future__ import annotations

import ast
import csv
import json
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from mitlgan.data.curate.delimited_table import DelimitedTable
from mitlgan.errors import DataError, UsageError, resource_fault
from mitlgan.runtime.gzip_files import open_unzipped
from mitlgan.runtime.text_files import TextError, iter_lines


def read_rows(path: Path, option: str, needed: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV or TSV file with a header, or of objects, one a line, as JSON or Python literals; all may be gzipped.

    Args:
        path: The file.
        option: How an error names it.
        needed: The columns that are read; None: all. Another may stand twice in a header, with different cells.

    Raises:
        DataError: The file cannot be read; the message names the line.
    """
    form = _form(path)
    try:
        with open_unzipped(path) as file:
            if form in (".csv", ".tsv"):
                yield from DelimitedTable(iter_lines(file), "\t" if form == ".tsv" else None, f"{option} {path}", needed).rows()
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


def has_header(path: Path) -> bool:
    """Whether the first row of a table has all of its columns."""
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


def require_columns(columns: Collection[str], required: Sequence[tuple[str, str]], path: Path) -> None:
    """Check that a table has the columns that options name.

    Raises:
        UsageError: One does not exist.
    """
    for option, column in required:
        if column not in columns:
            raise UsageError(f"{option} {column}: {path} has no such column; it has {', '.join(map(str, list(columns)[:12]))}")
