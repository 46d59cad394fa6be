"""Chooses pictures by tables: CSV or JSON lines, one or two joined, aggregated and filtered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mitlgan.data.curate.joined_rows import JoinedRows, parse_aggregates
from mitlgan.data.curate.row_filter import Condition, is_absent
from mitlgan.data.curate.table_rows import has_header, read_rows, require_columns
from mitlgan.data.sources.entry import file_entries
from mitlgan.data.sources.image_source import ImageSource
from mitlgan.errors import DataError, UsageError, to_one_line
from mitlgan.runtime.addresses import host_of, split_address


@dataclass(frozen=True)
class Selection:
    """How pictures are chosen.

    Attributes:
        metadata: A table with one row per picture.
        join: Another table, with any number of rows per picture.
        on: The column in both tables that identifies a picture, compared as text. A row without a value there has no partner.
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


def select_rows(selection: Selection, say: Callable[[str], None] = lambda line: None) -> Iterator[dict[str, Any]]:
    """Yield the rows of the metadata that meet the condition, with the aggregated columns, in their order.

    Args:
        selection: Which rows.
        say: Receives at the end a line for each kind of cell that was compared or averaged as a number and is none, or counted as true, for rows
            without a partner, and for aggregated columns that hide one of the metadata.

    Raises:
        DataError: A table cannot be read, or without aggregates no row has a partner in the other table, which has rows.
        UsageError: A column, function or condition does not exist. Rows without a header, as JSON lines, tell only at the end.
    """
    aggregates = parse_aggregates(selection.aggregates)
    if (selection.join is None) != (not selection.on) or (aggregates and selection.join is None):
        raise UsageError("--join: a second table needs --on COLUMN, and --agg needs a second table")
    condition = Condition(selection.where) if selection.where else None
    partners = JoinedRows(selection.join, selection.on, aggregates, say) if selection.join else None
    required = [("--image-column", selection.image), *([("--on", selection.on)] if selection.on else [])]
    new_columns = dict.fromkeys(aggregate.name for aggregate in aggregates)
    columns: dict[str, None] = {}  # in the order of their appearance

    def check_columns() -> None:
        require_columns(columns, required, selection.metadata)
        if condition is not None:
            condition.require_columns([*columns, *new_columns])

    needed = {column for _, column in required} | (condition.names - new_columns.keys() if condition is not None else set())
    for number, row in enumerate(read_rows(selection.metadata, "--metadata", needed)):
        columns.update(dict.fromkeys(row))
        if number == 0 and has_header(selection.metadata):
            check_columns()
        if partners is not None and not partners.extend(row):
            continue
        if condition is None or condition(row):
            yield row
    if columns:
        check_columns()
    if partners is not None:
        partners.describe(selection.metadata, columns)
    for line in condition.remarks() if condition is not None else ():
        say(line)


def select_pictures(selection: Selection, folder: Path) -> ImageSource:
    """Return the chosen pictures of a folder.

    A name that is the last part of several addresses is left out, and said, if only some of their rows are chosen. Addresses of one host and path
    are one, as the sizes of a picture may be; if what follows their `?` differs, that is said.

    Raises:
        DataError: No picture is chosen, or a row names a picture outside the folder.
    """
    names: dict[str, set[_Place]] = {}  # each with the addresses that mean it
    remarks: list[str] = []
    nameless = 0
    for row in select_rows(selection, remarks.append):
        value = _picture_text(row.get(selection.image), folder)
        name = _local_name(value)
        if name:
            _refuse_outside(name, value, selection.metadata)
            names.setdefault(name, set()).add(_Place.of(value))
        nameless += not name
    if nameless:
        remarks.append(f"--image-column {selection.image}: chosen rows that name no picture: {nameless:,}")
    if selection.where or selection.join:
        remarks += _leave_out_ambiguous(names, selection, folder)
    if not names:
        reasons = f" ({'; '.join(remarks)})" if remarks else ""
        if not selection.where:
            raise DataError(f"--metadata {selection.metadata}: chooses no picture{reasons}")
        raise DataError(f"--where {selection.where!r}: chooses no picture of {selection.metadata}; loosen it{reasons}")
    source = ImageSource(str(folder), file_entries(folder, names), is_chosen=True).without_shared_mattes()
    return source.subset(source.entries, remarks=remarks)


class _Place(NamedTuple):
    """What tells the picture of an address from others; both parts are empty for a path."""

    file: str  # host and path
    query: str

    @classmethod
    def of(cls, value: str) -> _Place:
        parts = split_address(value)
        return cls(f"{host_of(parts)}{parts.path}", parts.query) if "://" in value else cls("", "")


def _leave_out_ambiguous(names: dict[str, set[_Place]], selection: Selection, folder: Path) -> list[str]:
    """Remove the names that only addresses mean, and rows with another that are not chosen; return what to say of them."""
    uncertain = {name: places for name, places in names.items() if all(place.file for place in places)}  # a path means its file
    if not uncertain:
        return []
    left_out: dict[str, str] = {}
    variants: dict[str, str] = {}
    for row in read_rows(selection.metadata, "--metadata", [selection.image]):
        value = _picture_text(row.get(selection.image), folder)
        name = _local_name(value)
        place = _Place.of(value)
        if name in uncertain and place not in uncertain[name]:
            is_same = place.file in {chosen.file for chosen in uncertain[name]}
            (variants if is_same else left_out).setdefault(name, value)
    for name in left_out:
        del names[name]
        variants.pop(name, None)
    advice = "give a column with the path of each picture's own file"
    remarks = []
    for reason, examples in (
        ("pictures left out because a row that is not chosen means the same file by another address", left_out),
        ("pictures that a row that is not chosen means too, by an address that differs only after the question mark", variants),
    ):
        for name, value in list(examples.items())[:1]:
            example = f"{len(examples):,}, such as {name[:80]!r} by {value[:200]!r}"
            remarks.append(to_one_line(f"--image-column {selection.image}: {reason}: {example}; {advice}"))
    return remarks


def _picture_text(cell: Any, folder: Path) -> str:
    """Return the path or address in a cell: its text, or a whole number, as a file may be called; empty for anything else that JSON has.

    The text `nan` stands for an absent value, unless the folder has a file of that name.
    """
    if isinstance(cell, bool) or not isinstance(cell, str | int):
        return ""
    text = str(cell).strip()
    return "" if is_absent(cell) and not (folder / text).is_file() else text


def _local_name(value: str) -> str:
    """Return a path relative to the pictures' folder: of an address, its last part; empty if there is none."""
    if "://" in value:
        return PurePosixPath(split_address(value).path).name
    return PurePosixPath(value.replace("\\", "/")).as_posix() if value else ""


def _refuse_outside(name: str, value: str, metadata: Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"--metadata {metadata}: the path {value[:200]!r} leaves the pictures' folder; make it relative to the folder")
