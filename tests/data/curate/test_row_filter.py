"""Conditions mean the same on the text of a CSV and on the numbers of JSON lines."""

from __future__ import annotations

import csv
import itertools
import json
import operator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitlgan.data.curate.row_filter import Condition, cell_number, finite_number
from mitlgan.data.curate.table_selection import Selection, select_pictures, select_rows
from mitlgan.errors import DataError, UsageError

COLUMNS = ("image", "width", "height", "rating", "code", "title", "sold", "note")
ROWS: list[tuple[Any, ...]] = [
    ("0.png", 1000, 900, 10, "007", "a long title", True, "x"),
    ("1.png", 90, 100, 9, "7", "100", False, "10"),
    ("2.png", 120, 80, 4.5, "A7", "Non-stick", True),  # its note is absent
    ("3.png", 80, 120, -3, "70", "", False, ""),
    ("4.png", 1000, 96, 0, "9007199254740993", "None", True, "0"),
    ("5.png", 96, 1000, 9007199254740993, "9007199254740992", "false", False, "nan"),
]
CONDITIONS = {
    "width > height": [0, 2, 4],
    "width >= height": [0, 2, 4],
    "width < height": [1, 3, 5],
    "not width <= height": [0, 2, 4],
    "height < width < 1000": [2],
    "width == 1000": [0, 4],
    "width == height + 20 - 0 * rating or height == 96": [4],
    "width - height == 40": [2],
    "width != height": [0, 1, 2, 3, 4, 5],
    "rating >= '5'": [0, 1, 5],
    "rating > '9.5'": [0, 5],
    "'9.5' < rating": [0, 5],
    "rating <= '-3'": [3],
    "rating == 9007199254740992": [],
    "rating == 9007199254740993": [5],
    "code == rating": [],
    "code == 7": [0, 1],
    "code == '007'": [0],
    "code == '7'": [1],
    "code != '7'": [0, 2, 3, 4, 5],
    "code in ('7', '70')": [1, 3],
    "code in (7, 70)": [0, 1, 3],
    "code in (width, '7')": [1],
    "code < 70": [0, 1],
    "code < 'B'": [0, 1, 2, 3, 4, 5],
    "code >= 'A6'": [2],
    "width >= '1a'": [1, 3, 5],
    "width > ''": [0, 1, 2, 3, 4, 5],
    "text(code) < 'B'": [0, 1, 2, 3, 4, 5],
    "text(code) < '7'": [0],
    "title == title": [0, 1, 2, 3, 4, 5],
    "title < height": [5],
    "title >= height": [1],
    "title > 'N'": [0, 2, 4, 5],
    "length(title) > 3": [0, 2, 4, 5],
    "length(width) == 4": [0, 4],
    "'non' in lower(title)": [2, 4],
    "'0' in width": [0, 1, 2, 3, 4],
    "0 in width": [0, 1, 2, 3, 4],
    "'0' not in width": [5],
    "sold": [0, 2, 4],
    "not sold": [1, 3, 5],
    "sold and width > height": [0, 2, 4],
    "sold == True": [0, 2, 4],
    "sold != True": [1, 3, 5],
    "sold in (False, None)": [1, 3, 5],
    "sold == 'true'": [0, 2, 4],
    "sold == 'FALSE'": [1, 3, 5],
    "'True' != sold": [1, 3, 5],
    "sold in ('false', 'no')": [1, 3, 5],
    "sold not in ('false', 'no')": [0, 2, 4],
    "sold == title": [5],
    "title == 'False'": [5],
    "text(title) == 'False'": [],
    "sold == 1": [0, 2, 4],
    "sold == '0'": [1, 3, 5],
    "sold < 1": [1, 3, 5],
    "sold < 'true'": [1, 3, 5],
    "sold < 'x'": [0, 1, 2, 3, 4, 5],
    "sold + 1 == 2": [0, 2, 4],
    "number(sold)": [0, 2, 4],
    "sold == 'yes'": [],
    "sold != 'yes'": [0, 1, 2, 3, 4, 5],
    "rating": [0, 1, 2, 3, 5],
    "not rating": [4],
    "not (rating or sold)": [],
    "(rating or 5) == 5": [4],
    "title": [0, 1, 2, 4],
    "note": [0, 1],
    "not note": [2, 3, 4, 5],
    "note == None": [2, 5],
    "note == 'nan'": [],
    "note not in ('x', 10)": [3, 4],
    "note > ''": [0, 1, 4],
    "note != 'x'": [1, 2, 3, 4, 5],
    "note > 5": [1],
    "not note > 5": [0, 2, 3, 4, 5],
    "length(note) < 3": [0, 1, 3, 4],
    "'x' not in note": [1, 3, 4],
    "'x' not in lower(note)": [1, 3, 4],
    "text(note) == 'None'": [],
    "text(note) in ('None', 'x')": [0],
    "length(note) == None": [2, 5],
    "lower(note) == None or number(note) == 10": [1, 2, 5],
    "number(note) >= 0": [1, 4],
    "note + 1 == 11": [1],
}


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same table as CSV, with tabs, and as JSON lines."""
    folder = tmp_path_factory.mktemp("tables")
    for name, delimiter in {"a.csv": ",", "a.tsv": "\t"}.items():
        with (folder / name).open("w", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([COLUMNS, *ROWS])
    with (folder / "a.jsonl").open("w") as file:
        file.writelines(json.dumps(dict(zip(COLUMNS, row, strict=False))) + "\n" for row in ROWS)
    return [folder / name for name in ("a.csv", "a.tsv", "a.jsonl")]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_chooses_the_same_rows_of_each_form(forms: list[Path], condition: str) -> None:
    chosen = {path.name: [int(row["image"][0]) for row in select_rows(Selection(path, where=condition))] for path in forms}
    assert chosen == dict.fromkeys(chosen, CONDITIONS[condition])


def test_the_pictures_are_those_of_the_condition(forms: list[Path]) -> None:
    for path in forms:
        source = select_pictures(Selection(path, where="width > height"), path.parent)
        assert [entry.name for entry in source.entries] == ["0.png", "2.png", "4.png"]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("code < 70", "rows with text in place of a number: 1, such as 'A7'; it equals none"),
        ("code < rating", "rows with text in place of a number: 1, such as 'A7'; it equals none"),
        ("code < '70'", "rows with text in place of a number: 1, such as 'A7'; it equals none; text(COLUMN) is compared as text"),
        ("code < 'A8'", ""),
        ("width == 'A8'", ""),
        ("code == '70'", ""),
        ("code == title", ""),
        ("text(code) < '70'", ""),
        ("width < height", ""),
    ],
)
def test_text_among_numbers_is_said_once(forms: list[Path], condition: str, said: str) -> None:
    for path in forms:
        lines: list[str] = []
        list(select_rows(Selection(path, where=condition), lines.append))
        assert lines == ([f"--where {condition!r}: {said}"] if said else []), path.name


@pytest.mark.parametrize(
    ("condition", "chosen", "rows"),
    [
        ("keep", [0, 1, 4], 3),
        ("not keep", [2, 3, 5], 3),
        ("keep and image != '1.png'", [0, 4], 3),
        ("image == '1.png' or keep", [0, 1, 4], 2),
        ("keep == 'yes'", [0], 0),
        ("lower(keep) == 'yes'", [0, 4], 0),
        ("keep != ''", [0, 1, 2, 4, 5], 0),
    ],
)
def test_text_that_counts_as_true_is_said_once(condition: str, chosen: list[int], rows: int, tmp_path: Path) -> None:
    """A column of yes and no, in which `no` counts as true as well, since any text does."""
    cells = ("yes", "no", "FALSE", "", "Yes", "0")
    table, lines = tmp_path / "a.csv", list[str]()
    table.write_text("".join(["image,keep\n", *(f"{number}.png,{cell}\n" for number, cell in enumerate(cells))]))
    assert [int(row["image"][0]) for row in select_rows(Selection(table, where=condition), lines.append)] == chosen
    reason = f"rows with text in place of true or false: {rows}, such as 'yes'; it counts as true; compare it, as in COLUMN == 'yes', or"
    assert lines == ([f"--where {condition!r}: {reason} COLUMN != '' for any"] if rows else [])


ABSENT: list[dict[str, Any]] = [{}, {"title": None}, {"title": float("nan")}, {"title": "nan"}, {"title": " NaN"}]


@pytest.mark.parametrize("row", ABSENT)
@pytest.mark.parametrize(
    "value", ["title", "lower(title)", "text(title)", "length(title)", "number(title)", "length(lower(title))", "title + 1", "-title"]
)
def test_what_comes_of_an_absent_value_is_absent(row: dict[str, Any], value: str) -> None:
    false = [f"{value} {sign} {other}" for sign in ("<", "<=", ">", ">=", "==") for other in ("3", "'m'", "''", "'None'", "'nan'", "0")]
    false += [f"{value} in ('None', 'nan', 4, 3)", f"{value} not in (1, 'x')", f"'n' in {value}", f"'x' not in {value}", value]
    assert not [condition for condition in false if Condition(condition)(row)]
    true = [f"not {value}", f"{value} != 3", f"({value} or 5) == 5", f"not {value} > 3"]
    assert all(Condition(condition)(row) for condition in true)


SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}


CELLS: list[Any] = [True, False, float("nan"), 0, 1, -2.5, 100, "true", "FALSE", "NaN", "Nan", "", "1", "A5", "b"]
OPERANDS = ["0", "1", "True", "None", "'true'", "'False'", "'B10'", "'2020-06-01'", "'100'", "''", "'nan'", "b", "b + 1", "lower(b)", "text(b)", "-b"]


@pytest.mark.parametrize("operand", [*OPERANDS, "number(b)", "length(b)", "(0, 'x')", "('true', 1)"])
def test_a_cell_means_the_same_as_text_and_as_a_value(operand: str) -> None:
    """Truth values, numbers, `nan` and text, as JSON gives them and as a CSV does."""
    signs = ["in", "not in"] if operand[0] == "(" else list(SIGNS)
    for text in [f"a {sign} {operand}" for sign in signs] + [f"{operand} {sign} a" for sign in signs if operand[0] != "("] + ["a", f"not ({operand})"]:
        condition = Condition(text)
        for a, b in itertools.product(CELLS, CELLS):
            assert condition({"a": a, "b": b}) is condition({"a": str(a), "b": str(b)}), (text, a, b)


@given(st.integers() | st.floats(allow_nan=False), st.integers() | st.floats(allow_nan=False), st.sampled_from(list(SIGNS)))
def test_numbers_compare_as_numbers_in_each_form(left: float, right: float, sign: str) -> None:
    """Whole numbers with all of their digits; both columns, or one and a number in the condition, as numbers or as their text."""
    expected = SIGNS[sign](left, right)
    for row in ({"a": left, "b": right}, {"a": str(left), "b": str(right)}, {"a": left, "b": str(right)}, {"a": str(left), "b": right}):
        assert Condition(f"a {sign} b")(row) is expected
        if "e" not in str(right) and "inf" not in str(right):
            assert Condition(f"a {sign} {right}")(row) is expected
        if sign[0] in "<>":
            assert Condition(f"a {sign} '{right}'")(row) is expected


@pytest.mark.parametrize(
    ("value", "holds"), [("9" * 5000, True), ("-" + "9" * 400, False), (10**400, True), ("1e400", True), ("-inf", False), (" 70 ", True)]
)
def test_numbers_beyond_all_floats_are_compared(value: Any, holds: bool) -> None:
    for text in ("a > 5", "5 < a", "a >= '5'", "not a < 5", "a + 1 > 5", "a > b"):
        assert Condition(text)({"a": value, "b": "5"}) is holds, text


NUMBERS = {"5": 5, "-5": -5, "+5": 5, "05": 5, " 5\n": 5, "5.": 5, ".5": 0.5, "1e3": 1000, "2.5E-1": 0.25, "true": 1, "False": 0}
INFINITIES = [word for small in ("inf", "infinity") for word in (small, small.capitalize(), small.upper())]
NUMBERS |= {f"{sign}{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in INFINITIES}
NUMBERS |= {"9007199254740993": 9007199254740993}
OTHER_DIGITS = ["\uff11\uff10", "\u0661\u0660", "\u00b2"]
NO_NUMBERS = [
    "1_0",
    "2020_06",
    "1_0.5",
    "1e1_0",
    "0_0",
    "_1",
    "1_",
    "iNf",
    "INFinity",
    "InFinity",
    "infinit",
    "info",
    "infinity pool",
    "nan",
    "NAN",
    "",
    "-",
    ".",
    "e5",
    "1e",
    "1 0",
    "1,0",
]
NO_NUMBERS += ["0x10", "5%", "A5", *OTHER_DIGITS]


@pytest.mark.parametrize("text", [*NUMBERS, *NO_NUMBERS])
def test_text_is_a_number_only_as_programs_write_one(text: str) -> None:
    assert cell_number(text) == NUMBERS.get(text)
    assert finite_number(text) == (float(NUMBERS[text]) if text in NUMBERS and abs(NUMBERS[text]) < 1e300 else None)


@pytest.mark.parametrize(
    ("p", "q"), [("1_11", "11_1"), ("2020_1", "20_201"), ("\uff11\uff10", "10"), ("\u0661\u0660", "10"), ("0_1", "1"), ("iNf", "inf")]
)
def test_two_identifiers_are_not_equal(p: str, q: str) -> None:
    for row in ({"p": p, "q": q}, {"p": q, "q": p}):
        assert not [text for text in ("p == q", "p in [q]", "not p != q", "p not in [p]") if Condition(text)(row)]
        assert Condition("p == p and q in [q]")(row)
    assert Condition("p > q")({"p": "2020_1", "q": "2020_06"})  # an order of letters


@pytest.mark.parametrize("word", INFINITIES)
def test_infinities_of_all_programs_are_numbers_and_names_stay_words(word: str) -> None:
    for text in ("a > 5", "a >= b", "not a < 5", "-a < b", "a == a + 1"):
        assert Condition(text)({"a": word, "b": "1e300"}), text
    names = {"brand": word}
    assert Condition(f"brand == '{word}' and brand in ['Nike', '{word}'] and brand != 'x' and lower(brand) == '{word.lower()}'")(names)
    assert Condition("brand > 'A' and brand < 'z'")(names)
    assert not Condition(f"brand == '{word}'")({"brand": word.swapcase()})


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("other", ["m", "g", "T", "Zebra", "trud"])
def test_a_truth_value_is_ordered_by_its_word_however_it_is_written(sign: str, other: str) -> None:
    for value in (True, False):
        word = str(value).lower()
        for cell in (value, word, word.upper(), word.capitalize(), f" {word}"):
            assert Condition(f"f {sign} '{other}'")({"f": cell}) is SIGNS[sign](word, other)
            assert Condition(f"'{other}' {sign} f")({"f": cell}) is SIGNS[sign](other, word)


FUNCTIONS = ("text", "number", "length", "lower")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_column_may_have_the_name_of_a_function(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"image,{name}\na,7\nb,10\n")
    (tmp_path / "a.jsonl").write_text(f'{{"image": "a", "{name}": 7}}\n{{"image": "b", "{name}": 10}}\n')
    for path, (condition, chosen) in itertools.product(
        (tmp_path / "a.csv", tmp_path / "a.jsonl"),
        {f"{name} > 8": "b", f"text({name}) == '7'": "a", f"number({name}) == 10 and {name}({name}) != None": "b", f"length({name}) == 1": "a"}.items(),
    ):
        assert [row["image"] for row in select_rows(Selection(path, where=condition))] == [chosen], (path.name, condition)
        assert Condition(condition).names == {name}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("condition", ["{0} != 'cat'", "{0} < 3", "not {0}", "{0} in ('cat', None)", "{0}({0}) == None", "image == 'a' or {0}"])
def test_a_column_of_such_a_name_is_checked(name: str, condition: str, tmp_path: Path) -> None:
    """Without it nothing is chosen; two of it with different cells are refused."""
    (tmp_path / "a.csv").write_text("image,label\na,x\nb,y\n")
    (tmp_path / "a.jsonl").write_text('{"image": "a", "label": "x"}\n')
    for path in (tmp_path / "a.csv", tmp_path / "a.jsonl"):
        with pytest.raises(UsageError, match=f"^--where .*: no column {name}; "):
            list(select_rows(Selection(path, where=condition.format(name))))
    (tmp_path / "b.csv").write_text(f"image,{name},{name}\na,x,y\n")
    with pytest.raises(DataError, match=f"line 2 has 'x' and 'y' in two columns of the name '{name}'"):
        list(select_rows(Selection(tmp_path / "b.csv", where=condition.format(name))))
