"""Choosing pictures by tables, and the language of conditions."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitlgan.data.curate.delimited_table import DelimitedTable
from mitlgan.data.curate.row_filter import Condition
from mitlgan.data.curate.table_selection import Selection, select_pictures, select_rows
from mitlgan.errors import DataError, UsageError

ROW: dict[str, Any] = {"rating": 4.5, "reviews": 12, "name": "Blue shoe", "price": "12.50", "none": None, "gap": "NaN"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("rating >= 4.0 and reviews >= 12", True),
        ("rating > 4.5 or reviews < 12", False),
        ("not (rating < 4)", True),
        ("4 <= rating <= 5", True),
        ("name == 'Blue shoe'", True),
        ("'shoe' in name", True),
        ("'SHOE' in lower(name)", False),
        ("name in ('Blue shoe', 'Red shoe')", True),
        ("name not in ['Red shoe']", True),
        ("price in (12.5, 13)", True),
        ("price not in (12.5, 13)", False),
        ("price in ('12.50', 3)", True),
        ("rating in ('4.5', 'x')", True),
        ("name in (1, 2)", False),
        ("name not in (1, 2)", True),
        ("none in (1, None) or none not in (1, 2)", False),
        ("gap > 1 or gap < 1 or gap in (1, 'NaN') or gap not in (1, 2)", False),
        ("gap == gap + 0 and gap == None", True),
        ("price > 12 and price < 13", True),
        ("rating * 2 - 1 == 8", True),
        ("length(name) == 9", True),
        ("number(price) + 1 > 13", True),
        ("none > 3 or none < 3", False),
        ("none == None", True),
        ("rating / 0 > 1", False),
        ("name < 3", False),
        ("-rating < 0", True),
        ("True", True),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert Condition(text, ROW)(ROW) is holds


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "rating.real",
        "name[0]",
        "(lambda: 1)()",
        "[x for x in name]",
        "rating if rating else 1",
        "9 ** 9 ** 9",
        "f'{rating}'",
        "rating := 3",
        "open('x')",
        "lower(name, name)",
        "b'x' == name",
        "rating >=",
        "",
        "rating; reviews",
        "import os",
        "1j == 1",
        "a" * 3000,
        "(" * 900 + "1" + ")" * 900,
        "not " * 450 + "1",
        "-" * 1900 + "1",
        "\x00",
    ],
)
def test_what_is_no_condition_is_refused_or_harmless(text: str) -> None:
    if text.startswith(("not", "-", "(")):  # deep, but a condition, for as long as the parser takes it
        with contextlib.suppress(UsageError):
            Condition(text, ROW)(ROW)
        return
    with pytest.raises(UsageError, match=r"^--where") as caught:
        Condition(text, ROW)
    assert caught.value.exit_code == 2


def test_an_unknown_column_names_the_closest() -> None:
    with pytest.raises(UsageError, match="no column ratng; did you mean rating"):
        Condition("ratng > 3", ROW)


def test_text_is_never_multiplied() -> None:
    assert not Condition("name * 1000000000 == 1", ROW)(ROW)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="rating nameor()<>=!.'\"+-*/%[]{},:0123456789\\x", max_size=60))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        Condition(text, ROW)(ROW)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    lines = ["asin,title,image", 'A1,"Shoe, blue",a1.jpg', "A2,Hat,sub/a2.jpg", "A3,Bag,https://x.example/i/a3.jpg?w=3", "A4,None,", "A5,Lost,a5.jpg"]
    (tmp_path / "products.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    reviews = [("A1", 5.0), ("A1", 4.0), ("A1", "x"), ("A2", 2.0), ("A2", 5), ("A3", 4.5), ("A4", 5), ("A9", 5)]
    with gzip.open(tmp_path / "reviews.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"asin": asin, "overall": stars}) + "\n" for asin, stars in reviews)
    return tmp_path


def choose(tables: Path, **changes: Any) -> list[dict[str, Any]]:
    values: dict[str, Any] = {"metadata": tables / "products.csv", "join": tables / "reviews.jsonl.gz", "on": "asin"} | changes
    return list(select_rows(Selection(**values)))


def test_products_are_joined_with_their_reviews(tables: Path) -> None:
    found = choose(
        tables, aggregates="rating=mean(overall), reviews=count(), best=max(overall), worst=min(overall), all=sum(overall)", where="rating >= 4.0"
    )
    assert [row["asin"] for row in found] == ["A1", "A3", "A4"]
    assert (found[0]["rating"], found[0]["reviews"], found[0]["best"], found[0]["worst"], found[0]["all"]) == (4.5, 3, 5, 4, 9)
    assert found[0]["title"] == "Shoe, blue"
    assert [row["asin"] for row in choose(tables, aggregates="reviews=count()", where="reviews >= 2 and title != 'Hat'")] == ["A1"]
    assert [row["asin"] for row in choose(tables, aggregates="reviews=count()", where="reviews == 0")] == ["A5"]
    assert [row["asin"] for row in choose(tables)] == ["A1", "A2", "A3", "A4"]  # a bare join keeps what has a partner


def test_the_chosen_become_a_source(tables: Path) -> None:
    source = select_pictures(Selection(tables / "products.csv", where="title != 'Lost'"), tables)
    assert [entry.name for entry in source.entries] == ["a1.jpg", "sub/a2.jpg", "a3.jpg"]


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "a/../../b.jpg", "..\\b.jpg"])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"image": name}))
    with pytest.raises(DataError, match="leaves the pictures' folder"):
        select_pictures(Selection(tmp_path / "a.jsonl"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"on": "sku"}, "--on sku: .* has no such column"),
        ({"image": "picture"}, "--image-column picture"),
        ({"aggregates": "rating=mean(stars)"}, "--agg stars"),
        ({"aggregates": "rating=median(overall)"}, "--agg 'rating=median"),
        ({"aggregates": "rating=count(overall)"}, "--agg"),
        ({"where": "ratin > 3"}, "--where .*no column ratin"),
        ({"join": None}, "--join"),
        ({"join": None, "on": "", "aggregates": "n=count()"}, "--join"),
    ],
)
def test_what_does_not_exist_is_said(tables: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        choose(tables, **changes)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b"{"), ("a.jsonl", b"[1]"), ("a.csv", b"image\n\xff\xfe\n"), ("a.xls", b""), ("a.csv.gz", b"\x1f\x8bno gzip"), ("gone.csv", None)],
)
def test_broken_tables(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"--metadata {tmp_path / name}"):
        list(select_rows(Selection(tmp_path / name)))


def test_nothing_chosen(tables: Path) -> None:
    with pytest.raises(DataError, match="chooses no picture"):
        select_pictures(Selection(tables / "products.csv", where="title == 'x'"), tables)


def test_separators_and_tabs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image;n\na.png;3\n")
    (tmp_path / "a.tsv").write_text("image\tn\na.png\t3\n")
    for name in ("a.csv", "a.tsv"):
        assert list(select_rows(Selection(tmp_path / name, where="n == 3"))) == [{"image": "a.png", "n": "3"}]


NUMBERS = ["1", "2.0", "4,5", "x", "", "nan", "-3"]


@pytest.mark.parametrize("condition", ["n > 1", "n >= 2 or n < 0", "n == 2", "n != 2", "n in (1, 2)", "n not in (1, 2)", "n + 1 > 2", "not n > 1"])
@pytest.mark.parametrize("form", [".csv", ".tsv", ".csv.gz", ".jsonl", ".jsonl.gz"])
def test_each_form_of_a_table_gives_the_same_rows(tmp_path: Path, condition: str, form: str) -> None:
    """`!=` and `not in` are the opposite of `==` and `in`, for all rows that have a value."""
    path = tmp_path / f"a{form}"
    if "jsonl" in form:
        text = "".join(json.dumps({"image": f"{index}.png", "n": number}) + "\n" for index, number in enumerate(NUMBERS))
    else:
        text = "image\tn\n" + "".join(f"{index}.png\t{number}\n" for index, number in enumerate(NUMBERS))
    path.write_bytes(gzip.compress(text.encode()) if form.endswith(".gz") else text.encode())
    chosen = [int(row["image"][0]) for row in select_rows(Selection(path, where=condition))]
    expected = {"n > 1": [1], "n >= 2 or n < 0": [1, 6], "n == 2": [1], "n != 2": [0, 2, 3, 4, 5, 6], "n in (1, 2)": [0, 1],
                "n not in (1, 2)": [2, 3, 4, 6], "n + 1 > 2": [1], "not n > 1": [0, 2, 3, 4, 5, 6]}  # fmt: skip
    assert chosen == expected[condition]


@pytest.mark.parametrize("form", [".csv", ".tsv", ".csv.gz", ".TSV", ".jsonl", ".jsonl.gz", ".ndjson"])
def test_an_unknown_column_is_refused_in_each_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a{form}"
    text = '{"image": "a.png"}\n{"image": "b.png", "color": "red"}\n' if "son" in form else "image\tcolor\na.png\tblue\nb.png\tred\n"
    path.write_bytes(gzip.compress(text.encode()) if form.endswith(".gz") else text.encode())
    with pytest.raises(UsageError, match="no column colour; did you mean color"):
        select_pictures(Selection(path, where="colour != 'red'"), tmp_path)
    assert len(select_pictures(Selection(path, where="color != 'red'"), tmp_path).entries) == 1  # also where the first row lacks it


def test_cells_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image;n;k\na.png;4,5;1\nb.png;4;2\n;5;3\nc.png;;4\n")
    (tmp_path / "b.csv").write_text("k,stars\n1,NaN\n1,4\n2,\n2,good\n2,inf\n3,2\n")
    source = select_pictures(Selection(tmp_path / "a.csv", where="n >= 4"), tmp_path)
    assert [entry.name for entry in source.entries] == ["b.png"]
    said = list(source.leftovers.remarks)
    assert len(said) == 2
    assert "rows with text in place of a number: 1, such as '4,5'" in said[0]
    assert "decimals with a point" in said[0]
    assert "--image-column image: chosen rows that name no picture: 1" in said[1]
    lines: list[str] = []
    selection = Selection(tmp_path / "a.csv", tmp_path / "b.csv", "k", "stars=mean(stars), n_stars=count()")
    rows = list(select_rows(selection, lines.append))
    assert [(row["stars"], row["n_stars"]) for row in rows] == [(4.0, 2.0), (None, 3.0), (2.0, 1.0), (None, 0.0)]
    assert lines == [
        f"--join {tmp_path / 'b.csv'}: rows with no number as stars: 2, such as 'good'; they do not count there",
        f"--join {tmp_path / 'b.csv'}: rows of {tmp_path / 'a.csv'} that have no partner in it: 1 of 4",
    ]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.csv", "image,n\na.png,1\nb.png,2,3\n", 3),
        ("a.csv", 'image,n\na.png,"1\n2"\nred, b.png,2\n', 4),
        ("a.tsv", "image\tn\na.png\t1\t2\n", 2),
        ("a.csv", "image,n\na.png,1,  ,x\n", 2),
    ],
)
def test_a_row_that_does_not_fit_its_header_is_refused(tmp_path: Path, name: str, text: str, line: int) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"line {line} has [34] cells, and the header 2; a cell that contains .* needs quotes around it"):
        list(select_rows(Selection(tmp_path / name)))


@pytest.mark.parametrize("text", ['image,n\n"a.png,1\n"b.png",2\n', 'image,n\na.png,"1\nb.png,2\n', 'image,n\na.png,"1' + "\n" * 2000 + '"\n'])
def test_a_quote_that_is_not_closed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=r"line 2 has a quote that is not closed"):
        list(select_rows(Selection(tmp_path / "a.csv")))


CELLS = ["plain", "", "two\nlines", "a\tb", "a,b;c", 'say "so"', '"', ' "x"', "blank line\n\nafter", "x\ny\tz"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header", [["image", "label, of it, or, so", "a;b;c;d", "x\ty\tz\t"], ['1" nail', "image"], ["image", "two\nlines, of a, long; cell;"]]
)
def test_signs_in_a_quoted_header_separate_nothing(header: list[str], delimiter: str) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows([header, range(len(header))])
    table = DelimitedTable(iter(file.getvalue().splitlines()), None, "t")
    assert [list(row) for row in table.rows()] == [header]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_what_programs_write_is_read_back(tmp_path: Path, delimiter: str, quoting: Literal[0, 1, 2]) -> None:
    """As by pandas and spreadsheets: quoted line breaks, delimiters and quotes."""
    path = tmp_path / ("a.tsv" if delimiter == "\t" else "a.csv")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
        writer.writerows([["image", "text", "rating"], *([f"{index}.png", cell, "5"] for index, cell in enumerate(CELLS))])
    rows = list(select_rows(Selection(path, where="rating == 5")))
    assert [(row["image"], row["text"]) for row in rows] == [(f"{index}.png", cell) for index, cell in enumerate(CELLS)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.text(alphabet='ab" ,;\t\n', max_size=6), min_size=2, max_size=2), max_size=5), st.sampled_from([",", ";"]))
def test_any_table_that_is_written_is_read_back(rows: list[list[str]], delimiter: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["x", "y"], *rows])
    lines = iter(file.getvalue().split("\n"))
    assert [list(row.values()) for row in DelimitedTable(lines, delimiter, "t").rows()] == rows


@pytest.mark.parametrize(
    "line", ['a.png,"He said \\"hi\\"",5', 'a.png,"say "so" now",5', '"a.png" ,x,"5"', "a.png,x,5,", "a.png,x,5, ", '"a.png", "x, or so", "5"']
)
def test_odd_quotes_shift_no_cell(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"image,text,rating\n{line}\nb.png,y,4\n")
    rows = list(select_rows(Selection(tmp_path / "a.csv", where="rating >= 4")))
    assert [(row["image"].strip(), row["rating"]) for row in rows] == [("a.png", "5"), ("b.png", "4")]


def test_quotes_in_a_table_with_tabs_are_characters(tmp_path: Path) -> None:
    rows = ['5" disc', '"5 inch', '"whole ""cell"""', '""', '"']
    (tmp_path / "a.tsv").write_text("image\ttitle\n" + "".join(f"{index}.png\t{title}\n" for index, title in enumerate(rows)) + "9.png\n")
    chosen = [row.get("title") for row in select_rows(Selection(tmp_path / "a.tsv"))]
    assert chosen == ['5" disc', '"5 inch', 'whole "cell"', "", '"', None]


