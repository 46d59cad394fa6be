"""Pictures in parquet files of the Hugging Face image layout: read row by row, in any order; bombs refused."""

from __future__ import annotations

import io
import random
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import images
from helpers.mutations import mutated

from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes
from mitlgan.data.sources.image_source import open_source
from mitlgan.errors import DataError, UsageError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

LAYOUT = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


def encoded(number: int, size: tuple[int, int] = (20, 16)) -> bytes:
    buffer = io.BytesIO()
    images.smooth(number, size).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, values: list[Any], *, kind: Any = LAYOUT, column: str = "image", **options: Any) -> Path:
    table = pyarrow.table({column: pyarrow.array(values, kind), "label": pyarrow.array(range(len(values)))})
    parquet.write_table(table, path, **options)
    return path


def layout(count: int) -> list[dict[str, Any]]:
    return [{"bytes": encoded(number), "path": f"../../{number}.png"} for number in range(count)]


@pytest.mark.parametrize("row_group_size", [1, 3, 100])
def test_every_row_is_a_picture_in_whatever_order_it_is_read(tmp_path: Path, row_group_size: int) -> None:
    source = open_source(write(tmp_path / "train-00000-of-00001.parquet", layout(7), row_group_size=row_group_size))
    assert [entry.name for entry in source.entries] == [f"{row:08d}" for row in range(7)]
    order = [0, 1, 2, 6, 3, 3, 5, 4, 0, 6]
    assert [source.entries[row].read() for row in order] == [encoded(row) for row in order]
    assert [entry.read() for entry in source.iterate()] == [encoded(row) for row in range(7)]


@pytest.mark.parametrize(("column", "kind"), [("img", pyarrow.binary()), ("jpeg_of_it", pyarrow.large_binary()), ("image", LAYOUT)])
def test_a_column_of_bytes_will_do(tmp_path: Path, column: str, kind: Any) -> None:
    values = [encoded(0)] if kind != LAYOUT else layout(1)
    assert open_source(write(tmp_path / "x.parquet", values, kind=kind, column=column)).entries[0].read() == encoded(0)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], []),
        (["mask"], ["not read: column 'mask', as column 'image' holds the pictures"]),
        (["mask", "conditioning_image"], ["not read: columns 'mask', 'conditioning_image', as column 'image' holds the pictures"]),
        (list("abcd"), ["not read: columns 'a', 'b', 'c', ..., as column 'image' holds the pictures"]),
    ],
)
@pytest.mark.parametrize("kind", [LAYOUT, pyarrow.binary()])
def test_further_columns_of_pictures_are_named(tmp_path: Path, others: list[str], expected: list[str], kind: Any) -> None:
    values = layout(2) if kind == LAYOUT else [encoded(0), encoded(1)]
    table = pyarrow.table({name: pyarrow.array(values, kind) for name in ["image", *others]} | {"label": pyarrow.array([0, 1])})
    parquet.write_table(table, tmp_path / "x.parquet")
    assert open_source(tmp_path / "x.parquet").leftovers.describe() == expected


def test_a_row_without_bytes_is_one_bad_picture(tmp_path: Path) -> None:
    rows = [*layout(2), None, {"bytes": None, "path": "elsewhere.png"}, {"bytes": b"", "path": None}]
    source = open_source(write(tmp_path / "x.parquet", rows))
    for entry in source.entries[2:4]:
        with pytest.raises(UnreadableImageError, match="no bytes of a picture"):
            entry.read()
    with pytest.raises(UnreadableImageError, match="empty file"):
        decode_bytes(source.entries[4].read(), keep_alpha=False)
    assert source.entries[1].read() == encoded(1)


def test_the_listing_changes_with_the_file(tmp_path: Path) -> None:
    before = open_source(write(tmp_path / "x.parquet", layout(2))).listing_sha256()
    assert open_source(tmp_path / "x.parquet").listing_sha256() == before
    assert open_source(write(tmp_path / "x.parquet", layout(2))).listing_sha256() != before


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_a_bomb_is_refused_by_what_it_says_of_itself(tmp_path: Path, compression: str) -> None:
    path = write(tmp_path / "x.parquet", [{"bytes": bytes(20_000_000)}] * 5, compression=compression, use_dictionary=False)
    with pytest.raises(DataError, match=r"^SRC .*x\.parquet: \d+ bytes unpack to \d+; refused whole as a decompression bomb"):
        open_source(path)


def test_a_value_that_a_dictionary_repeats_a_thousand_times_never_fills_the_memory(tmp_path: Path) -> None:
    one = np.random.default_rng(0).bytes(4_000_000)
    values = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 3000, pyarrow.int32()), pyarrow.array([one], pyarrow.binary()))
    parquet.write_table(pyarrow.table({"image": values}), tmp_path / "x.parquet")
    source = open_source(tmp_path / "x.parquet")
    assert len(source.entries) == 3000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert source.entries[20].read() == one
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000, "KB; all rows together are 12 GB"


def test_a_picture_larger_than_any_is_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitlgan.data.sources.parquet.MAX_FILE_BYTES", 1000)
    source = open_source(write(tmp_path / "x.parquet", [{"bytes": b"x" * 1001}, {"bytes": b"x" * 1000}]))
    with pytest.raises(UnreadableImageError, match="1001 bytes, more than 1000"):
        source.entries[0].read()
    assert len(source.entries[1].read()) == 1000


def test_columns_that_hold_no_pictures_are_named(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"text": ["a"], "n": [1]}), tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"which column holds the pictures\? Of bytes are: none; name that column `image`"):
        open_source(tmp_path / "none.parquet")
    parquet.write_table(pyarrow.table({"a": [b"x"], "b": [b"y"]}), tmp_path / "two.parquet")
    with pytest.raises(DataError, match="Of bytes are: a, b; name"):
        open_source(tmp_path / "two.parquet")


def test_damage_is_one_line_or_one_bad_picture(tmp_path: Path) -> None:
    valid, draw = write(tmp_path / "x.parquet", layout(4), row_group_size=2).read_bytes(), random.Random(6)
    for content in (b"", b"PAR1", b"PK\3\4", valid[:200], valid[:-9]):
        (tmp_path / "y.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"^SRC .*y\.parquet: a damaged parquet file"):
            open_source(tmp_path / "y.parquet")
    for _ in range(150):
        (tmp_path / "y.parquet").write_bytes(mutated(valid, draw))
        try:
            source = open_source(tmp_path / "y.parquet")
        except DataError:
            continue
        for entry in source.entries[:6]:
            try:
                assert isinstance(entry.read(), bytes)
            except UnreadableImageError:
                continue


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.parquet", layout(1))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"x\.parquet: needs pyarrow; `pip install 'mitlgan\[parquet\]'`"):
        open_source(path)
