"""A table joined to another: what belongs together, and what is said about the rest."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mitlgan.data.curate.joined_rows import parse_aggregates
from mitlgan.data.curate.table_selection import Selection, select_pictures, select_rows
from mitlgan.errors import DataError, UsageError

FORMS = ("csv", "jsonl")


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_aggregates_are_read() -> None:
    assert [(one.name, one.function, one.column) for one in parse_aggregates(" a = mean( b ) ,c=count()")] == [("a", "mean", "b"), ("c", "count", "")]
    assert parse_aggregates("") == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("empty", ["", "  ", None, "nan", float("nan")])
def test_rows_without_a_key_belong_to_no_other(tmp_path: Path, form: str, empty: str | float | None) -> None:
    metadata = write_table(tmp_path / f"a.{form}", [{"image": "0.png", "k": "A"}, {"image": "1.png", "k": empty}, {"image": "2.png", "k": "B"}])
    keyed = [{"k": "A", "stars": 5}, {"k": "B", "stars": 4}, {"k": "None", "stars": 3}]
    join = write_table(tmp_path / f"b.{form}", [*keyed, *({"k": empty, "stars": stars} for stars in (1, 2, 3))])
    lines: list[str] = []
    rows = list(select_rows(Selection(metadata, join, "k", "n=count(), r=mean(stars)"), lines.append))
    assert [(row["n"], row["r"]) for row in rows] == [(1, 5), (0, None), (1, 4)]
    assert lines == [
        f"--join {join}: rows with nothing as k, which belong to no other: 3",
        f"--join {join}: rows of {metadata} that have no partner in it: 1 of 3, of these with nothing as k: 1",
    ]
    assert [row["image"] for row in select_rows(Selection(metadata, join, "k"))] == ["0.png", "2.png"]
    with pytest.raises(DataError, match=r"chooses no picture .*belong to no other: 3"):
        select_pictures(Selection(metadata, join, "k", "n=count()", "n >= 2"), tmp_path)


def test_an_absent_key_is_no_text(tmp_path: Path) -> None:
    """Of JSON lines: an absent key, null and the text "None" were one."""
    metadata = write_table(tmp_path / "a.jsonl", [{"image": "0.png"}, {"image": "1.png", "k": None}, {"image": "2.png", "k": "None"}])
    join = write_table(tmp_path / "b.jsonl", [{"n": 1}, {"k": None}, {"k": "None"}, {"k": "None"}])
    assert [row["n"] for row in select_rows(Selection(metadata, join, "k", "n=count()"))] == [0, 0, 2]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("aggregates", ["", "n=count()"])
def test_a_table_of_other_keys_is_refused_or_said(tmp_path: Path, form: str, aggregates: str) -> None:
    """As where a column with gaps was written as 1.0."""
    metadata = write_table(tmp_path / f"a.{form}", [{"image": "0.png", "k": 1}, {"image": "1.png", "k": 2}])
    join = write_table(tmp_path / f"b.{form}", [{"k": 1.0}, {"k": 1.0}, {"k": 2.0}])
    selection = Selection(metadata, join, "k", aggregates, "n < 2" if aggregates else "")
    reason = r"--join .*none of the 2 rows of .* by --on k; the first value there is '1', here '1.0'; choose a column"
    if aggregates:  # `n == 0` may be the question
        lines: list[str] = []
        assert [row["n"] for row in select_rows(selection, lines.append)] == [0, 0]
        assert len(lines) == 1
        assert re.match(reason, lines[0])
        source = select_pictures(selection, tmp_path)
        assert [entry.name for entry in source.entries] == ["0.png", "1.png"]
        assert source.leftovers.remarks == tuple(lines)
    with pytest.raises(DataError, match=reason):
        select_pictures(replace(selection, where="n > 1") if aggregates else selection, tmp_path)
    (tmp_path / f"b.{form}").write_text("k\n" if form == "csv" else "")
    lines = []
    rows = list(select_rows(selection, lines.append))
    assert [row["n"] for row in rows] == ([0, 0] if aggregates else [])
    assert lines == [f"--join {join}: rows of {metadata} that have no partner in it: 2 of 2"]


@pytest.mark.parametrize("form", FORMS)
def test_where_all_have_a_partner_nothing_is_said(tmp_path: Path, form: str) -> None:
    metadata = write_table(tmp_path / f"a.{form}", [{"image": "0.png", "k": 1}, {"image": "1.png", "k": "007"}])
    join = write_table(tmp_path / f"b.{form}", [{"k": "1"}, {"k": "007"}, {"k": "007"}, {"k": "7"}])
    lines: list[str] = []
    assert [row["n"] for row in select_rows(Selection(metadata, join, "k", "n=count()"), lines.append)] == [1, 2]
    assert not lines


@pytest.mark.parametrize("form", FORMS)
def test_a_new_column_that_hides_another_is_said(tmp_path: Path, form: str) -> None:
    metadata = write_table(tmp_path / f"a.{form}", [{"image": "0.png", "k": "A", "r": 1}])
    join = write_table(tmp_path / f"b.{form}", [{"k": "A", "stars": 5}])
    lines: list[str] = []
    assert [row["r"] for row in select_rows(Selection(metadata, join, "k", "r=mean(stars), n=count()"), lines.append)] == [5]
    assert lines == [f"--agg r: takes the place of the column r of {metadata}; choose another name to have both"]


def test_a_number_beyond_all_floats_is_said(tmp_path: Path) -> None:
    metadata = write_table(tmp_path / "a.jsonl", [{"image": "0.png", "k": "A"}])
    join = write_table(tmp_path / "b.jsonl", [{"k": "A", "stars": 10**400}, {"k": "A", "stars": 2}])
    lines: list[str] = []
    assert [row["r"] for row in select_rows(Selection(metadata, join, "k", "r=mean(stars)"), lines.append)] == [2]
    assert "rows with no number as stars: 1, such as '1000" in lines[0]


@pytest.mark.parametrize("form", FORMS)
def test_truth_values_are_summed_up_as_numbers(tmp_path: Path, form: str) -> None:
    metadata = write_table(tmp_path / f"a.{form}", [{"image": "0.png", "k": "A"}])
    join = write_table(tmp_path / f"b.{form}", [{"k": "A", "sold": sold} for sold in (True, False, float("nan"), True, "false")])
    lines: list[str] = []
    rows = list(select_rows(Selection(metadata, join, "k", "n=sum(sold), r=mean(sold), low=min(sold)"), lines.append))
    assert [(row["n"], row["r"], row["low"]) for row in rows] == [(2, 0.5, 0)]
    assert not lines


def test_two_new_columns_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--agg n=count\(\), n=mean\(x\): n is given twice; give each column a name of its own") as caught:
        parse_aggregates("n=count(), n=mean(x)")
    assert caught.value.exit_code == 2