@pytest.mark.parametrize(
    ("text", "line", "both"),
    [
        ("image,r,r\na.png,1,9\n", 2, "'1' and '9' in two columns of the name 'r'"),
        ("image,r,n,r\na.png,1,0,1\nb.png,1,0,2\n", 3, "'1' and '2' in two columns of the name 'r'"),
        ("image,r,r\na.png,1\n", 2, "'1' and '' in two columns of the name 'r'"),
        ("image,image,r\na.png,b.png,1\n", 2, "'a.png' and 'b.png' in two columns of the name 'image'"),
    ],
)
def test_different_cells_of_one_column_are_refused(tmp_path: Path, text: str, line: int, both: str) -> None:
    for name, content in (("a.csv", text), ("a.tsv", text.replace(",", "\t"))):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=f"--metadata {tmp_path / name}: line {line} has {both}; rename one or take it out"):
            list(select_rows(Selection(tmp_path / name, where="r >= 0")))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_two_columns_of_a_name_that_nothing_reads_are_no_fault(tmp_path: Path, name: str) -> None:
    text = "image,k,note,note,n\na.png,1,x,y,3\nb.png,2,x,,4\n"
    table = tmp_path / name
    table.write_text(text if name == "a.csv" else text.replace(",", "\t"))
    assert [row["image"] for row in select_rows(Selection(table, where="k == 2"))] == ["b.png"]
    assert [row["m"] for row in select_rows(Selection(table, table, "k", "m=sum(n)"))] == [3, 4]
    assert len(list(select_rows(Selection(table, table, "k", "note=sum(n)", "note > 3")))) == 1  # the new column is read
    for selection in (Selection(table, where="note == 'y'"), Selection(table, image="note"), Selection(table, on="note", join=table)):
        with pytest.raises(DataError, match=r"line 2 has 'x' and 'y' in two columns of the name 'note'; rename one or take it out"):
            list(select_rows(selection))
    (tmp_path / "b.jsonl").write_text('{"image": "a.png", "k": 1}')
    with pytest.raises(DataError, match=r"--join .* line 2 has 'x' and 'y' in two columns of the name 'note'"):
        list(select_rows(Selection(tmp_path / "b.jsonl", table, "k", "m=sum(note)")))


def test_columns_without_names_and_the_same_cells_twice_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,r,,r,\na.png,1,x,1,y\n")
    assert [row["r"] for row in select_rows(Selection(tmp_path / "a.csv", where="r == 1"))] == ["1"]


ONE, TWO, OTHER = "http://a/1/img.png", "http://a/2/img.png", "http://a/1/two.png"


@pytest.mark.parametrize(
    ("rows", "chosen", "left_out"),
    [
        ([(ONE, 1), (TWO, 9), (OTHER, 9)], ["two.png"], 1),
        ([(ONE, 9), (TWO, 1), (OTHER, 9)], ["two.png"], 1),
        ([(ONE, 9), ("img.png", 1), (OTHER, 9)], ["two.png"], 1),
        ([(ONE, 9), ("http://b/1/img.png", 1), (OTHER, 9)], ["two.png"], 1),
        ([(ONE, 9), (TWO, 9), (OTHER, 1)], ["img.png"], 0),
        ([(ONE, 1), ("img.png", 9), (OTHER, 1)], ["img.png"], 0),
        ([(ONE, 9), ("img.png", 9), (TWO, 1)], ["img.png"], 0),
        ([(ONE, 9), (ONE, 1), (f"{ONE}?", 1), (f"https{ONE[4:]}#x", 1)], ["img.png"], 0),
        ([(ONE, 9), ("https://A:443/1/img.png", 1), ("http://me@a:80/1/img.png", 1)], ["img.png"], 0),
        ([(ONE, 9), ("http://a:8080/1/img.png", 1), (OTHER, 9)], ["two.png"], 1),
        ([(ONE, 9), ("http://a:x/1/img.png", 1), (OTHER, 9)], ["two.png"], 1),
        ([(ONE, 9), (f"{ONE}?w=3", 1), (TWO, 1), (OTHER, 9)], ["two.png"], 1),
        ([(ONE, 9), ("1/img.png", 1), ("../img.png", 1)], ["img.png"], 0),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_that_several_addresses_mean_is_not_guessed(
    tmp_path: Path, form: str, rows: list[tuple[str, int]], chosen: list[str], left_out: int
) -> None:
    lines = ["image,r", *(f"{image},{r}" for image, r in rows)] if form == "csv" else [json.dumps({"image": image, "r": r}) for image, r in rows]
    path = tmp_path / f"a.{form}"
    path.write_text("\n".join(lines))
    source = select_pictures(Selection(path, where="r > 5"), tmp_path)
    assert [entry.name for entry in source.entries] == chosen
    said = "means the same file by another address: 1, such as 'img.png' by"
    assert [said in remark for remark in source.leftovers.remarks] == [True] * left_out
    everything = select_pictures(Selection(path, where="image != '../img.png'"), tmp_path)
    assert not everything.leftovers.remarks  # where all rows are chosen, the file is


def test_addresses_that_differ_after_the_question_mark_are_said(tmp_path: Path) -> None:
    """They may be sizes of one picture."""
    path = tmp_path / "a.csv"
    path.write_text(f"image,r\n{ONE}?id=1,9\n{ONE}?id=2,1\n{OTHER},9\n{OTHER}?w=3,1\n")
    source = select_pictures(Selection(path, where="r > 5"), tmp_path)
    assert [entry.name for entry in source.entries] == ["img.png", "two.png"]
    reason = "pictures that a row that is not chosen means too, by an address that differs only after the question mark"
    advice = "give a column with the path of each picture's own file"
    assert source.leftovers.remarks == (f"--image-column image: {reason}: 2, such as 'img.png' by '{ONE}?id=2'; {advice}",)
    assert not select_pictures(Selection(path, where="r > 0"), tmp_path).leftovers.remarks


def test_an_address_without_a_file_name_names_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image\nhttp://a/\nhttp://[::1/a.png\nb.png\n")
    source = select_pictures(Selection(tmp_path / "a.csv"), tmp_path)
    assert [entry.name for entry in source.entries] == ["b.png"]
    assert source.leftovers.remarks == ("--image-column image: chosen rows that name no picture: 2",)


ABSENT_CELLS = {
    "csv": ["", " ", "nan", "NaN"],
    "jsonl": ["null", "NaN", '""', '"nan"', '" NaN "', "false", "true", "0.0", "1.5", "[]", '["a.png"]', "{}", '{"a": "b.png"}', "Infinity"],
}


@pytest.mark.parametrize(("form", "cell"), [(form, cell) for form, cells in ABSENT_CELLS.items() for cell in cells])
def test_an_absent_cell_names_no_picture(tmp_path: Path, form: str, cell: str) -> None:
    cells = [cell, "0", "a.png"] if form == "csv" else [cell, "0", '"a.png"']
    lines = ["image,r", *(f"{one},1" for one in cells)] if form == "csv" else [f'{{"image": {one}, "r": 1}}' for one in cells]
    path = tmp_path / f"a.{form}"
    path.write_text("\n".join(lines))
    for where in ("", "r == 1"):
        source = select_pictures(Selection(path, where=where), tmp_path)
        assert [entry.name for entry in source.entries] == ["0", "a.png"]  # a number is a name, in JSON as well
        assert source.leftovers.remarks == ("--image-column image: chosen rows that name no picture: 1",)


@pytest.mark.parametrize("name", ["nan", "NaN"])
def test_a_file_called_nan_is_a_picture(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"picture")
    (tmp_path / "a.csv").write_text(f"image\n{name}\na.png\n")
    (tmp_path / "a.jsonl").write_text(f'{{"image": "{name}"}}\n{{"image": NaN}}\n{{"image": "a.png"}}\n')
    for form, nameless in (("csv", 0), ("jsonl", 1)):
        source = select_pictures(Selection(tmp_path / f"a.{form}"), tmp_path)
        assert [entry.name for entry in source.entries] == [name, "a.png"]
        assert len(source.leftovers.remarks) == nameless
